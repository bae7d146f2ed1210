"""Checks every law on schedule, keeps what each check found, and tells staff.

A row of LawCheck says how a law was from one check to another; only a check that finds something else begins a new one, so that
a violation that ended stays to be seen. Each law has at most one open attention item, which ends with the first check that finds
none. What cannot be checked for three periods is told, too. A check that was cut off goes on with the laws that are still due.
"""

import datetime as dt
import time
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, F, Func, QuerySet

from apps.core import attention, audit, clock, jobs, laws, metrics, retention
from apps.core.audit_actions import AuditAction
from apps.core.laws import Law, LawResult, LawState, Scope
from apps.core.models import Job, LawCheck

KIND = "check_laws"
NOW = "now:"  # begins the key of a check that staff asked for: of all laws last checked before that second
SECONDS = 20.0  # of one job, after which the next begins; one law takes at most laws.LONGEST_SECONDS
EARLY = dt.timedelta(minutes=1)  # a law counts as due so long before its period is over
PATIENCE = 3  # periods in which a law may be unknown
# SQL: the ids of the last result of each law, by one step in the index for each, however long the history is.
NEWEST = """WITH RECURSIVE newest AS (
    (SELECT law, id FROM core_lawcheck ORDER BY law, id DESC LIMIT 1)
    UNION ALL SELECT following.law, following.id FROM newest, LATERAL (
        SELECT law, id FROM core_lawcheck WHERE law > newest.law ORDER BY law, id DESC LIMIT 1) following)
SELECT id FROM newest"""


def register() -> None:
    """The periodic job, its numbers in `/metrics`, and how long what it found is kept."""
    jobs.register(KIND, check_due, label="Check the laws", every=laws.FIVE_MINUTES)
    retention.register("law_checks", lambda before: retention.delete_in_batches(ended(before)), ended)
    metrics.GAUGES.extend(
        [
            ("frontdesk_law_violations", "What breaks a law, by law, as the last check found", ["law"], _violations),
            ("frontdesk_law_unknown", "1 for a law that could not be checked last time", ["law"], _unknown),
            ("frontdesk_law_check_age_seconds", "How long ago a law was last checked", ["law"], _ages),
        ]
    )


def ended(before: dt.datetime) -> QuerySet[LawCheck]:
    """Results of before then that are not a law's last."""
    return LawCheck.objects.filter(checked_at__lt=before).exclude(pk__in=newest().values("pk"))


# --- checking --------------------------------------------------------------------------------------------------------


def check_due(key: str) -> None:
    """The job: check each law that is due, and go on in a further job when the time is up."""
    until = time.monotonic() + SECONDS
    last = latest()
    for law in laws.all_laws():
        if not _is_due(law, last.get(law.number), key):
            continue
        if time.monotonic() > until:
            jobs.defer(KIND, key, reason="the next laws", lane=KIND)
            return
        keep(laws.run_one(law, Scope()))


def _is_due(law: Law, last: LawCheck | None, key: str) -> bool:
    if last is None:
        return True
    if key.startswith(NOW):
        return last.checked_at.timestamp() < float(key.removeprefix(NOW))
    return last.checked_at <= clock.now() - dt.timedelta(seconds=law.period_seconds) + EARLY


@transaction.atomic
def check_now(*, actor: str, reason: str) -> None:
    """Queue a check of every law; joins one that was asked for and is not over."""
    if open_check() is None:
        job = jobs.defer(KIND, f"{NOW}{clock.now().timestamp():.6f}", reason=f"asked for by {actor}", lane=KIND)
        audit.record(subject=("job", job), action=AuditAction.LAW_CHECK_REQUESTED, actor=actor, reason=reason)


def open_check() -> tuple[int, int] | None:
    """Of the check that staff asked for and that is not over: how many laws are done, and how many there are."""
    job = Job.objects.filter(kind=KIND, key__startswith=NOW, state__in=Job.UNFINISHED).order_by("pk").first()
    if job is None:
        return None
    last, every = latest(), laws.all_laws()
    return sum(not _is_due(law, last.get(law.number), job.key) for law in every), len(every)


# --- keeping ---------------------------------------------------------------------------------------------------------


def newest() -> QuerySet[LawCheck]:
    """The last result of each law."""
    is_newest = Func(F("pk"), template=f"%(expressions)s = ANY(ARRAY({NEWEST}))", output_field=BooleanField())
    return LawCheck.objects.filter(is_newest).order_by("law")


def latest() -> dict[str, LawCheck]:
    """The same by the number of the law, without what was found."""
    return {row.law: row for row in newest().defer("violations")}


@transaction.atomic
def keep(result: LawResult) -> None:
    """Keep what one check found, and open or end the law's attention item."""
    number, found = result.law.number, result.checked
    listed = [[one.subject_kind, one.subject_id, one.subscriber_id, one.words] for one in found.violations]
    said: dict[str, Any] = {
        "state": str(result.state), "total": found.total, "violations": listed, "reason": result.reason[:300],
    }  # fmt: skip
    row = LawCheck.objects.filter(law=number).order_by("-pk").first()
    if row is None or any(getattr(row, name) != value for name, value in said.items()):
        row = LawCheck(law=number, first_at=clock.now(), **said)
    row.checked_at, row.looked_at, row.seconds = clock.now(), found.looked_at, result.seconds
    row.save()
    _tell(result, row)


def _tell(result: LawResult, row: LawCheck) -> None:
    law = result.law
    if result.state == LawState.OK:
        attention.resolve(attention.Cause.LAW, law.number, why="The law holds again.")
    elif not result.is_set_up:
        attention.resolve(attention.Cause.LAW, law.number, why=result.reason)
    elif result.state == LawState.VIOLATED:
        found = result.checked
        first = found.violations[0].words if found.violations else ""
        count = "1 violation" if found.total == 1 else f"{found.total:,} violations, the first"
        people = {one.subscriber_id for one in found.violations if one.subscriber_id is not None}
        sentence = f"{law.number}, {law.title}: {count}: {first} See all of them under Laws."
        attention.report(attention.Cause.LAW, law.number, sentence, profiles=people)
    elif result.failed or _is_overdue(law, row):
        sentence = f"{law.number}, {law.title}, cannot be checked. {result.reason}"
        attention.report(attention.Cause.LAW, law.number, sentence)


def _is_overdue(law: Law, row: LawCheck) -> bool:
    """Whether the law has been unknown for longer than it may be."""
    checks = LawCheck.objects.filter(law=law.number)
    answer = checks.exclude(state=LawState.UNKNOWN).order_by("-pk").first()
    since = answer.checked_at if answer else checks.order_by("pk").values_list("first_at", flat=True)[0]
    return row.checked_at - since > PATIENCE * dt.timedelta(seconds=law.period_seconds) + EARLY


# --- numbers ---------------------------------------------------------------------------------------------------------


def _current() -> list[LawCheck]:
    last = latest()
    return [last[law.number] for law in laws.all_laws() if law.number in last]


def _violations() -> metrics.Rows:
    return [(row.law, row.total) for row in _current() if row.state != LawState.UNKNOWN]


def _unknown() -> metrics.Rows:
    return [(row.law, int(row.state == LawState.UNKNOWN)) for row in _current()]


def _ages() -> metrics.Rows:
    now = clock.now()
    return [(row.law, (now - row.checked_at).total_seconds()) for row in _current()]
