"""The check after a restore: what the lost time knew is found again at Stripe and Keycloak, step by step.

The job runs each minute and goes on where it was, however often it is killed: a step keeps its cursor after each slice, and
repeating a slice changes nothing. Access itself is not touched here; it is paused until staff finish the check (core/restores.py).

    customers    every customer of Stripe's list is mirrored; who pays with our mark and is nobody here is noted
    accounts     accounts in Keycloak with our mark are adopted, and who pays gets their subscriber's row back
    mirroring    waits until everybody who has a customer was mirrored
    erasures     who was erased since the backup is erased again
    subscribers  each account against the decision: seats go back to where Keycloak has them, the rest is listed for staff
    ready        staff finish it
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.access import lifecycle_emails
from apps.accounts.models import UserProfile
from apps.billing import checkout, customer_list, mirror
from apps.core import attention, clock, jobs, restore_marker, restores
from apps.core.attention import Cause
from apps.core.errors import RetryLater
from apps.core.job_outcomes import PERIODIC
from apps.core.locks import LockClass
from apps.core.models import Job, RestoreCheck
from apps.notifications import mail
from apps.operations import lost_time

MINUTE = 60
SOON = dt.timedelta(seconds=5)
SECONDS = 25.0  # of one run; a job has a minute
SLICE = 90  # accounts that Keycloak shows in one call
Step = RestoreCheck.Step


def register() -> None:
    """The job of each minute; without an open check it is one query."""
    jobs.register(restores.KIND, check_after_restore, label="Check after a restore", every=MINUTE)


def check_after_restore(_key: str = "") -> None:
    """The job: go on with the open check until it is done, has to wait, or the time is up."""
    with _one_at_a_time() as mine:
        if mine and (check := restores.open_check()):
            _go_through(check)


@contextmanager
def _one_at_a_time() -> Iterator[bool]:
    """False while another process, the worker or the command, goes on with it; a killed one holds nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [LockClass.RESTORE_CHECK])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [LockClass.RESTORE_CHECK])


def _go_through(check: RestoreCheck) -> None:
    until = time.monotonic() + SECONDS
    if check.step == Step.CUSTOMERS and not check.cursor:
        lost_time.count(check, "emails_doubted", mail.doubt_queued(check.noticed_at))
    while check.step != Step.READY and STEPS[Step(check.step)](check):
        if time.monotonic() > until:
            jobs.defer(restores.KIND, PERIODIC, reason="the next slice")
            return
    if check.step == Step.MIRRORING:
        jobs.defer(restores.KIND, PERIODIC, reason="customers are refreshed", not_before=clock.now() + SOON)


def describe(check: RestoreCheck) -> str:
    """Where the check is, in one line."""
    done = ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in sorted(check.counts.items()) if count)
    waits = f" {_not_mirrored(check).count()} left." if check.step == Step.MIRRORING else ""
    return f"{Step(check.step).label}.{waits} {done or 'Nothing counted yet'}. Open items: {restores.found_items().count()}."


# --- the steps: each does one slice and returns whether to go on at once ------------------------------------------------


def _read_customers(check: RestoreCheck) -> bool:
    page = customer_list.list_page(check.cursor)
    for one in page.customers:
        profile = _owner(one)
        if profile is not None:
            lost_time.count(check, "customers")
            mirror.mirror_later(one.id, reason="after a restore", importance=Job.Importance.SWEEP)
        elif lost_time.is_mark(one.onboarding_id) and checkout.has_running_subscription(one.id):
            check.strangers[one.onboarding_id] = one.id
    if page.following:
        return _go_on(check, page.following)
    return _next(check, Step.ACCOUNTS)


def _owner(one: customer_list.ListedCustomer) -> UserProfile | None:
    """Whose customer it is: by its id, or by our mark, when the lost time made it for somebody we know."""
    profile = UserProfile.objects.filter(stripe_customer_id=one.id).first()
    if profile is not None or not lost_time.is_mark(one.onboarding_id):
        return profile
    profile = UserProfile.objects.filter(onboarding_id=one.onboarding_id).first()
    if profile is None:
        return None
    if profile.stripe_customer_id is None:
        UserProfile.objects.filter(pk=profile.pk, stripe_customer_id=None).update(stripe_customer_id=one.id)
        return profile
    if checkout.has_running_subscription(one.id):
        lost_time.list_for_staff(
            "customer", one.id,
            f"Stripe's customer {one.id} pays and is marked as subscriber {profile.pk}, who has {profile.stripe_customer_id}"
            " here. Cancel one of the two subscriptions at Stripe, and refund what was paid twice.",
            profile,
        )  # fmt: skip
    return None


