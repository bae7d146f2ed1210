"""What Stripe will charge next, as Stripe computes it: with discounts, credit and tax. For pages alone, nothing decides by it."""

from collections.abc import Iterable

from apps.billing.models import Subscription
from apps.billing.parsing import SubscriptionFacts, plain, text, whole
from apps.billing.stripe_client import calling_stripe
from apps.core.errors import WorkError


def fetch_next_charges(subscriptions: Iterable[SubscriptionFacts]) -> dict[str, tuple[int | None, str]]:
    """Ask Stripe for the next invoice of each running subscription: amount and currency by id. Never raises for Stripe's sake."""
    return {
        one.id: _fetch_amount(one.id) if one.status.gives_access and one.leaves_at is None else (None, "")
        for one in subscriptions
    }


def store_next_charges(charges: dict[str, tuple[int | None, str]]) -> None:
    """Keep what Stripe said."""
    for subscription_id, (amount, currency) in charges.items():
        Subscription.objects.filter(stripe_id=subscription_id).update(next_charge=amount, next_charge_currency=currency)


def _fetch_amount(subscription_id: str) -> tuple[int | None, str]:
    """What the next invoice asks for, and in which currency; None when Stripe does not say."""
    try:
        with calling_stripe() as client:
            found = plain(client.v1.invoices.create_preview({"subscription": subscription_id}))
    except WorkError:  # there is none, our key may not ask, or Stripe is away: the page adds up the lines
        return None, ""
    return whole(found.get("amount_due")), text(found.get("currency"), 16).lower()
