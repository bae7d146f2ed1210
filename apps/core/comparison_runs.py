"""What each comparison with Stripe or Keycloak looked at, found and fixed: one row for each run, however many slices it has.

Promises: the row is there before the first slice works, so that a run that dies shows; a slice that is repeated after its death
counts once, because it is counted when it ends; of one kind at most one runs. A run that does not end in time is an attention
item until it ends, or a later one of its kind does.
"""

import datetime as dt
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from apps.core import attention, audit, clock, jobs, retention
from apps.core.attention import Cause
from apps.core.models import ComparisonRun

ITEMS = 200  # of what was found that a row names
LATE = dt.timedelta(hours=2)  # without progress; a slice takes a minute, and an outage of an hour is told elsewhere
CHECK, QUARTER_HOUR = "check_comparisons", 900
type Item = tuple[str, int | str, str]  # what it is ("profile", "event"), its id, and which system says something else

STATE = ComparisonRun.State


@dataclass(frozen=True)
class Tally:
    """What one slice did; of what it found, others may fix some."""

    looked_at: int = 0
    found: int = 0
    fixed: int = 0
    items: tuple[Item, ...] = ()


def register() -> None:
    """The check that all end, and the retention of the rows."""
    jobs.register(CHECK, report_unfinished, label="Check that comparisons end", every=QUARTER_HOUR)
    retention.register("comparisons", lambda before: retention.delete_in_batches(ended(before)), ended)


@transaction.atomic
def begin(kind: str) -> int:
    """The run of a first slice. One that has done nothing yet is the same run: its first slice died and is repeated."""
    earlier = _running(kind).select_for_update().first()
    if earlier is not None and not earlier.slices:
        return earlier.pk
    stop(kind)
    return open_run(kind, actor=audit.SYSTEM).pk


def stop(kind: str) -> None:
    """Mark the one of this kind that died half-way, if there is one."""
    _running(kind).update(state=STATE.STOPPED, ended_at=clock.now())


def is_moving(kind: str) -> bool:
    """Whether one of this kind runs, and has not died."""
    return _running(kind).filter(progressed_at__gte=clock.now() - LATE).exists()


def open_run(
    kind: str, *, actor: str, reason: str = "", since: dt.datetime | None = None, until: dt.datetime | None = None
) -> ComparisonRun:
    """A new row; IntegrityError while one of this kind runs."""
    now = clock.now()
    return ComparisonRun.objects.create(
        kind=kind, actor=actor, reason=reason, since=since, until=until, started_at=now, progressed_at=now
    )


def resume(kind: str) -> int:
    """The run that a later slice goes on with."""
    found = _running(kind).values_list("pk", flat=True).first()
    return begin(kind) if found is None else found


def _running(kind: str) -> QuerySet[ComparisonRun]:
    return ComparisonRun.objects.filter(kind=kind, state=STATE.RUNNING)


@transaction.atomic
def add(run: int, tally: Tally, *, ended: bool = False, left_to_staff: bool = False) -> None:
    """Count a slice that has ended, and with it the run; what is not fixed then may be left to staff. One that was stopped stays so."""
    row = ComparisonRun.objects.select_for_update().filter(pk=run, state=STATE.RUNNING).first()
    if row is None:
        return
    for name in ("looked_at", "found", "fixed"):
        setattr(row, name, getattr(row, name) + getattr(tally, name))
    known = {tuple(one) for one in row.items}
    row.items = [*row.items, *(list(one) for one in tally.items if one not in known)][:ITEMS]
    row.slices, row.progressed_at = row.slices + 1, clock.now()
    if left_to_staff:
        row.failed = row.found - row.fixed
    if ended:
        row.state, row.ended_at = STATE.DONE, row.progressed_at
        attention.resolve(Cause.COMPARISON, row.kind, why="A comparison of this kind has ended.")
    row.save()


def unfinished() -> QuerySet[ComparisonRun]:
    """Those that have not ended and do nothing any more."""
    return ComparisonRun.objects.filter(state=STATE.RUNNING, progressed_at__lt=clock.now() - LATE).order_by("pk")


def report_unfinished(_key: str = "") -> None:
    """The job: an attention item for each of them."""
    for run in unfinished():
        sentence = (
            f"“{jobs.kind_label(run.kind)}”, begun on {run.started_at:%-d %B at %H:%M} UTC, has not ended: it stopped after"
            f" {run.slices} {'slice' if run.slices == 1 else 'slices'}, having looked at {run.looked_at:,}. Retry its job on"
            " the page Jobs; what it did not look at is compared by the next run."
        )
        attention.report(Cause.COMPARISON, run.kind, sentence)


def ended(before: dt.datetime) -> QuerySet[ComparisonRun]:
    """The runs that ended before then."""
    return ComparisonRun.objects.filter(ended_at__lt=before)
