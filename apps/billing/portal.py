"""Stripe's billing portal: one short-lived link per click, never stored. docs.stripe.com/customer-management"""

from typing import Any

from apps.accounts.models import UserProfile
from apps.billing import customers
from apps.billing.checkout_features import page_locale
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.core.errors import NeedsOperator

CARD = "payment_method_update"


def open_payment_method(*, profile: UserProfile, return_url: str) -> str:
    """A link to one page of the portal, for a new card, and from there only back: who has it sees no invoice and no plan."""
    after = {"type": "redirect", "redirect": {"return_url": return_url}}
    return _open_any(profile, {"return_url": return_url, "flow_data": {"type": CARD, "after_completion": after}})


def open_portal(*, profile: UserProfile, return_url: str, flow: str = "") -> str:
    """A link into the portal for `profile`, `flow`: straight to "payment_method_update". One call to Stripe.

    Raises NeedsOperator when there is no customer, and the errors of calling_stripe.
    """
    return _open_any(profile, {"return_url": return_url} | ({"flow_data": {"type": flow}} if flow else {}))


def _open_any(profile: UserProfile, params: dict[str, Any]) -> str:
    """A customer that was deleted at Stripe is replaced."""
    if not profile.stripe_customer_id:
        raise NeedsOperator(f"Subscriber {profile.pk} has no Stripe customer.")
    try:
        return _open(profile, params)
    except MissingAtStripe as missing:
        if missing.param != "customer":
            raise
    customers.ensure_customer(profile)
    return _open(profile, params)


def _open(profile: UserProfile, params: dict[str, Any]) -> str:
    params = params | {"customer": profile.stripe_customer_id, "locale": page_locale()}
    with calling_stripe() as client:
        return str(client.v1.billing_portal.sessions.create(params)["url"])  # type: ignore[arg-type]  # a checked dict
