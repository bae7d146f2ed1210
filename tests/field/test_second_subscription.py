"""One person, one subscription: a second one that runs is found within minutes, grants nothing twice, and staff read the refund."""

from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.core.models import AttentionItem
from apps.operations import bulk_facts
from tests.world import World


def open_items() -> list[AttentionItem]:
    return list(AttentionItem.objects.filter(cause="second_subscription", resolved_at=None))


def subscribe_again(world: World, profile: UserProfile, slug: str = "personal", customer: str = "", **wish: Any) -> str:
    """As staff do it in Stripe's dashboard, or a payment link does."""
    owner = customer or profile.stripe_customer_id or ""
    if not customer:
        method = world.shop.v1.payment_methods.list({"customer": owner}).data[0].id
        wish["default_payment_method"] = method
    return str(world.shop.subscribe(owner, world.price(slug), **wish)["id"])


def last_payment(world: World, subscription: str) -> str:
    invoice = world.shop.v1.invoices.list({"subscription": subscription}).data[0].id
    payment = world.shop.v1.invoice_payments.list({"invoice": invoice}).data[0].payment
    return str(payment.payment_intent)


@pytest.mark.parametrize("told", [True, False], ids=["by its event", "by what Stripe could not deliver"])
@pytest.mark.fault("F17")
def test_a_second_subscription_is_found_and_grants_nothing_twice(world: World, told: bool) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=2)
    before = world.state(dana)
    second = subscribe_again(world, dana)
    if not told:
        world.skip()
        world.sweep()
    world.deliver()
    after = world.state(dana)
    assert (after.access, after.attributes, after.seats, after.groups) == (
        before.access, before.attributes, before.seats, before.groups
    )  # fmt: skip
    assert after.attributes["storage_gb"] == "300"
    (item,) = open_items()
    assert item.profile_ids == [dana.pk]
    assert f"Cancel {second} and refund €5, its last payment ({last_payment(world, second)})." in item.sentence
    assert world.jobs() == []
    world.shop.v1.subscriptions.cancel(second)
    world.deliver()
    assert open_items() == []
    assert world.state(dana).attributes == before.attributes


def test_of_two_plans_the_dearer_counts_and_both_give_their_apps(world: World) -> None:
    dana = world.subscriber("dana")
    subscribe_again(world, dana, "plus")
    world.deliver()
    attributes = world.state(dana).attributes
    assert (attributes["storage_gb"], attributes["has_vaultwarden"]) == ("500", "true")
    assert len(open_items()) == 1
    assert bulk_facts.decide_many(UserProfile.objects.all())[dana.pk].entitlements.grants == {"storage_gb": 500}


def test_an_addon_on_a_subscription_of_its_own_is_given(world: World) -> None:
    """Staff sometimes sell it so, because Stripe mixes no intervals; they are told all the same."""
    dana = world.subscriber("dana")
    subscribe_again(world, dana, "storage_100")
    world.deliver()
    assert world.state(dana).attributes["storage_gb"] == "200"
    assert len(open_items()) == 1


def test_when_the_first_is_late_the_second_gives_access(world: World) -> None:
    world.shop.control("settings", end="past_due")
    dana = world.subscriber("dana")
    first = dana.stripe_subscription_id or ""
    subscribe_again(world, dana)
    world.shop.control("edit", kind="subscription", id=first, fields={"status": "past_due"})
    world.shop.v1.customers.update(dana.stripe_customer_id or "", {"name": "Dana Changed"})
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.attributes["storage_gb"]) == ("active", "100")


def test_a_trial_beside_a_paid_one_has_nothing_to_refund(world: World) -> None:
    dana = world.subscriber("dana")
    second = subscribe_again(world, dana, trial_period_days=7)
    world.deliver()
    assert f"Cancel {second}; nothing was paid for it." in open_items()[0].sentence


def test_the_same_person_as_another_customer_is_found(world: World) -> None:
    """A payment link makes a customer of its own."""
    dana = world.subscriber("dana")
    guest = world.shop.v1.customers.create({"email": "Dana@Example.com", "payment_method": "pm_card_visa"}).id
    method = world.shop.v1.payment_methods.list({"customer": guest}).data[0].id
    before = world.state(dana)
    second = subscribe_again(world, dana, customer=guest, default_payment_method=method)
    world.deliver()
    assert world.state(dana) == before
    (item,) = open_items()
    assert (item.key, item.profile_ids) == (guest, [dana.pk])
    assert f"Cancel {second} and refund €5" in item.sentence
    world.shop.v1.subscriptions.cancel(second)
    world.deliver()
    assert open_items() == []
    assert world.jobs() == []


def test_somebody_else_who_buys_something_else_is_no_item(world: World) -> None:
    world.subscriber("dana")
    namesake = world.shop.v1.customers.create({"email": "dana@example.com", "payment_method": "pm_card_visa"}).id
    method = world.shop.v1.payment_methods.list({"customer": namesake}).data[0].id
    world.shop.subscribe(namesake, world.shop.price(), default_payment_method=method)
    stranger = world.shop.customer("pm_card_visa")
    world.shop.subscribe(stranger, world.price("plus"))
    world.deliver()
    assert open_items() == []
    assert world.jobs() == []
