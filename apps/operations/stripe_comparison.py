"""Every hour Stripe's lists of subscriptions, refunds and disputes are compared with our rows, and the customers that differ are mirrored.

Each slice is a job of its own that names the next, so a killed slice is simply repeated. A list that would take access from
many is doubted, not believed: those who would lose are mirrored last, when the whole list was seen, and only if they are few
or staff have confirmed it (safeguard.py).
"""

from django.db.models import QuerySet

from apps.accounts.models import UserProfile
from apps.billing import comparison, mirror, money_comparison
from apps.core import jobs
from apps.core.models import Job
from apps.operations import safeguard

KIND = "compare_subscriptions"
HOUR = 3600


def register() -> None:
    """Make the periodic job kind known."""
    jobs.register(
        KIND,
        compare_subscriptions,
        label="Compare with Stripe",
        needs=("stripe",),
        every=HOUR,
        importance=Job.Importance.SWEEP,
    )


def compare_subscriptions(key: str) -> None:
    """Compare one slice of Stripe's list with ours, mirror the customers that differ, and queue the next slice.

    Raises NeedsOperator when the walk would take access from more than max(20, 5 %): then the list is to be doubted.
    """
    cursor = comparison.Cursor.read(key)
    if not cursor.after:
        if _in_progress():
            return
        safeguard.start_collecting(KIND)
    found = comparison.compare_slice(cursor)
    differ, lose = found.differing, found.losing
    if not cursor.after:
        money = money_comparison.compare_money()
        differ, lose = differ | money.differing, lose | money.losing
    losing = UserProfile.objects.filter(stripe_customer_id__in=lose)
    _mirror(UserProfile.objects.filter(stripe_customer_id__in=differ - lose))
    with_access = losing.filter(access_state__in=safeguard.HAS_ACCESS)
    safeguard.collect(KIND, with_access.values_list("pk", flat=True))
    _mirror(losing.exclude(access_state__in=safeguard.HAS_ACCESS))
    if found.following:
        jobs.defer(KIND, found.following.key(), reason="the next slice")
    else:
        _mirror(UserProfile.objects.filter(pk__in=safeguard.check(KIND, job_key=key)))


def _mirror(profiles: QuerySet[UserProfile]) -> None:
    for customer in profiles.order_by("pk").values_list("stripe_customer_id", flat=True):
        mirror.mirror_later(str(customer), reason="differs from Stripe's list", importance=Job.Importance.SWEEP)


def _in_progress() -> bool:
    return Job.objects.filter(kind=KIND, state__in=[Job.State.QUEUED, Job.State.RUNNING], key__contains=":").exists()
