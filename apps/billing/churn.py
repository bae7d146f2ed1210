"""Who left in a time, why, and what they paid: from the typed facts, by the index of subscriptions that have ended.

Promise: a number and the subscribers behind it are one definition, `left_between`, which the console's first page uses too.
"""

import datetime as dt
from typing import Any

from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    TextChoices,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.billing.parsing import BY_STAFF
from apps.core.states import SubscriptionStatus

Rows = QuerySet[Any]
RETURNED = Subscription.MoneyReturned


class Why(TextChoices):
    """Why a subscriber left."""

    CANCELED = "canceled", "Canceled by the subscriber"
    PAYMENT_FAILED = "payment_failed", "Payment failed"
    MONEY_RETURNED = "money_returned", "Refunded or disputed"
    STAFF = "staff", "Canceled by staff"
    TRIAL = "trial", "Left in the trial"
    EXPIRED = "expired", "Expired, or no reason given"


# What subscribers choose from when Stripe asks them why.
FEEDBACK = {
    "too_expensive": "Too expensive",
    "missing_features": "Misses features",
    "switched_service": "Switched to another service",
    "unused": "Does not use it enough",
    "customer_service": "Customer service",
    "too_complex": "Too complex",
    "low_quality": "Quality",
    "other": "Another reason",
}
WHY = Case(
    When(trial_end__gte=F("ended_at"), then=Value(Why.TRIAL)),
    When(cancellation_reason=BY_STAFF, then=Value(Why.STAFF)),
    When(cancellation_reason="payment_failed", then=Value(Why.PAYMENT_FAILED)),
    When(Q(cancellation_reason="payment_disputed") | ~Q(money_returned=RETURNED.NO), then=Value(Why.MONEY_RETURNED)),
    When(cancellation_reason="cancellation_requested", then=Value(Why.CANCELED)),
    default=Value(Why.EXPIRED),
)


def left_between(since: dt.datetime, until: dt.datetime) -> Rows:
    """The subscription that ended last of each customer who left then and has none now, with `why`."""
    gone = UserProfile.objects.filter(
        stripe_customer_id=OuterRef("customer_id"), subscription_status=SubscriptionStatus.CANCELED
    )
    ended = Subscription.objects.filter(ended_at__gte=since, ended_at__lt=until, status=SubscriptionStatus.CANCELED)
    later = Q(ended_at__gt=OuterRef("ended_at")) | Q(ended_at=OuterRef("ended_at"), pk__gt=OuterRef("pk"))
    others = ended.filter(later, customer_id=OuterRef("customer_id"))
    return ended.filter(Exists(gone), ~Exists(others)).annotate(why=WHY)


def narrow_to_left(people: Rows, since: dt.datetime, until: dt.datetime) -> Rows:
    """The subscribers of `left_between`, whatever the reason: without looking for the one that ended last, which long lists feel."""
    ended = Subscription.objects.filter(ended_at__gte=since, ended_at__lt=until, status=SubscriptionStatus.CANCELED)
    return people.filter(
        subscription_status=SubscriptionStatus.CANCELED, stripe_customer_id__in=ended.values("customer_id")
    )


def narrow_people(people: Rows, left: Rows) -> Rows:
    """The subscribers of these subscriptions."""
    return people.filter(stripe_customer_id__in=left.order_by().values("customer_id"))


def count_reasons(since: dt.datetime, until: dt.datetime) -> list[dict[str, Any]]:
    """By reason, feedback and currency: how many left, what they paid in a month, and how many had been there before. One query."""
    paid = Coalesce(Sum("monthly_amount", filter=~Q(why=Why.TRIAL)), 0, output_field=BigIntegerField())
    before = Q(stripe_created_at__lt=since) & (Q(trial_end=None) | Q(trial_end__lt=since))
    rows = left_between(since, until).order_by().values("why", "cancellation_feedback", "currency")
    found = rows.annotate(count=Count("pk"), amount=paid, before=Count("pk", filter=before))
    return list(found.order_by("why", "cancellation_feedback", "currency"))
