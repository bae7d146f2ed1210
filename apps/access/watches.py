"""Who has to be looked at when something changed elsewhere: the only place where a change is mapped to a person."""

from itertools import batched

from apps.access import reconcile, signups
from apps.access.models import Drift
from apps.accounts.models import Signup, UserProfile
from apps.core import clock, jobs
from apps.core.models import Job
from apps.instances import allocation

SWEEP_SECONDS = 60
NIGHTLY_SECONDS = 86_400
BATCH = 1000
OPEN = [Job.State.QUEUED, Job.State.RUNNING]


def register() -> None:
    """Listen to billing and instances, and make the sweeps known."""
    from apps.billing import mirror

    mirror.on_customer.append(customer_changed)
    mirror.on_session.append(session_changed)
    allocation.on_freed.append(seat_freed)
    jobs.register("sweep_access", sweep, every=SWEEP_SECONDS)
    jobs.register("look_at_everybody", look_at_everybody, every=NIGHTLY_SECONDS)


def customer_changed(profile: UserProfile) -> None:
    """Billing has written this person's subscriptions anew."""
    reconcile.enqueue(profile, reason="subscription mirrored")


def session_changed(session_id: str) -> None:
    """Something happened to a Checkout session: the signup behind it, found by our own row, is looked at."""
    signup = Signup.objects.filter(checkout_session_id=session_id).first()
    if signup is not None:
        signups.settle_later(signup)


def seat_freed(profile_id: int) -> None:
    """There is room again for the one who has waited longest."""
    reconcile.enqueue(UserProfile.objects.get(pk=profile_id), reason="a seat was freed")


def sweep(_key: str) -> None:
    """Every minute: who waits without a job, whose time has come, and signups that ran out."""
    now = clock.now()
    # These wait for staff; only a moment that has come rings again.
    ended = [Job.State.BLOCKED, Job.State.DEAD]
    waiting = UserProfile.objects.filter(pending_since__isnull=False).exclude(pk__in=_with_job([*OPEN, *ended]))
    due = UserProfile.objects.filter(access_until__lte=now).exclude(pk__in=_with_job(OPEN))
    for profile in [*waiting[:500], *due[:500]]:
        reconcile.enqueue(profile, reason="sweep")
    for signup in Signup.objects.filter(state=Signup.State.CHECKOUT, checkout_expires_at__lte=now)[:500]:
        signups.settle_later(signup)


def _with_job(states: list[Job.State]) -> list[int]:
    """The profiles that have a look in one of these states."""
    kinds = [reconcile.KIND, reconcile.FIRST_KIND]
    looks = Job.objects.filter(kind__in=kinds, state__in=states).values_list("key", flat=True)
    return [int(key) for key in looks]


def look_at_everybody(_key: str) -> None:
    """Once a day: a look at each person with an account, so that whatever no event told is found.

    In batches, so that the cost of asking stays small; who was never looked at waits already, and the sweep sees to it.
    Who differs and was told to be left so by staff is left so.
    """
    people = UserProfile.objects.filter(keycloak_id__isnull=False, synced_at__isnull=False).order_by("pk")
    people = people.exclude(pk__in=Drift.objects.filter(ignored_until__gt=clock.now(), gone_at=None).values("profile"))
    for batch in batched(people.values_list("pk", flat=True).iterator(), BATCH, strict=False):
        reconcile.enqueue_known(list(batch), reason="nightly")
