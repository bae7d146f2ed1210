"""The Stripe customer of one person: whose it is."""

from django.core.exceptions import ValidationError

from apps.accounts.models import UserProfile
from apps.billing.stripe_client import MissingAtStripe, calling_stripe


def find_owner(customer_id: str) -> UserProfile | None:
    """The subscriber for whom we made this customer, by what we wrote at Stripe; None for a customer of somebody else."""
    try:
        with calling_stripe() as client:
            customer = client.v1.customers.retrieve(customer_id)
    except MissingAtStripe:
        return None
    written = None if getattr(customer, "deleted", False) else (customer["metadata"] or {}).get("onboarding_id")
    try:
        return UserProfile.objects.filter(onboarding_id=written).first() if written else None
    except ValidationError:  # another program's metadata of the same name
        return None
