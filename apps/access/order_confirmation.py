"""What somebody has ordered, as the success page and the first email confirm it: from our own rows, without a call.

The law of many countries wants it on something that lasts, which the email is.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

from django.db.models import Prefetch
from django.utils.translation import gettext as _

from apps.accounts.models import Signup, UserProfile
from apps.billing import stripe_objects
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.billing.stripe_objects import InvoiceCopy
from apps.core import legal
from apps.core.money import format_price
from apps.instances.models import Seat


@dataclass(frozen=True)
class OrderedApp:
    """An app with its place: the name and address of the instance."""

    name: str
    instance: str
    url: str


@dataclass(frozen=True)
class ConfirmedLine:
    """One thing that is paid for: `title` with its quantity, `price` for all of it and one period."""

    title: str
    price: str

    @classmethod
    def of(cls, row: UserSubscriptionItem) -> Self:
        name = row.product.name if row.product else _("Other")
        amount = None if row.unit_amount is None else row.unit_amount * row.quantity
        price = format_price(amount, row.currency, row.interval, row.interval_count)
        return cls(
            title=f"{row.quantity} × {name}" if row.quantity != 1 else name,
            price=_("as used") if amount is None else price,
        )


@dataclass(frozen=True)
class OrderConfirmation:
    """One order. `amount`: of the next charge in minor units, None: Stripe has not said it; `withdraw_until`: the last day, None: never.

    `lapses_at`: when a trial ends that has no card. `invoice`: the first one, None while we have no copy of it.
    """

    made_at: dt.datetime
    lines: tuple[ConfirmedLine, ...]
    next_at: dt.datetime | None
    lapses_at: dt.datetime | None
    amount: int | None
    currency: str
    invoice: InvoiceCopy | None
    terms_version: str
    terms_accepted_at: dt.datetime | None
    withdraw_until: dt.date | None

    @property
    def terms_url(self) -> str:
        """Where those terms can be read; empty when the operator has none."""
        return legal.terms_url(self.terms_version) if self.terms_version else ""


def read_order(profile: UserProfile, subscription_id: str | None) -> OrderConfirmation | None:
    """The order of this subscription; None until it is here. Four queries."""
    return read_orders(profile, [subscription_id]).get(subscription_id) if subscription_id else None


def read_orders(profile: UserProfile, subscription_ids: Collection[str]) -> dict[str, OrderConfirmation]:
    """By subscription the orders that are here, in four queries."""
    items = UserSubscriptionItem.objects.filter(profile=profile).select_related("product").order_by("pk")
    rows = Subscription.objects.filter(stripe_id__in=subscription_ids, items__profile=profile).distinct()
    found = list(rows.prefetch_related(Prefetch("items", queryset=items, to_attr="own_items")))
    if not found:
        return {}
    signup = Signup.objects.filter(profile=profile, state=Signup.State.PAID).order_by("-created_at").first()
    invoices = stripe_objects.first_invoices(profile.stripe_customer_id or "", [one.stripe_id for one in found])
    return {one.stripe_id: _order(one, signup, invoices.get(one.stripe_id)) for one in found}


def _order(subscription: Any, signup: Signup | None, invoice: InvoiceCopy | None) -> OrderConfirmation:
    goes_on = subscription.cancel_at is None and subscription.ended_at is None
    lapses = goes_on and bool(subscription.after_trial)
    return OrderConfirmation(
        made_at=subscription.stripe_created_at,
        lines=tuple(map(ConfirmedLine.of, subscription.own_items)),
        next_at=None if lapses or not goes_on else subscription.current_period_end,
        lapses_at=subscription.trial_end if lapses else None,
        amount=subscription.next_charge,
        currency=subscription.next_charge_currency or subscription.currency,
        invoice=invoice,
        terms_version=signup.terms_version if signup else "",
        terms_accepted_at=signup.terms_accepted_at if signup else None,
        withdraw_until=legal.last_day_to_withdraw(subscription.stripe_created_at),
    )


def list_apps(profile: UserProfile) -> tuple[OrderedApp, ...]:
    """The apps that are open to them, each with its place."""
    seats = Seat.objects.filter(profile=profile, state=Seat.State.ASSIGNED).select_related("product", "instance")
    return tuple(OrderedApp(one.product.name, one.instance.name, one.instance.url) for one in seats.order_by("pk"))
