"""The saved views of the subscribers: tabs and filters of their list, numbers of the first page, flags on a row. Each by an index."""

import datetime as dt
from typing import Any

from django.db.models import BigIntegerField, Case, CharField, Exists, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Cast

from apps.access import reconcile
from apps.access.models import AccessOverride
from apps.accounts.models import WAITS_FOR_ACCESS, UserProfile
from apps.billing import churn, overview
from apps.billing.models import Subscription
from apps.console.saved_views import SavedView
from apps.core import clock
from apps.core.states import SubscriptionStatus, Tone, values_where
from apps.instances.models import SeatWait
from apps.operations.models import Drift

Rows = QuerySet[Any]
SOON = dt.timedelta(days=7)
EARNS = values_where(SubscriptionStatus, lambda one: one.earns)
WAS_PAID = values_where(SubscriptionStatus, lambda one: one.earns or one == SubscriptionStatus.CANCELED)


def month_start() -> dt.datetime:
    """Of the month that it is, in UTC."""
    return clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _with_subscription(rows: Rows, *conditions: Q, **more: Any) -> Rows:
    """Those whose Stripe customer has a subscription like that."""
    return rows.filter(stripe_customer_id__in=Subscription.objects.filter(*conditions, **more).values("customer_id"))


def _paid_before(moment: dt.datetime) -> Exists:
    begun = Q(trial_end__lt=moment) | Q(trial_end=None)
    of_them = Subscription.objects.filter(customer_id=OuterRef("stripe_customer_id"), status__in=WAS_PAID)
    return Exists(of_them.filter(begun, stripe_created_at__lt=moment))


def new_this_month(rows: Rows) -> Rows:
    """Whose first paid time began this month: with the subscription, or at the end of its trial."""
    start, now = month_start(), clock.now()
    begun = Q(stripe_created_at__gte=start) | Q(trial_end__gte=start, trial_end__lte=now)
    paid = Q(status__in=WAS_PAID) & (Q(trial_end=None) | Q(trial_end__lte=now))
    return _with_subscription(rows, begun, paid).filter(~_paid_before(start))


def lost_this_month(rows: Rows) -> Rows:
    """Whose paid subscription ended this month, and who has none now; why, the report on churn says."""
    return churn.narrow_to_left(rows, month_start(), clock.now() + SOON)


def trials_ending(rows: Rows) -> Rows:
    now = clock.now()
    return _with_subscription(rows, status=SubscriptionStatus.TRIALING, trial_end__gt=now, trial_end__lte=now + SOON)


def renewing(rows: Rows) -> Rows:
    """Whose next period begins within a week and is charged."""
    now, stays = clock.now(), Q(cancel_at=None) | Q(cancel_at__gt=clock.now() + SOON)
    soon = {"current_period_end__gt": now, "current_period_end__lte": now + SOON, "ended_at": None}
    return _with_subscription(rows, stays, status__in=EARNS, **soon)


def stuck(rows: Rows) -> Rows:
    """Whose sync failed, or needs staff. Its job's key is the subscriber's number."""
    number = Case(When(key__regex="^[0-9]{1,18}$", then=Cast("key", BigIntegerField())))
    return rows.filter(pk__in=reconcile.failed_or_blocked().annotate(number=number).values("number"))


def _is_stuck() -> Subquery:
    """The same of the subscriber of a row, by the index of the jobs' keys: a job, or nothing."""
    return Subquery(reconcile.failed_or_blocked().filter(key=Cast(OuterRef("pk"), CharField())).values("pk")[:1])


def with_override(rows: Rows) -> Rows:
    now = clock.now()
    begun = AccessOverride.objects.filter(lifted_at=None, starts_at__lte=now)
    return rows.filter(pk__in=begun.filter(Q(ends_at=None) | Q(ends_at__gt=now)).values("profile"))


def with_drift(rows: Rows) -> Rows:
    ignored = Q(ignored_until__gt=clock.now())
    return rows.filter(pk__in=Drift.objects.filter(~ignored, resolved_at=None).values("profile"))


def _with_customer(rows: Rows, customers: list[str]) -> Rows:
    return rows.filter(stripe_customer_id__in=customers)


VIEWS = (
    SavedView("trial", "Trial", lambda rows: rows.filter(subscription_status=SubscriptionStatus.TRIALING)),
    SavedView(
        "ending", "Ending", lambda rows: _with_subscription(rows, cancel_at__isnull=False, ended_at=None), ("next_change_at", "-pk")
    ),
    SavedView("no_seat", "No seat", lambda rows: rows.filter(pk__in=SeatWait.objects.values("profile")), tone=Tone.BAD),
    SavedView("stuck", "Stuck", stuck, tone=Tone.BAD),
    SavedView("override", "Override", with_override, is_tab=False, tone=Tone.BUSY),
    SavedView("drift", "Drift", with_drift, is_tab=False, tone=Tone.WARN),
    SavedView("bounced", "Emails fail", lambda rows: rows.filter(~Q(email_problem="")), is_tab=False, tone=Tone.BAD),
    SavedView("disputed", "Payment disputed", lambda rows: _with_customer(rows, overview.list_disputed(lost=False)), is_tab=False),
    SavedView("dispute_lost", "Dispute lost", lambda rows: _with_customer(rows, overview.list_disputed(lost=True)), is_tab=False),
    SavedView("returned", "Money went back", lambda rows: _with_customer(rows, overview.list_money_returned()), is_tab=False),
    SavedView("late", "Payment late", lambda rows: rows.filter(
        subscription_status__in=values_where(SubscriptionStatus, lambda one: one.is_late)), is_tab=False),
    SavedView("paying", "Paying", lambda rows: rows.filter(monthly_amount__gt=0), is_tab=False),
    SavedView("new", "New this month", new_this_month, is_tab=False),
    SavedView("lost", "Lost this month", lost_this_month, is_tab=False),
    SavedView("trials_ending", "Trial ends within 7 days", trials_ending, ("next_change_at", "-pk"), is_tab=False),
    SavedView("renewing", "Renews within 7 days", renewing, ("next_change_at", "-pk"), is_tab=False),
    SavedView("waiting", "Paid, waiting for access", lambda rows: rows.filter(WAITS_FOR_ACCESS), ("pending_since", "pk"), is_tab=False),
    SavedView("syncing", "Sync in progress", lambda rows: rows.filter(pending_since__isnull=False), ("pending_since", "pk"), is_tab=False),
)  # fmt: skip
FLAGS = tuple(view for view in VIEWS if view.tone)


def flags_of_rows() -> dict[str, Subquery]:
    """Each flag as a column: something where the subscriber of the row has it. One by one, as `Exists` would read all who have."""
    this = UserProfile.objects.filter(pk=OuterRef("pk"))
    found = {f"flag_{view.key}": Subquery(view.narrow(this).values("pk")[:1]) for view in FLAGS}
    return found | {"flag_stuck": _is_stuck()}
