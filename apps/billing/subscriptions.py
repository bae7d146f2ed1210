"""A customer's subscriptions for pages and the policy: typed rows as frozen dataclasses, no call to Stripe."""

import datetime as dt
import functools
import operator
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet

from apps.billing import payment_notes
from apps.billing.models import Subscription
from apps.core import clock
from apps.core.states import SubscriptionStatus, values_where

A_CARDS_TIME = dt.timedelta(minutes=1)  # within which a card has usually paid


@dataclass(frozen=True)
class SubscriptionLine:
    """One line: which product of ours (None: a price we do not know), how many, at which price (minor units, None: unknown)."""

    product_id: int | None
    price_id: str
    quantity: int
    unit_amount: int | None
    currency: str
    interval: str


@dataclass(frozen=True)
class SubscriptionState:
    """One subscription as last fetched. `paid_for_period`, `left_of_period`: minor units, None: not fetched yet.

    `after_trial`: what Stripe does at the trial's end while there is no card, `cancel` or `pause`; empty: it charges. `is_shared`:
    another subscriber pays for it.
    """

    id: str
    status: str
    current_period_end: dt.datetime | None
    trial_end: dt.datetime | None
    after_trial: str
    cancel_at: dt.datetime | None
    ended_at: dt.datetime | None
    past_due_since: dt.datetime | None
    paid_for_period: int | None
    left_of_period: int | None
    money_returned: str
    open_invoice_id: str
    open_invoice_url: str
    next_attempt_at: dt.datetime | None
    attempts_made: int
    payment_due_at: dt.datetime | None
    is_payment_pending: bool
    disputes: list[dict[str, Any]] = field(hash=False)
    pause: str
    pause_ends_at: dt.datetime | None
    lines: tuple[SubscriptionLine, ...]
    is_shared: bool = False

    @property
    def currency(self) -> str:
        """That of its lines; empty when it has none."""
        return self.lines[0].currency if self.lines else ""

    @property
    def dispute_lost_at(self) -> dt.datetime | None:
        """When the newest of the lost disputes was opened."""
        return payment_notes.lost_at(self.disputes)


def end_if_canceled(one: Subscription | SubscriptionState) -> dt.datetime | None:
    """When it ends: of what is canceled, or of what is canceled now; None while Stripe has not said it."""
    in_trial = one.status == SubscriptionStatus.TRIALING
    return one.cancel_at or (one.trial_end if in_trial else None) or one.current_period_end


def read_subscriptions(customer_id: str | None) -> tuple[SubscriptionState, ...]:
    """All subscriptions of a customer, canceled ones included, the oldest first; two queries."""
    if not customer_id:
        return ()
    rows = Subscription.objects.filter(customer_id=customer_id).order_by("stripe_created_at").prefetch_related("items")
    return tuple(_state(row) for row in rows)


def customers_under_terms(
    product_id: int | None = None, *, terms: Collection[str] = (), since: dt.datetime | None = None
) -> QuerySet[Any, Any]:
    """The customers about whom the operator's terms decide, as a subquery: a subscription is late, paused, disputed or over.

    With `product_id` only those of subscriptions to that product; with `terms` only those about whom one of these decides, and of
    who is late only whose payment has been so since then.
    """
    about = {
        "grace": Q(status=SubscriptionStatus.PAST_DUE),
        "expiry": Q(status__in=values_where(SubscriptionStatus, lambda one: one.ended)),
        "paused_closes": ~Q(pause=""),
        "lost_dispute_closes": ~Q(money_returned="") | ~Q(disputes=[]),
    }
    if since is not None:
        about["grace"] &= Q(past_due_since=None) | Q(past_due_since__gt=since)
    wanted = [about[one] for one in terms or about if one in about]
    rows = Subscription.objects.filter(functools.reduce(operator.or_, wanted, Q(pk=None)))
    if product_id is not None:
        rows = rows.filter(items__product=product_id)
    return rows.values("customer_id")


def is_paid(subscription_id: str) -> bool:
    """Whether it was paid, or in its trial, when it was last fetched. One that is active before the money has come is not."""
    running = Subscription.objects.filter(stripe_id=subscription_id)
    paid = Q(status=SubscriptionStatus.ACTIVE, paid_for_period__gt=0)
    return running.filter(paid | Q(status=SubscriptionStatus.TRIALING)).exists()


def awaits_first_payment(customer_id: str | None, *, since: dt.datetime) -> bool:
    """Whether the customer has subscribed since then, and a bank takes its time to pay, as for a debit.

    For a minute a card can look like this, too: while its bank asks, or before all of Stripe's answers are here.
    """
    second = since.replace(microsecond=0)  # Stripe's times have no more
    begun = Subscription.objects.filter(customer_id=customer_id or "", stripe_created_at__gte=second)
    begun = begun.filter(stripe_created_at__lte=clock.now() - A_CARDS_TIME)
    unpaid = Q(status=SubscriptionStatus.ACTIVE, paid_for_period=0)  # some debits open before the money has come
    return begun.filter(Q(status=SubscriptionStatus.INCOMPLETE) | unpaid).exists()


def _state(row: Subscription) -> SubscriptionState:
    return SubscriptionState(
        id=row.stripe_id,
        status=row.status,
        current_period_end=row.current_period_end,
        trial_end=row.trial_end,
        after_trial=row.after_trial,
        cancel_at=row.cancel_at,
        ended_at=row.ended_at,
        past_due_since=row.past_due_since,
        paid_for_period=row.paid_for_period,
        left_of_period=row.left_of_period,
        money_returned=row.money_returned,
        open_invoice_id=row.open_invoice_id,
        open_invoice_url=row.open_invoice_url,
        next_attempt_at=row.next_attempt_at,
        attempts_made=row.attempts_made,
        payment_due_at=row.payment_due_at,
        is_payment_pending=row.is_payment_pending,
        disputes=row.disputes,
        pause=row.pause,
        pause_ends_at=row.pause_ends_at,
        lines=tuple(
            SubscriptionLine(
                item.product_id,
                item.stripe_price_id,
                item.quantity,
                item.unit_amount,
                item.currency,
                item.interval,
            )
            for item in row.items.all()
        ),
    )


def find_open_invoice(customer_id: str | None, invoice_id: str) -> str | None:
    """Stripe's page to pay this invoice, as last fetched; empty when it has none, None when the invoice is not open."""
    rows = Subscription.objects.filter(customer_id=customer_id or "", open_invoice_id=invoice_id)
    return rows.values_list("open_invoice_url", flat=True).first()
