"""Pages about money read the mirror, and the mirror agrees with the facts, whatever happened to the money."""

from collections.abc import Callable
from typing import Any

import djstripe.models
import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.billing.stripe_objects import list_money
from tests.world import World

Staff = Callable[..., Client]


def lives() -> dict[str, Callable[[World, UserProfile], None]]:
    """What may happen to somebody who pays."""

    def nothing(_world: World, _profile: UserProfile) -> None:
        return None

    def refunded(world: World, profile: UserProfile) -> None:
        world.shop.control("refund", charge=world.charge(profile), amount=100)

    def disputed(world: World, profile: UserProfile) -> None:
        world.shop.control("dispute", charge=world.charge(profile))

    def late(world: World, profile: UserProfile) -> None:
        world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
        world.pass_time(days=32)

    def renewed(world: World, _profile: UserProfile) -> None:
        world.pass_time(days=65)

    def canceled(world: World, profile: UserProfile) -> None:
        world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")

    return {one.__name__: one for one in (nothing, refunded, disputed, late, renewed, canceled)}


def mirrored(profile: UserProfile) -> dict[str, tuple[Any, ...]]:
    """Of each subscription in the mirror: its status, and price and quantity of each line."""
    rows = djstripe.models.Subscription.objects.filter(customer_id=profile.stripe_customer_id)
    return {row.id: (row.stripe_data["status"], *_lines(row.stripe_data)) for row in rows}


def _lines(data: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted((line["price"]["id"], line["quantity"]) for line in data["items"]["data"])


def facts(profile: UserProfile) -> dict[str, tuple[Any, ...]]:
    """The same by our typed rows."""
    rows = Subscription.objects.filter(customer_id=profile.stripe_customer_id)
    lines = UserSubscriptionItem.objects.filter(profile=profile)
    return {
        row.stripe_id: (
            row.status,
            *sorted((line.stripe_price_id, line.quantity) for line in lines if line.subscription_id == row.pk),
        )
        for row in rows
    }


@pytest.mark.parametrize("life", list(lives().values()), ids=list(lives()))
def test_facts_and_mirror_agree_and_the_money_is_listed(
    life: Callable[[World, UserProfile], None], world: World, staff: Staff
) -> None:
    dana = world.subscriber("dana", plus=1, storage_100=2)
    life(world, dana)
    world.deliver()
    dana.refresh_from_db()

    assert mirrored(dana) == facts(dana)
    at_stripe = {one.id for one in world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or ""}).data}
    at_stripe |= {one.id for one in world.shop.v1.charges.list({"customer": dana.stripe_customer_id or ""}).data}
    listed = list_money(dana.stripe_customer_id or "", limit=50)
    assert {one.row.id for one in listed if one.kind in {"Invoice", "Payment"}} == at_stripe
    assert any(one.kind == "Refund" for one in listed) == (life.__name__ == "refunded")
    assert any(one.kind == "Dispute" for one in listed) == (life.__name__ == "disputed")

    address = reverse("admin:accounts_userprofile_change", args=[dana.pk])
    page = staff("support").get(address, {"tab": "billing"}).content.decode()
    assert "Billing" in page
    assert all(one.row.id in page for one in listed)


def test_somebody_who_never_paid_has_an_empty_list(world: World, staff: Staff) -> None:
    nobody = world.signup("nobody").profile
    assert nobody is None or list_money(nobody.stripe_customer_id or "", limit=5) == []
