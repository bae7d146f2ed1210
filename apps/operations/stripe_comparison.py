"""Stripe is compared with our rows, and the customers that differ are mirrored: every hour what changed lately, every night everything.

The hourly run asks for the events of the last hours, for refunds, credit notes and disputes, and for those of whom a date has
come that we know; the nightly one for all subscriptions, too.

Each slice is a job of its own that names the next, so a killed slice is simply repeated. A list that would take access from
many is doubted, not believed: those who would lose are mirrored last, when the whole list was seen, and only if they are few
or staff have confirmed it (safeguard.py).
"""

from django.db.models import QuerySet

from apps.access.terms import read_terms
from apps.accounts.models import UserProfile
from apps.billing import comparison, mirror, money_comparison, recent_changes
from apps.core import jobs
from apps.core.models import Job
from apps.operations import safeguard

KIND = "compare_subscriptions"
RECENT = "compare_recent_changes"
REASON = "differs from Stripe"
HOUR, DAY = 3600, 86_400


def register() -> None:
    """Make the periodic job kinds known."""
    jobs.register(
        RECENT,
        compare_recent_changes,
        label="Compare recent changes with Stripe",
        needs=("stripe",),
        every=HOUR,
        importance=Job.Importance.SWEEP,
    )
    jobs.register(
        KIND,
        compare_subscriptions,
        label="Compare with Stripe",
        needs=("stripe",),
        every=DAY,
        importance=Job.Importance.SWEEP,
    )


def compare_recent_changes(key: str) -> None:
    """Mirror who changed after we last fetched them, and whose money went back; a long list goes on in a further job.

    A change with an event of its own is nobody's mistake in a list; money that went back without one is held to the limit.
    """
    following = key if key.startswith("evt_") else ""
    found = recent_changes.find_changes(following)
    due = frozenset[str]() if following else recent_changes.find_due()
    _mirror(UserProfile.objects.filter(stripe_customer_id__in=found.customers | due))
    if found.following:
        jobs.defer(RECENT, found.following, reason="the next slice")
    if following:
        return
    money = money_comparison.compare_money()
    _mirror(UserProfile.objects.filter(stripe_customer_id__in=money.differing - money.losing))
    losing = UserProfile.objects.filter(stripe_customer_id__in=money.losing)
    _mirror(losing.exclude(access_state__in=safeguard.HAS_ACCESS))
    ids = losing.filter(access_state__in=safeguard.HAS_ACCESS).values_list("pk", flat=True)
    _mirror(UserProfile.objects.filter(pk__in=safeguard.check(RECENT, job_key=key, losing=list(ids))))


def compare_subscriptions(key: str) -> None:
    """Compare one slice of Stripe's list with ours, mirror the customers that differ, and queue the next slice.

    Raises NeedsOperator when the walk would take access from more than max(20, 5 %): then the list is to be doubted.
    """
    cursor = comparison.Cursor.read(key)
    if not cursor.after:
        if _in_progress():
            return
        safeguard.start_collecting(KIND)
    found = comparison.compare_slice(cursor, pause_may_close=read_terms().pause_may_close)
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
        mirror.mirror_later(str(customer), reason=REASON, importance=Job.Importance.SWEEP)


def _in_progress() -> bool:
    return Job.objects.filter(kind=KIND, state__in=[Job.State.QUEUED, Job.State.RUNNING], key__contains=":").exists()
