"""What Stripe will charge next, as Stripe computes it: with discounts, credit and tax. For pages alone, nothing decides by it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from apps.billing.models import Subscription
from apps.billing.parsing import SubscriptionFacts, plain, text, whole
from apps.billing.stripe_client import calling_stripe
from apps.core.errors import WorkError


@dataclass(frozen=True)
class NextCharge:
    """What the next invoice asks for, in minor units; None: Stripe does not say. `tax`: how much of it is tax, if any is."""

    amount: int | None = None
    currency: str = ""
    tax: int | None = None


def fetch_next_charges(subscriptions: Iterable[SubscriptionFacts]) -> dict[str, NextCharge]:
    """Ask Stripe for the next invoice of each subscription that goes on, by id. Never raises for Stripe's sake."""
    return {one.id: _fetch(one.id) if _goes_on(one) else NextCharge() for one in subscriptions}


def _goes_on(one: SubscriptionFacts) -> bool:
    """Whether it runs, is not to end, and is no trial that ends for want of a card."""
    return one.status.gives_access and one.leaves_at is None and not one.after_trial


def store_next_charges(charges: dict[str, NextCharge]) -> None:
    """Keep what Stripe said."""
    for subscription_id, found in charges.items():
        Subscription.objects.filter(stripe_id=subscription_id).update(
            next_charge=found.amount, next_charge_currency=found.currency, next_charge_tax=found.tax
        )


def _fetch(subscription_id: str) -> NextCharge:
    try:
        with calling_stripe() as client:
            found = plain(client.v1.invoices.create_preview({"subscription": subscription_id}))
    except WorkError:  # there is none, our key may not ask, or Stripe is away: the page adds up the lines
        return NextCharge()
    amount = whole(found.get("amount_due"))
    return NextCharge(amount, text(found.get("currency"), 16).lower(), _tax(found) if amount else None)


def _tax(invoice: dict[str, Any]) -> int | None:
    """How much tax is in what is due; None when there is none, or when credit pays a part of it."""
    taxes = invoice.get("total_taxes")
    found = sum(whole(plain(one).get("amount")) or 0 for one in taxes) if isinstance(taxes, list) else 0
    return found if found and invoice.get("amount_due") == invoice.get("total") else None
