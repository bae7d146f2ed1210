"""Sweeps: find subscribers that no event, date or job would bring back to the reconciler."""

from itertools import batched

from django.db.models import QuerySet

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
LOST, WINDOW = 500, 100_000  # people of one minute: queued again, looked for
OPEN = [Job.State.QUEUED, Job.State.RUNNING]


def register() -> None:
    """Make the sweeps known."""
    jobs.register("sweep_access", sweep_access, label="Sweep for waiting subscribers", every=SWEEP_SECONDS)
    jobs.register(
        NIGHTLY, reconcile_all, label="Nightly sync of everyone", every=NIGHTLY_SECONDS, importance=Job.Importance.SWEEP
    )


def sweep_access(_key: str) -> None:
    """Every minute: subscribers who wait without a job, and those whose date has come."""
    waiting = UserProfile.objects.filter(pending_since__isnull=False)
    due = UserProfile.objects.filter(access_until__lte=clock.now())
    # A job that ended there waits for staff; only a date that has come wakes it up again.
    _enqueue_lost(waiting, [*OPEN, Job.State.BLOCKED, Job.State.DEAD])
    _enqueue_lost(due, OPEN)


def _enqueue_lost(people: QuerySet[UserProfile], states: list[Job.State]) -> None:
    """Queue a reconcile of up to LOST of these people who have no job in one of these states."""
    lost = reconcile.without_job(_bound(people), states)
    reconcile.enqueue_many(lost.values_list("pk", flat=True)[:LOST], reason="sweep", importance=Job.Importance.CHANGE)


def _bound(people: QuerySet[UserProfile]) -> QuerySet[UserProfile]:
    """All of them, or, while there are more than WINDOW, as in the night, those in one range of ids; each minute it is the next."""
    if people.order_by()[:WINDOW].count() < WINDOW:
        return people
    last = UserProfile.objects.order_by("-pk").values_list("pk", flat=True)[:1].get()
    minute = int(clock.now().timestamp()) // SWEEP_SECONDS
    start = minute % (last // WINDOW + 1) * WINDOW
    return people.filter(pk__gte=start, pk__lt=start + WINDOW)


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
