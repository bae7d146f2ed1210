"""The mirror in use: what pages read of Stripe's objects is there, says what the facts say, and is what Stripe will charge."""

import random
from typing import Any

import djstripe.models
import pytest
from django.test import Client

from apps.billing import checkout, comparison, copies, mirror
from apps.billing.models import Subscription
from apps.billing.parsing import parse_subscription
from apps.core import attention, jobs
from apps.core.models import Job
from apps.core.money import format_money
from tests.journeys.lives import TURNS, turn
from tests.world import World


def page_of(profile: Any) -> str:
    client = Client()
    client.force_login(profile.user)
    return str(client.get("/dashboard/").content.decode())


@pytest.mark.parametrize("seed", range(3))
def test_facts_and_mirror_agree_after_any_life(world: World, seed: int) -> None:
    chance = random.Random(seed)
    dana = world.subscriber("dana")
    for what in chance.sample(TURNS, len(TURNS)):
        turn(world, dana, what)
        world.deliver()
    for row in Subscription.objects.prefetch_related("items"):
        copy = parse_subscription(djstripe.models.Subscription.objects.get(id=row.stripe_id).stripe_data)
        lines = sorted((item.stripe_item_id, item.stripe_price_id, item.quantity) for item in row.items.all())
        assert (copy.status, copy.leaves_at, copy.customer_id) == (row.status, row.cancel_at, dana.stripe_customer_id)
        assert sorted((line.id, line.price.id, line.quantity) for line in copy.lines) == lines
    assert comparison.find_outdated_copies() == set()
    assert world.jobs() == []


COPIED = (
    "Customer",
    "PaymentMethod",
    "Subscription",
    "SubscriptionItem",
    "Invoice",
    "Charge",
    "Refund",
    "Dispute",
    "Price",
)
OF_THE_ROW = {"djstripe_id", "djstripe_created", "djstripe_updated"}


def all_rows() -> dict[str, dict[str, Any]]:
    """Every row of the mirror, by id, without what dj-stripe keeps about the row itself."""
    return {
        row["id"]: {name: value for name, value in row.items() if name not in OF_THE_ROW}
        for name in COPIED
        for row in getattr(djstripe.models, name).objects.values()
    }


def test_rows_written_together_are_those_of_dj_stripe(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, dana = random.Random(5), world.subscriber("dana", personal=1, storage_100=2)
    for what in chance.sample(TURNS, len(TURNS)):
        turn(world, dana, what)
    world.shop.control("dispute", charge=world.charge(dana))
    world.deliver()
    together = all_rows()
    for name in (*COPIED, "Product"):
        getattr(djstripe.models, name).objects.all().delete()
    monkeypatch.setattr(copies, "_copy_together", lambda *_: False)
    mirror.mirror_customer(dana.stripe_customer_id or "")
    one_by_one = all_rows()
    for row in (*together.values(), *one_by_one.values()):
        if row["id"].startswith("si_"):  # dj-stripe keeps of a line what `copies._digestible` leaves of it
            del row["stripe_data"], row["price_id"]  # and the number of its price's row, which is a new one now
    assert {name: together[name] for name in one_by_one} == one_by_one
    assert {name.partition("_")[0] for name in one_by_one} >= {"cus", "pm", "sub", "si", "in", "ch", "price"}


def test_what_belongs_to_a_deleted_customer_is_shown_as_ended(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.customers.delete(dana.stripe_customer_id or "")
    world.deliver()
    assert djstripe.models.Customer.objects.get(id=dana.stripe_customer_id).stripe_data["deleted"] is True
    assert Subscription.objects.get().status == "canceled"
    assert djstripe.models.Subscription.objects.get().stripe_data["status"] == "canceled"
    assert (world.jobs(), attention.open_items().exists()) == ([], False)


def test_a_copy_that_was_lost_is_made_again_at_night(world: World) -> None:
    dana = world.subscriber("dana")
    world.subscriber("ben")
    copy = djstripe.models.Subscription.objects.filter(id=dana.stripe_subscription_id)
    copy.update(stripe_data=copy.get().stripe_data | {"status": "trialing"})
    assert comparison.find_outdated_copies() == {dana.stripe_customer_id}
    jobs.defer("compare_copies", "tonight")
    world.work()
    assert copy.get().stripe_data["status"] == "active"
    assert comparison.find_outdated_copies() == set()


def test_payment_methods_are_there(world: World) -> None:
    dana = world.subscriber("dana")
    (method,) = djstripe.models.PaymentMethod.objects.filter(stripe_data__customer=dana.stripe_customer_id)
    assert method.stripe_data["card"]["last4"] == "4242"
    assert djstripe.models.Customer.objects.get(id=dana.stripe_customer_id).default_payment_method in {None, method}


def test_the_next_charge_is_what_stripe_will_charge(world: World) -> None:
    """Ecosystem B12: coupons, credit and tax are in Stripe's own sum."""
    dana = world.subscriber("dana", personal=1, storage_100=2)
    assert "€8" in page_of(dana)
    world.shop.control("edit", kind="customer", id=dana.stripe_customer_id, fields={"balance": -250})
    world.shop.v1.customers.update(dana.stripe_customer_id or "", {"name": "Dana E."})
    world.deliver()
    page = page_of(dana)
    assert "€5.50" in page
    world.pass_time(days=32)
    paid = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or "", "limit": 1}).data[0]
    assert paid.amount_paid == 550

    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"cancel_at_period_end": True})
    world.deliver()
    assert Subscription.objects.get().next_charge is None
    assert "You won't be charged again" in page_of(dana)


