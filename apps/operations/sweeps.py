"""Sweeps: find subscribers that no event, date or job would bring back to the reconciler."""

from collections.abc import Collection

from django.db.models import QuerySet

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.core import clock, jobs
from apps.core.models import Job
from apps.operations import incident, safeguard
from apps.operations.models import Drift
from apps.operations.outdated import find_outdated

SWEEP_SECONDS = 60
NIGHTLY_SECONDS = 86_400
NIGHTLY = "reconcile_all"
NIGHTLY_REASON = "nightly"
SLICE = 2000  # people of one transaction
LOST, WINDOW = 500, 100_000  # people of one minute: queued again, looked for


def register() -> None:
    """Make the sweeps known."""
    jobs.register("sweep_access", sweep_access, label="Sweep for waiting subscribers", every=SWEEP_SECONDS)
    jobs.register(
        NIGHTLY, reconcile_all, label="Nightly sync of everyone", every=NIGHTLY_SECONDS, importance=Job.Importance.SWEEP
    )


def sweep_access(_key: str) -> None:
    """Every minute: subscribers who wait without a job, those whose date has come, and the end of incident mode."""
    incident.watch()
    waiting = UserProfile.objects.filter(pending_since__isnull=False)
    due = UserProfile.objects.filter(access_until__lte=clock.now())
    # A job that ended there waits for staff; only a date that has come wakes it up again.
    _enqueue_lost(waiting, [*Job.UNFINISHED, *Job.GIVEN_UP])
    _enqueue_lost(due, Job.UNFINISHED)


def _enqueue_lost(people: QuerySet[UserProfile], states: Collection[Job.State]) -> None:
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
    """Once a day: find among everyone with an account whom no event reported, and reconcile those (outdated.py).

    In slices, each a job that names the next, so that its cost stays the same. Subscribers who were never synced are left to
    `sweep_access`, and those whose drift staff ignore are left alone. Subscribers who would lose access come last, and only
    if they are not too many: else raises NeedsOperator.
    """
    if not key.isdecimal():
        if _in_progress():
            return
        safeguard.start_collecting(NIGHTLY)
    people = UserProfile.objects.filter(keycloak_id__isnull=False, synced_at__isnull=False)
    people = people.exclude(
        pk__in=Drift.objects.filter(ignored_until__gt=clock.now(), resolved_at=None).values("profile")
    ).filter(pk__gt=int(key) if key.isdecimal() else 0)
    last = people.order_by("pk").values_list("pk", flat=True)[SLICE - 1 : SLICE].first()
    if last is not None:
        people = people.filter(pk__lte=last)
    outdated = find_outdated(people)
    losing = safeguard.find_losing(outdated)
    safeguard.collect(NIGHTLY, losing)
    _enqueue({*outdated} - {*losing})
    if last is not None:
        jobs.defer(NIGHTLY, last, reason="the next slice")
    elif allowed := safeguard.check(NIGHTLY, job_key=key):
        _enqueue(allowed)


def _enqueue(people: Collection[int]) -> None:
    reconcile.enqueue_many(people, reason=NIGHTLY_REASON, importance=Job.Importance.SWEEP)


def _in_progress() -> bool:
    return Job.objects.filter(kind=NIGHTLY, state__in=Job.UNFINISHED, key__regex=r"^[0-9]+$").exists()
