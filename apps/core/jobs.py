"""The job ledger: durable work by kind and key. The Job row is the truth; django-q2 only lends its workers.

Promises:
1. `defer` writes the one waiting row of a kind and key, and its wake-up, in the caller's transaction; wake-ups coalesce.
2. Jobs of one lane never run at the same time. A request during a run causes exactly one more run.
3. An attempt is counted and committed before the work starts. A runner that dies gives it back, and its death is counted
   instead: work that kills its worker four times is dead instead of looping.
4. A runner holds a database lock from its claim on while its process lives; `sweep` takes over what a dead one left.
5. The most important due job is claimed first: who has paid and waits, what a person clicked, events, sweeps.
6. A lost wake-up delays the work for a second, and never loses it.

Handlers register from their app's `ready()`; they take the key and raise the errors of `core.errors`.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from apps.core import clock, dependencies, origins
from apps.core.claims import UNLOCK
from apps.core.claims import claim as claim
from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.core.job_outcomes import finish, requeue, retry_later, row_of_this_run
from apps.core.models import Job
from apps.core.wake_ups import NOTIFY

log = structlog.get_logger(__name__)

PARK_SECONDS = 30
JOB_SECONDS = settings.JOB_TIMEOUT_SECONDS

Handler = Callable[[str], None]
Needs = tuple[str, ...] | Callable[[str], tuple[str, ...]]


@dataclass(frozen=True)
class Kind:
    """A registered kind: its name for staff, what runs it, the systems it needs, its period (seconds; 0: on request), its importance."""

    name: str
    label: str
    handler: Handler
    needs: Needs
    every: int
    importance: Job.Importance = Job.Importance.CHANGE

    def needs_for(self, key: str) -> tuple[str, ...]:
        """The systems that the job of this key needs."""
        return self.needs(key) if callable(self.needs) else self.needs


KINDS: dict[str, Kind] = {}


def register(
    name: str,
    handler: Handler,
    *,
    label: str = "",
    needs: Needs = (),
    every: int = 0,
    importance: Job.Importance = Job.Importance.CHANGE,
) -> None:
    """Make `name` runnable; `label` is what staff read. `needs`: systems that park it while they are down, or those by its key.

    `every`: its period in seconds.

    `importance`: of its jobs, unless `defer` says otherwise. Periodic work with a deadline is no sweep.
    """
    KINDS[name] = Kind(name, label or kind_label(name), handler, needs, every, importance)


def kind_label(name: str) -> str:
    """The name of a kind as staff read it; one that no code runs any more is shown as its own words."""
    return KINDS[name].label if name in KINDS else name.replace("_", " ").capitalize()


# --- asking for work -------------------------------------------------------------------------------------------------

DEFER = f"""
WITH asked AS (
    INSERT INTO core_job (kind, key, lane, state, reason, importance, attempts, runs, not_before, parked_on, created_at, last_error,
        history, request_id)
    SELECT %(kind)s, key, lane, 'queued', %(reason)s, %(importance)s, 0, 0, %(not_before)s, '', %(now)s, '', '[]', %(request)s
    FROM unnest(%(keys)s::text[], %(lanes)s::text[]) AS wanted (key, lane)
    ON CONFLICT (kind, key) WHERE state = 'queued' DO UPDATE SET reason = excluded.reason,
        request_id = coalesce(nullif(excluded.request_id, ''), core_job.request_id),
        importance = LEAST(core_job.importance, excluded.importance),
        not_before = CASE WHEN core_job.attempts > 0 OR core_job.parked_on <> '' THEN core_job.not_before
                          ELSE LEAST(core_job.not_before, excluded.not_before) END
    RETURNING id, not_before)