def test_what_waits_for_the_next_invoice_is_in_the_next_charge(world: World) -> None:
    """Half a period of more storage is charged with the renewal: the page says so before."""
    dana = world.subscriber("dana", personal=1, storage_100=2)
    world.pass_time(days=15)
    (item,) = (one for one in world.stripe_state(dana)["items"]["data"] if one["quantity"] == 2)
    wish: Any = {"items": [{"id": item["id"], "quantity": 4}], "proration_behavior": "create_prorations"}
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", wish)
    world.deliver()
    ahead = world.shop.v1.invoices.create_preview({"subscription": dana.stripe_subscription_id or ""})
    row = Subscription.objects.get()
    assert row.next_charge == ahead.amount_due
    assert row.next_charge is not None
    assert row.next_charge > 1100  # 500 + 4 × 150, and a part of this period's
    assert format_money(row.next_charge, "eur") in page_of(dana)


def test_without_a_preview_the_page_adds_up_the_lines(world: World) -> None:
    dana = world.subscriber("dana")
    Subscription.objects.update(next_charge=None)
    assert "€5" in page_of(dana)


@pytest.mark.parametrize("mode", ["http_500", "http_429"])
@pytest.mark.parametrize("path", ["/v1/payment_methods", "/v1/invoices/create_preview", "/v1/products"])
def test_what_pages_show_never_holds_up_what_decides(world: World, path: str, mode: str) -> None:
    dana = world.subscriber("dana")
    djstripe.models.Price.objects.all().delete()
    djstripe.models.Product.objects.all().delete()
    world.fault("stripe", mode, path=path)
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"cancel_at_period_end": True})
    world.deliver()
    assert Subscription.objects.get().cancel_at is not None
    assert world.jobs() == []
    world.fault("stripe", "ok")
    jobs.defer("compare_copies", "tonight")
    world.work()
    assert comparison.find_outdated_copies() == set()
    assert not attention.open_items().exists()


class Unprintable(dict[str, Any]):
    """An object that no text can be made of."""

    def __str__(self) -> str:
        raise ValueError("Circular reference detected")


def test_an_object_that_cannot_even_be_compared_stops_no_copy(world: World) -> None:
    dana = world.subscriber("dana")
    charge = world.shop.v1.charges.retrieve(world.charge(dana))
    copies.copy_all([Unprintable(object="invoice", id="in_odd"), charge], profiles=[dana.pk])
    (item,) = attention.open_items()
    assert (item.cause, item.key, item.profile_ids) == ("mirror_copy", "invoice in_odd", [dana.pk])
    assert djstripe.models.Charge.objects.filter(id=charge.id).exists()


def test_ids_of_any_length_have_jobs(world: World) -> None:
    long = "cus_" + "x" * 251
    mirror.mirror_later(long, reason="told")
    assert jobs.defer(mirror.KIND, long) == Job.objects.get(key=long).pk


def test_beside_a_subscription_in_a_new_state_no_second_one_is_sold(world: World) -> None:
    dana = world.subscriber("dana")
    subscription = dana.stripe_subscription_id or ""
    world.shop.control("edit", kind="subscription", id=subscription, fields={"status": "hibernating"})
    assert checkout.has_running_subscription(dana.stripe_customer_id or "")
