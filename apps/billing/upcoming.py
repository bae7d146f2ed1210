"""What Stripe will charge next, as Stripe computes it: with discounts, credit and tax. For pages alone, nothing decides by it."""

from collections.abc import Iterable

from apps.billing.models import Subscription
from apps.billing.parsing import SubscriptionFacts, plain, text, whole
from apps.billing.stripe_client import calling_stripe
from apps.core.errors import WorkError


def refresh_next_charges(subscriptions: Iterable[SubscriptionFacts]) -> None:
    """Ask Stripe for the next invoice of each running subscription, and keep its amount. Never raises for Stripe's sake."""
    for one in subscriptions:
        charged = one.status.gives_access and one.leaves_at is None
        amount, currency = _fetch_amount(one.id) if charged else (None, "")
        Subscription.objects.filter(stripe_id=one.id).update(next_charge=amount, next_charge_currency=currency)


def _fetch_amount(subscription_id: str) -> tuple[int | None, str]:
    """What the next invoice asks for, and in which currency; None when Stripe does not say."""
    try:
        with calling_stripe() as client:
            found = plain(client.v1.invoices.create_preview({"subscription": subscription_id}))
    except WorkError:  # there is none, our key may not ask, or Stripe is away: the page adds up the lines
        return None, ""
    return whole(found.get("amount_due")), text(found.get("currency"), 16).lower()
