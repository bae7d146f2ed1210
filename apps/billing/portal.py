"""Stripe's billing portal: one short-lived link per click, never stored. docs.stripe.com/customer-management"""

from typing import Any

from apps.accounts.models import UserProfile
from apps.billing import customers
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.core.errors import NeedsOperator


def open_portal(*, profile: UserProfile, return_url: str, flow: str = "") -> str:
    """A link into the portal for `profile`, `flow`: straight to "payment_method_update". One call to Stripe.

    A customer that was deleted at Stripe is replaced. Raises NeedsOperator when there is none, and the errors of calling_stripe.
    """
    if not profile.stripe_customer_id:
        raise NeedsOperator(f"Subscriber {profile.pk} has no Stripe customer.")
    try:
        return _open(profile, return_url, flow)
    except MissingAtStripe as missing:
        if missing.param != "customer":
            raise
    customers.ensure_customer(profile)
    return _open(profile, return_url, flow)


def _open(profile: UserProfile, return_url: str, flow: str) -> str:
    params: dict[str, Any] = {"customer": profile.stripe_customer_id, "return_url": return_url}
    if flow:
        params["flow_data"] = {"type": flow}
    with calling_stripe() as client:
        return str(client.v1.billing_portal.sessions.create(params)["url"])  # type: ignore[arg-type]  # a checked dict
