"""One person's subscription: our row of it, and a change of it at Stripe."""

from typing import Any

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from tests.world import World


def row(profile: UserProfile) -> Subscription:
    return Subscription.objects.get(stripe_id=profile.stripe_subscription_id)


def change(world: World, profile: UserProfile, **wish: Any) -> None:
    """Update it at Stripe, and deliver what Stripe tells of that."""
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", wish)  # type: ignore[arg-type]
    world.deliver()
