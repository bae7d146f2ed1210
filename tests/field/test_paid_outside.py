"""A payment link, or Checkout opened elsewhere, sells our price to somebody without an account: staff hear of it once."""

from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent
from apps.core import jobs
from apps.core.models import AttentionItem
from tests.world import World


def buy(world: World, *prices: str, email: str = "guest@example.com", **more: Any) -> dict[str, Any]:
    """Checkout as a payment link opens it: without a customer, and without our signup."""
    session = world.shop.v1.checkout.sessions.create({
        "mode": "subscription", "success_url": "https://elsewhere.example.com/thanks", "customer_email": email,
        "line_items": [{"price": price, "quantity": 1} for price in prices], **more,
    })  # fmt: skip
    world.shop.pay({"url": session.url, "client_secret": ""})
    return world.shop.v1.checkout.sessions.retrieve(session.id).to_dict()


def open_items() -> list[AttentionItem]:
    return list(AttentionItem.objects.filter(resolved_at=None))


def test_a_payment_link_paid_by_somebody_unknown_is_one_item(world: World) -> None:
    session = buy(world, world.price("plus"))
    world.deliver()
    (item,) = open_items()
    assert (item.cause, item.key, item.profile_ids) == ("paid_without_account", session["customer"], [])
    assert f"{session['customer']} pays for 1 × Plus (€9 per month), without an account here" in item.sentence
    assert f"Cancel {session['subscription']} and refund €9" in item.sentence
    assert "@" not in item.sentence
    states = set(InboundEvent.objects.exclude(state="ignored").values_list("state", flat=True))
    assert (states, world.jobs(), UserProfile.objects.count()) == ({"not_ours"}, [], 0)
    world.shop.v1.subscriptions.update(session["subscription"], {"metadata": {"note": "again"}})
    world.deliver()
    assert [one.pk for one in open_items()] == [item.pk]
    world.shop.v1.subscriptions.cancel(session["subscription"])
    world.deliver()
    assert (open_items(), world.jobs()) == ([], [])


@pytest.mark.parametrize("how", ["the customer is deleted", "the event is lost"])
def test_the_item_ends_with_what_is_paid_for(world: World, how: str) -> None:
    session = buy(world, world.price("personal"))
    world.deliver()
    if how == "the event is lost":
        world.shop.v1.subscriptions.cancel(session["subscription"])
        world.skip()
        jobs.defer("recheck_customers", "test", reason="test")
    else:
        world.shop.v1.customers.delete(session["customer"])
    world.deliver()
    assert (open_items(), world.jobs()) == ([], [])


def test_the_item_ends_when_a_subscriber_has_the_customer(world: World) -> None:
    session = buy(world, world.price("personal"))
    world.deliver()
    dana = world.subscriber("dana")
    UserProfile.objects.filter(pk=dana.pk).update(stripe_customer_id=session["customer"])
    world.shop.v1.customers.update(session["customer"], {"metadata": {"note": "moved"}})
    world.deliver()
    assert open_items() == []


def test_who_signs_up_afterwards_pays_twice(world: World) -> None:
    session = buy(world, world.price("personal"), email="dana@example.com")
    world.deliver()
    dana = world.subscriber("dana")
    jobs.defer("recheck_customers", "test", reason="test")
    world.deliver()
    (item,) = open_items()
    assert (item.cause, item.key, item.profile_ids) == ("second_subscription", session["customer"], [dana.pk])


def test_of_a_mixed_customer_only_what_we_sell_is_named(world: World) -> None:
    session = buy(world, world.price("personal"))
    method = world.shop.v1.payment_methods.list({"customer": session["customer"]}).data[0].id
    product = world.shop.v1.products.create({"name": "Coffee"}).id
    price = {"product": product, "currency": "eur", "unit_amount": 700, "recurring": {"interval": "month"}}
    coffee = world.shop.v1.prices.create(price).id  # type: ignore[arg-type]
    other = world.shop.subscribe(session["customer"], coffee, default_payment_method=method)["id"]
    world.deliver()
    (item,) = open_items()
    assert session["subscription"] in item.sentence
    assert other not in item.sentence


@pytest.mark.parametrize("kind", ["another shop's price", "not paid yet"])
def test_what_is_no_sale_of_ours_is_no_item(world: World, kind: str) -> None:
    if kind == "another shop's price":
        buy(world, world.shop.price())
    else:
        guest = world.shop.v1.customers.create({"email": "guest@example.com"}).id
        world.shop.subscribe(guest, world.price("plus"), payment_behavior="default_incomplete")
    world.deliver()
    assert (open_items(), world.jobs()) == ([], [])


def test_an_event_processed_again_after_its_body_was_pruned(world: World) -> None:
    buy(world, world.shop.price())
    world.deliver()
    InboundEvent.objects.update(body="")
    for event in InboundEvent.objects.filter(type__startswith="customer.subscription."):
        jobs.defer("handle_event", event.stripe_event_id, reason="staff")
    world.work()
    assert world.jobs() == world.jobs("dead", "blocked") == []
