"""Who comes back pays for what there was, whatever form its lines had at Stripe."""

from typing import Any
from urllib.parse import parse_qsl

import pytest

from apps.accounts.models import UserProfile
from apps.catalog.models import Product, ProductPrice
from apps.core.errors import BadInput
from apps.onboarding import recovery
from tests.world import World

OPENED = ("POST", "/v1/checkout/sessions")


def end(world: World, profile: UserProfile) -> None:
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    world.deliver()
    assert world.state(profile).access == "canceled"


def charged(world: World, profile: UserProfile) -> dict[str, int]:
    """What the Checkout to come back charges for: product to quantity."""
    assert recovery.payment_url(profile)
    sent = [dict(parse_qsl(body)) for method, path, body in world.requests if (method, path) == OPENED][-1]
    names = dict(ProductPrice.objects.values_list("stripe_price_id", "product__slug"))
    prices = [key for key in sent if key.endswith("[price]")]
    return {names[sent[key]]: int(sent[key.replace("[price]", "[quantity]")]) for key in prices}


def test_a_line_of_quantity_zero_is_not_bought_again(world: World) -> None:
    """Sibling of case 33: Stripe refuses a Checkout with none of something."""
    dana = world.subscriber("dana", personal=1, storage_100=2)
    storage = next(
        one for one in world.stripe_state(dana)["items"]["data"] if one["price"]["id"] == world.price("storage_100")
    )
    wish: Any = {"items": [{"id": storage["id"], "quantity": 0}]}
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", wish)
    world.deliver()
    end(world, dana)
    assert charged(world, dana) == {"personal": 1}


def test_a_product_on_two_lines_is_bought_once(world: World) -> None:
    """An old price and a new one of the same product: the page said that it is no longer sold."""
    dana = world.subscriber("dana", personal=1, storage_100=1)
    product = Product.objects.get(slug="storage_100")
    old = world.shop.v1.prices.create({
        "product": product.stripe_product_id or "", "currency": "eur", "unit_amount": 120, "recurring": {"interval": "month"},
    }).id  # fmt: skip
    ProductPrice.objects.create(
        product=product, stripe_price_id=old, interval="month", unit_amount=120, currency="eur", is_active=False
    )
    wish: Any = {"items": [{"price": old, "quantity": 2}]}
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", wish)
    world.deliver()
    end(world, dana)
    assert charged(world, dana) == {"personal": 1, "storage_100": 3}


def test_what_is_mapped_to_nothing_is_for_staff(world: World) -> None:
    dana = world.subscriber("dana")
    wish: Any = {"items": [{"price": world.shop.price(currency="eur")}]}
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", wish)
    world.deliver()
    end(world, dana)
    with pytest.raises(BadInput, match="no longer sold"):
        recovery.payment_url(dana)