def _read_accounts(check: RestoreCheck) -> bool:
    """Accounts of our group that are nobody's here; few, so that one list of ids is enough."""
    known = set(UserProfile.objects.filter(keycloak_id__isnull=False).values_list("keycloak_id", flat=True))
    unknown = sorted(one for one in lost_time.list_accounts() - known if one > check.cursor)
    slice_ = unknown[:SLICE]
    for account in lost_time.read_accounts(slice_):
        lost_time.adopt(check, account)
    if len(unknown) > SLICE:
        return _go_on(check, slice_[-1])
    # A run that was killed before it was saved may have found some of them already.
    found = UserProfile.objects.filter(onboarding_id__in=check.strangers).values_list("onboarding_id", flat=True)
    for mark in sorted(check.strangers.keys() - set(map(str, found))):
        customer = check.strangers[mark]
        lost_time.list_for_staff(
            "paid", customer,
            f"Stripe's customer {customer} pays, signed up in the lost time (mark {mark}), and has no account in Keycloak. Cancel and"
            " refund the subscription at Stripe, and ask them to sign up again.",
        )  # fmt: skip
    return _next(check, Step.MIRRORING)


def _wait_for_mirror(check: RestoreCheck) -> bool:
    """Go on when everybody was mirrored since the restore; who has no job for it gets one."""
    left = _not_mirrored(check)
    waiting = Job.objects.filter(kind=mirror.KIND, key=OuterRef("stripe_customer_id"))
    for customer in left.exclude(Exists(waiting.filter(state__in=[*Job.UNFINISHED, *Job.GIVEN_UP]))).values_list(
        "stripe_customer_id", flat=True
    ):
        mirror.mirror_later(str(customer), reason="after a restore", importance=Job.Importance.SWEEP)
    return not left.exists() and _next(check, Step.ERASURES)


def _not_mirrored(check: RestoreCheck) -> QuerySet[UserProfile]:
    late = Q(subscription_synced_at=None) | Q(subscription_synced_at__lt=check.noticed_at)
    return UserProfile.objects.filter(late, stripe_customer_id__isnull=False)


def _repeat_erasures(check: RestoreCheck) -> bool:
    erased = restore_marker.read_erased()
    ids = Q(keycloak_id__in=erased) | Q(stripe_customer_id__in=erased)
    for profile in UserProfile.objects.filter(ids).order_by("pk") if erased else []:
        lost_time.erase_again(check, profile)
    return _next(check, Step.SUBSCRIBERS)


def _compare_subscribers(check: RestoreCheck) -> bool:
    rows = UserProfile.objects.filter(keycloak_id__isnull=False, pk__gt=int(check.cursor or 0)).select_related("user")
    slice_ = list(rows.order_by("pk")[:SLICE])
    for profile in slice_:
        lost_time.compare(check, profile)
    if len(slice_) == SLICE:
        return _go_on(check, str(slice_[-1].pk))
    withheld = lifecycle_emails.withhold(since=check.noticed_at, sent_until=check.lost_until)
    lost_time.count(check, "emails_withheld", withheld)
    attention.report(
        Cause.RESTORED, restores.DATABASE, f"The check is done: finish it. {restores.describe_loss(check)}"
    )
    return _next(check, Step.READY)


def _go_on(check: RestoreCheck, cursor: str) -> bool:
    check.cursor = cursor
    _save(check)
    return True


def _next(check: RestoreCheck, step: RestoreCheck.Step) -> bool:
    check.step, check.cursor = step, ""
    _save(check)
    return True


def _save(check: RestoreCheck) -> None:
    """RetryLater when staff finished it, or another run went on with it, meanwhile."""
    check.save(update_fields=["step", "cursor", "counts", "strangers"])
    if not RestoreCheck.objects.filter(pk=check.pk, finished_at=None).exists():
        raise RetryLater("The check was finished meanwhile.")


STEPS: dict[RestoreCheck.Step, Callable[[RestoreCheck], bool]] = {
    Step.CUSTOMERS: _read_customers,
    Step.ACCOUNTS: _read_accounts,
    Step.MIRRORING: _wait_for_mirror,
    Step.ERASURES: _repeat_erasures,
    Step.SUBSCRIBERS: _compare_subscribers,
}
