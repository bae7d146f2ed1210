"""Sweeps: find subscribers that no event, date or job would bring back to the reconciler."""

from itertools import batched

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.core.models import Job
from apps.operations import safeguard
from apps.operations.models import Drift

SWEEP_SECONDS = 60
NIGHTLY_SECONDS = 86_400
NIGHTLY = "reconcile_all"
BATCH, SLICE = 1000, 5000
OPEN = [Job.State.QUEUED, Job.State.RUNNING]


def register() -> None:
    """Make the sweeps known."""
    jobs.register("sweep_access", sweep_access, label="Sweep for waiting subscribers", every=SWEEP_SECONDS)
    jobs.register(
        NIGHTLY, reconcile_all, label="Nightly sync of everyone", every=NIGHTLY_SECONDS, importance=Job.Importance.SWEEP
    )


def sweep_access(_key: str) -> None:
    """Every minute: subscribers who wait without a job, and those whose date has come."""
    now = clock.now()
    # These wait for staff; only a date that has come wakes them up again.
    ended = [Job.State.BLOCKED, Job.State.DEAD]
    waiting = UserProfile.objects.filter(pending_since__isnull=False).exclude(pk__in=_with_job([*OPEN, *ended]))
    due = UserProfile.objects.filter(access_until__lte=now).exclude(pk__in=_with_job(OPEN))
    for profile in [*waiting[:500], *due[:500]]:
        reconcile.enqueue(profile, reason="sweep")


def _with_job(states: list[Job.State]) -> list[int]:
    """The profiles that have a reconcile job in one of these states."""
    kinds = [reconcile.KIND, reconcile.FIRST_SYNC_KIND]
    found = Job.objects.filter(kind__in=kinds, state__in=states).values_list("key", flat=True)
    return [int(key) for key in found]


def reconcile_all(key: str) -> None:
    """Once a day: reconcile everyone with an account, to find what no event reported.

    In slices, each a job that names the next, so that its cost stays the same. Subscribers who were never synced are left to
    `sweep_access`, and those whose drift staff ignore are left alone. Subscribers who would lose access come last, and only
    if they are not too many: else raises NeedsOperator.
    """
    if not key.isdecimal():
        if _in_progress():
            return
        safeguard.start_collecting(NIGHTLY)
    people = UserProfile.objects.filter(keycloak_id__isnull=False, synced_at__isnull=False).order_by("pk")
    people = people.exclude(
        pk__in=Drift.objects.filter(ignored_until__gt=clock.now(), resolved_at=None).values("profile")
    )
    after = int(key) if key.isdecimal() else 0
    found = list(people.filter(pk__gt=after).values_list("pk", flat=True)[:SLICE])
    losing = safeguard.find_losing(found)
    safeguard.collect(NIGHTLY, losing)
    _enqueue(sorted({*found} - {*losing}))
    if len(found) == SLICE:
        jobs.defer(NIGHTLY, found[-1], reason="the next slice")
    else:
        _enqueue(safeguard.check(NIGHTLY, job_key=key))


def _enqueue(profile_ids: list[int]) -> None:
    for batch in batched(profile_ids, BATCH, strict=False):
        reconcile.enqueue_many(batch, reason="nightly", importance=Job.Importance.SWEEP)


def _in_progress() -> bool:
    return Job.objects.filter(kind=NIGHTLY, state__in=OPEN, key__regex=r"^[0-9]+$").exists()
