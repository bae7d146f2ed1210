"""What is deleted after how long: the table is `settings.RETENTION`, in days; one job a night goes through it.

Each app registers how its rows go, and which rows should be gone (core/retention_check.py counts them). Kept for ever: the audit
trail, which names subscribers by number and is the proof of who did what; subscribers, subscriptions and seats, which access is
decided from.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.db.models import QuerySet

from apps.core import clock, jobs, limits
from apps.core.dependencies import RESTORED
from apps.core.models import AttentionItem, Job, Outage, RateLimit

log = structlog.get_logger(__name__)

KIND = "prune"
DAY = 86_400
BATCH = 5_000  # rows in one statement, so that none holds locks for long
OTHERS = [one for one in Job.Importance if one != Job.Importance.SWEEP]

Prune = Callable[[dt.datetime], int]
Overdue = Callable[[dt.datetime], QuerySet[Any] | int]


@dataclass(frozen=True)
class RetentionRule:
    """How the rows of one row of the table go, and which of them should have gone before a moment."""

    prune: Prune
    overdue: Overdue


RULES: dict[str, RetentionRule] = {}
WORK = {KIND}  # the kinds of jobs that delete; apps add those that forget one person


def register(name: str, prune: Prune, overdue: Overdue) -> None:
    """`prune` removes what ended before the moment it gets and returns how many; `name` is its row of the table.

    `overdue`: the rows that are still there and ended before a moment, or their number. Where it can, it asks more widely than
    `prune`, so that it also finds what `prune` forgets.
    """
    RULES[name] = RetentionRule(prune, overdue)


def register_own() -> None:
    """The nightly job, and the rows of core itself."""
    jobs.register(
        KIND, prune_all, label="Delete old rows", needs=(RESTORED,), every=DAY, importance=Job.Importance.SWEEP
    )
    register("jobs", prune_jobs, ended_jobs)
    register("sweep_jobs", prune_sweep_jobs, ended_sweep_jobs)
    register("attention", prune_attention, closed_attention)
    register("outages", lambda before: delete_in_batches(ended_outages(before)), ended_outages)
    register("rate_limits", lambda before: limits.prune(before=_of_this_machine(before)), spent_limits)


def prune_all(_key: str = "") -> None:
    """The job: each row of the table once. One that fails keeps none of the others; the job then fails at its end."""
    failure: Exception | None = None
    for name, rule in RULES.items():
        try:
            count = rule.prune(limit_of(name))
        except Exception as error:
            log.exception("prune_failed", rows=name)
            failure = error
        else:
            log.info("pruned", rows=name, count=count)
    if failure is not None:
        raise failure


def limit_of(name: str) -> dt.datetime:
    """The moment before which rows of this name are too old."""
    return clock.now() - dt.timedelta(days=settings.RETENTION[name])


def delete_in_batches(rows: QuerySet[Any]) -> int:
    """Delete these rows, `BATCH` at a time; returns how many."""
    return sum(batch.delete()[1].get(rows.model._meta.label, 0) for batch in _batches(rows))


def update_in_batches(rows: QuerySet[Any], **values: Any) -> int:
    """Give these rows such values that they are none of `rows` any more, `BATCH` at a time; returns how many."""
    return sum(batch.update(**values) for batch in _batches(rows))


def _batches(rows: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
    while ids := list(rows.values_list("pk", flat=True)[:BATCH]):
        yield rows.model._default_manager.filter(pk__in=ids)


def prune_jobs(before: dt.datetime) -> int:
    """Jobs that are done; what staff may still have to act on stays, and sweeps have a row of their own."""
    return sum(delete_in_batches(ended_jobs(before).filter(importance=one)) for one in OTHERS)


def prune_sweep_jobs(before: dt.datetime) -> int:
    """Jobs of sweeps that are done: each subscriber has one a night."""
    return delete_in_batches(ended_sweep_jobs(before))


def ended_jobs(before: dt.datetime) -> QuerySet[Job]:
    """Jobs that are done, but for those of sweeps."""
    return _done(before).filter(importance__in=OTHERS)


def ended_sweep_jobs(before: dt.datetime) -> QuerySet[Job]:
    """Jobs of sweeps that are done."""
    return _done(before).filter(importance=Job.Importance.SWEEP)


def _done(before: dt.datetime) -> QuerySet[Job]:
    return Job.objects.filter(state__in=Job.FINISHED, finished_at__lt=before)


def prune_attention(before: dt.datetime) -> int:
    """Items that are closed."""
    return delete_in_batches(closed_attention(before))


def closed_attention(before: dt.datetime) -> QuerySet[AttentionItem]:
    """Items closed before then."""
    return AttentionItem.objects.filter(resolved_at__lt=before)


def ended_outages(before: dt.datetime) -> QuerySet[Outage]:
    """Outages that ended before then."""
    return Outage.objects.filter(ended_at__lt=before)


def spent_limits(before: dt.datetime) -> QuerySet[RateLimit]:
    """Of which nothing is spent since then."""
    return RateLimit.objects.filter(busy_until__lt=_of_this_machine(before).timestamp())


def _of_this_machine(moment: dt.datetime) -> dt.datetime:
    """Limits are counted by the machine's own clock."""
    return moment - dt.timedelta(seconds=clock.offset_seconds())
