"""The proof that nothing is older than its retention: each night every row of the table is counted again, by itself.

A row may be a little late: the deletion runs once a night and takes what was due by then. What is older than that allowance is an
attention item and a number in `/metrics`, until a check finds none. A night in which nothing was deleted shows the same way.
"""

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from apps.core import attention, clock, jobs, metrics, retention
from apps.core.models import Job, RetentionCheck

KIND, LATER = "check_retention", "later"
DAY = 86_400
HOUR = dt.timedelta(hours=1)
ALLOWANCE = dt.timedelta(days=2)  # a night, and a deletion that was late


@dataclass(frozen=True)
class OverdueRows:
    """How many rows of one rule are older than they may be."""

    rule: str
    days: int
    overdue: int

    @property
    def sentence(self) -> str:
        rows = "1 row is" if self.overdue == 1 else f"{self.overdue:,} rows are"
        return f"Older than it may be: {self.rule.replace('_', ' ')}, {rows} older than {self.days} days."


def register() -> None:
    """The nightly job, and its numbers in `/metrics`."""
    jobs.register(KIND, check, label="Check what is kept", every=DAY, importance=Job.Importance.SWEEP)
    metrics.GAUGES.append(
        (
            "frontdesk_rows_overdue",
            "Rows that are older than their retention, by rule, as the last check found",
            ["rule"],
            "SELECT rule, overdue FROM core_retentioncheck",
        )
    )


def find_overdue() -> list[OverdueRows]:
    """Each rule of the table, with what it has left too long. Writes nothing."""
    return [OverdueRows(name, settings.RETENTION[name], _count(name)) for name in retention.RULES]


def _count(name: str) -> int:
    found = retention.RULES[name].overdue(retention.limit_of(name) - ALLOWANCE)
    return found if isinstance(found, int) else found.count()


def check(_key: str = "") -> None:
    """The job: keep what was found, and open or end the attention item of each rule. A deletion of the last hour goes first.

    One that was asked for earlier and does not come is what this is for.
    """
    if _is_deletion_near():
        jobs.defer(KIND, LATER, reason="the deletion goes first", not_before=clock.now() + HOUR)
        return
    for one in find_overdue():
        _keep(one)


def _is_deletion_near() -> bool:
    now = clock.now()
    unfinished = Job.objects.filter(state__in=Job.UNFINISHED, not_before__lte=now)
    return unfinished.filter(kind__in=retention.WORK, created_at__gt=now - HOUR).exists()


@transaction.atomic
def _keep(found: OverdueRows) -> None:
    last, now = RetentionCheck.objects.filter(pk=found.rule).first(), clock.now()
    since = ((last and last.since) or now) if found.overdue else None
    RetentionCheck.objects.update_or_create(
        pk=found.rule, defaults={"overdue": found.overdue, "since": since, "checked_at": now}
    )
    if since is None:
        attention.resolve(attention.Cause.RETENTION, found.rule, why="Nothing is older than it may be.")
        return
    advice = (
        f"Found since {since:%d %B %Y}. See whether the job “{jobs.KINDS[retention.KIND].label}” ran or failed, and whether jobs"
        " that forget people wait or failed; retry them."
    )
    attention.report(attention.Cause.RETENTION, found.rule, f"{found.sentence} {advice}")
