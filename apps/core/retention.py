"""What is deleted after how long: the table is `settings.RETENTION`, in days; one job a night goes through it.

Each app registers how its rows go. Kept for ever: the audit trail, which names subscribers by number and is the proof of who
did what; subscribers, subscriptions and seats, which access is decided from.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from django.conf import settings
from django.db.models import QuerySet

from apps.core import clock, jobs, limits
from apps.core.models import AttentionItem, Job

log = structlog.get_logger(__name__)

KIND = "prune"
DAY = 86_400
BATCH = 5_000  # rows in one statement, so that none holds locks for long

Prune = Callable[[dt.datetime], int]
PRUNES: dict[str, Prune] = {}


def register(name: str, prune: Prune) -> None:
    """`prune` removes what ended before the moment it gets and returns how many; `name` is its row of the table."""
    PRUNES[name] = prune


def register_own() -> None:
    """The nightly job, and the rows of core itself."""
    jobs.register(KIND, prune_all, label="Delete old rows", every=DAY, importance=Job.Importance.SWEEP)
    register("jobs", prune_jobs)
    register("sweep_jobs", prune_sweep_jobs)
    register("attention", prune_attention)
    register("rate_limits", lambda before: limits.prune(before=before - dt.timedelta(seconds=clock.offset_seconds())))


def prune_all(_key: str = "") -> None:
    """The job: each row of the table once."""
    for name, prune in PRUNES.items():
        count = prune(limit_of(name))
        log.info("pruned", rows=name, count=count)


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
    others = [one for one in Job.Importance if one != Job.Importance.SWEEP]
    return sum(delete_in_batches(_ended_jobs(one, before)) for one in others)


def prune_sweep_jobs(before: dt.datetime) -> int:
    """Jobs of sweeps that are done: each subscriber has one a night."""
    return delete_in_batches(_ended_jobs(Job.Importance.SWEEP, before))


def _ended_jobs(importance: Job.Importance, before: dt.datetime) -> QuerySet[Job]:
    ended = [Job.State.DONE, Job.State.SUPERSEDED]
    return Job.objects.filter(importance=importance, state__in=ended, finished_at__lt=before)


def prune_attention(before: dt.datetime) -> int:
    """Items that are closed."""
    return delete_in_batches(AttentionItem.objects.filter(resolved_at__lt=before))