SELECT id, CASE WHEN not_before <= %(now)s THEN {NOTIFY} END FROM asked
"""  # noqa: S608  (its parts are constants)


def defer(
    kind: str,
    key: str | int,
    *,
    reason: str = "",
    not_before: dt.datetime | None = None,
    lane: str = "",
    importance: Job.Importance | None = None,
) -> int:
    """Queue `kind` for `key`, to run now or from `not_before` on; returns the id of the queued Job.

    Joins the queued row if there is one (the earlier date and the greater importance win; a running back-off is kept).
    Part of the caller's transaction. Jobs of one `lane` (default: kind and key) never run at the same time.
    """
    lanes = {str(key): lane or f"{kind}:{key}"}
    return defer_many(kind, lanes, reason=reason, not_before=not_before, importance=importance)[0]


def defer_many(
    kind: str,
    lanes: Mapping[str, str],
    *,
    reason: str = "",
    not_before: dt.datetime | None = None,
    importance: Job.Importance | None = None,
) -> list[int]:
    """`defer` for many keys, each with its lane, in one statement; returns the ids of the queued Jobs."""
    now = clock.now()
    values: dict[str, Any] = {
        "kind": kind,
        "keys": list(lanes),
        "lanes": list(lanes.values()),
        "reason": reason[:300],
        "importance": usual_importance(kind) if importance is None else importance,
        "not_before": not_before or now,
        "now": now,
        "request": origins.request_id(),
    }
    with connection.cursor() as cursor:
        cursor.execute(DEFER, values)
        return [int(job_id) for job_id, _ in cursor.fetchall()]


def usual_importance(kind: str) -> Job.Importance:
    """What the kind was registered with; what is asked for in a web request, a person clicked."""
    usual = KINDS[kind].importance if kind in KINDS else Job.Importance.CHANGE
    return min(usual, Job.Importance.CLICKED) if origins.is_request() else usual


def retry(job: Job, *, actor: str) -> int:
    """Run a dead or blocked job again from its first attempt; returns the id of the queued Job."""
    return defer(job.kind, job.key, lane=job.lane, reason=f"retried by {actor}")


def withdraw(kind: str, key: str | int, *, why: str) -> int:
    """End the waiting, blocked and dead jobs of a kind and key, because a person decided so; returns how many."""
    return _supersede(Job.objects.filter(kind=kind, key=str(key)), why)


def supersede_waiting(kind: str, keys: Collection[str], *, before: dt.datetime, why: str) -> int:
    """End the queued, blocked and dead jobs of these keys from before that moment; returns how many."""
    return _supersede(Job.objects.filter(kind=kind, key__in=keys, created_at__lt=before), why)


def _supersede(found: QuerySet[Job], why: str) -> int:
    """End those of them that have not begun, or that failed."""
    waiting = found.filter(state__in=[Job.State.QUEUED, *Job.GIVEN_UP])
    return waiting.update(state=Job.State.SUPERSEDED, finished_at=clock.now(), parked_on="", last_error=why)


# --- doing it --------------------------------------------------------------------------------------------------------


def drain(*, limit: int = 1000) -> int:
    """Run everything that is due, in this process, until nothing is; returns how many ran. For tests and commands."""
    for count in range(limit):
        job = claim()
        if job is None:
            return count
        run(job)
    return limit


def run(job: Job) -> None:
    """Run a claimed job and record how it ended. Never raises the job's own errors."""
    with origins.in_run(job_id=job.pk, run=job.runs, caused_by=job.request_id), _releasing_lock(job):
        # Without its lock, a sweep may have given the job to another.
        if not _holds_lock(job) and not row_of_this_run(job).exists():
            return
        if job.kind not in KINDS:
            finish(job, Job.State.BLOCKED, f"No code runs jobs of kind {job.kind}.")
            return
        _run_handler(job)


def _run_handler(job: Job) -> None:
    try:
        if job.is_anything_down:
            dependencies.refuse_while_down(KINDS[job.kind].needs_for(job.key))
        KINDS[job.kind].handler(job.key)
    except RetryLater as error:
        retry_later(job, error.reason, after=error.after)
    except DependencyDown as error:
        _park(job, error)
    except NeedsOperator as error:
        finish(job, Job.State.BLOCKED, error.reason)
    except Exception as error:  # a bug in a handler goes to the log and the ledger, never to django-q2
        # The ledger names the kind of error, not its text, which may hold personal data.
        log.exception("job_fault", kind=job.kind, job=job.pk)
        _repair_connection(cut=False)
        retry_later(job, f"Unexpected {type(error).__name__}; the log has the trace (job {job.pk}).")
    except SystemExit:  # django-q2's time-out
        _repair_connection(cut=True)
        retry_later(job, "The job ran longer than its time allows.")
        raise
    else:
        _succeed(job)


def _repair_connection(*, cut: bool) -> None:
    """Get a connection that can record the outcome: the handler's may be broken, or `cut` in the middle of a query.

    The lock is released with the old one; if a sweep takes the job over now, this runner's outcome is not written.
    """
    if connection.in_atomic_block:
        return
    if cut:
        connection.close()
    else:
        connection.close_if_unusable_or_obsolete()


@contextmanager
def _releasing_lock(job: Job) -> Iterator[None]:
    """Release the lock of the claim, which says that this runner is alive, unless its end did; it ends with the connection."""
    try:
        yield
    finally:
        if _holds_lock(job):
            with connection.cursor() as cursor:
                cursor.execute(UNLOCK, {"id": job.pk})


def _holds_lock(job: Job) -> bool:
    """Whether the connection that claimed the job still lives, and its lock with it."""
    holder = job.lock_holder
    return holder is not None and holder is connection.connection and not holder.closed


def _succeed(job: Job) -> None:
    """Done; and what it needs answers: the jobs that waited for that are due."""
    if finish(job, Job.State.DONE, "") and job.is_anything_down:
        dependencies.mark_up(KINDS[job.kind].needs_for(job.key))


def _park(job: Job, error: DependencyDown) -> None:
    """Queue it until the dependency answers; the attempt is given back."""
    now = clock.now()
    if error.dependency in KINDS[job.kind].needs_for(
        job.key
    ):  # else no success of this kind would ever note that it is up again
        dependencies.mark_down(error.dependency, error.reason)
    requeue(
        job,
        "parked",
        error.reason,
        {
            "not_before": now + dt.timedelta(seconds=PARK_SECONDS),
            "parked_on": error.dependency,
            "attempts": job.attempts - 1,
        },
    )
