"""Siblings of the money cases: trials, credits, swaps and late payments, each with what the person then has."""

from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.models import AttentionItem
from tests.field.subscriptions import change, row
from tests.world import World

DAY = 86_400


def invoices(world: World, profile: UserProfile) -> list[str]:
    found = world.shop.v1.invoices.list({"customer": profile.stripe_customer_id or "", "limit": 100}).data
    return [one.id for one in found][::-1]


def charges(world: World, profile: UserProfile) -> list[str]:
    found = world.shop.v1.charges.list({"customer": profile.stripe_customer_id or "", "limit": 100}).data
    return [one.id for one in found if one.status == "succeeded"][::-1]


def refund(world: World, charge: str, **more: Any) -> None:
    world.shop.control("refund", charge=charge, **more)
    world.deliver()


def late(world: World, name: str = "dana") -> UserProfile:
    """Somebody whose renewal was declined."""
    profile = world.subscriber(name)
    world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
    world.pass_time(days=31, seconds=4000)
    world.deliver()
    return profile


def test_a_payment_refunded_when_a_trial_was_given_instead_locks_nobody_out(world: World) -> None:
    """laravel/cashier-stripe#884: staff extend a trial, also of somebody who has paid; nothing is due in it."""
    dana = world.subscriber("dana")
    change(world, dana, trial_end=clock.timestamp() + 20 * DAY, proration_behavior="none")
    refund(world, charges(world, dana)[0])
    assert (world.state(dana).access, world.state(dana).subscription) == ("active", "trialing")
    world.pass_time(days=21)
    world.deliver()
    assert (world.state(dana).access, row(dana).paid_for_period) == ("active", 500)


def test_a_lost_dispute_suspends_in_a_trial_too(world: World) -> None:
    dana = world.subscriber("dana")
    change(world, dana, trial_end=clock.timestamp() + 20 * DAY, proration_behavior="none")
    made = world.shop.control("dispute", charge=charges(world, dana)[0])
    world.shop.control("close_dispute", dispute=made["id"], status="lost")
    world.deliver()
    assert (world.state(dana).access, row(dana).money_returned) == ("suspended", "dispute_lost")


def test_what_a_dropped_line_cost_in_an_earlier_period_pays_for_none_of_now(world: World) -> None:
    """A period begun anew, by a trial or an anchor, leaves lines of the former one that still cover today."""
    dana = world.subscriber("dana", plus=1, storage_100=2)
    storage = next(one for one in world.stripe_state(dana)["items"]["data"] if one["quantity"] == 2)
    world.pass_time(days=10)
    change(world, dana, billing_cycle_anchor="now", proration_behavior="none")
    change(world, dana, items=[{"id": storage["id"], "deleted": True}], proration_behavior="none")
    assert world.state(dana).access == "active"
    refund(world, charges(world, dana)[-1])
    assert (world.state(dana).access, row(dana).money_returned) == ("suspended", "refunded")


@pytest.mark.parametrize("behaviour", ["always_invoice", "create_prorations", "none"])
def test_a_swapped_line_is_one_subscription_without_a_gap(world: World, behaviour: str) -> None:
    """stripe/stripe-php#877: the old line is deleted and a new one added, in one call."""
    dana = world.subscriber("dana")
    (line,) = world.stripe_state(dana)["items"]["data"]
    world.pass_time(days=5)
    items = [{"id": line["id"], "deleted": True}, {"price": world.price("plus")}]
    change(world, dana, items=items, proration_behavior=behaviour)
    assert world.state(dana).items == ((world.price("plus"), 1),)
    assert (world.state(dana).access, row(dana).money_returned) == ("active", "")
    assert world.state(dana).attributes["storage_gb"] == "500"
    world.pass_time(days=28)
    world.deliver()
    assert (world.state(dana).access, world.jobs()) == ("active", [])


def test_an_older_invoice_that_stays_open_does_not_matter(world: World) -> None:
    """Stripe goes by the latest invoice alone (fossasia/eventyay-business#88)."""
    world.shop.control("settings", end="past_due")
    dana = late(world)
    assert world.state(dana).access == "suspended"
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    world.pass_time(days=31)
    world.deliver()
    assert (world.state(dana).access, row(dana).past_due_since) == ("active", None)
    refund(world, charges(world, dana)[0])
    assert world.state(dana).access == "active"


@pytest.mark.parametrize("end", ["void", "mark_uncollectible"])
def test_a_late_invoice_that_nobody_expects_any_more(world: World, end: str, settings: Any) -> None:
    """polarsource/polar#5305: what access follows is Stripe's status, and grace has an end."""
    settings.PAYMENT_GRACE_DAYS = 40
    world.shop.control("settings", end="past_due")
    dana = late(world)
    assert world.state(dana).access == "grace"
    invoice = invoices(world, dana)[-1]
    getattr(world.shop.v1.invoices, f"{end}_invoice" if end == "void" else end)(invoice)
    world.deliver()
    status = world.stripe_state(dana)["status"]
    assert world.state(dana).access == ("grace" if status == "past_due" else "active")
    assert world.jobs() == []


def test_unpaid_and_then_paid_opens_again(world: World) -> None:
    world.shop.control("settings", end="unpaid", retry_days=[1])
    dana = late(world)
    world.pass_time(days=2)
    world.deliver()
    assert (world.state(dana).access, world.state(dana).subscription) == ("suspended", "unpaid")
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    world.shop.v1.invoices.pay(invoices(world, dana)[-1])
    world.deliver()
    assert (world.state(dana).access, world.state(dana).subscription) == ("active", "active")


def ended_unpaid(world: World) -> UserProfile:
    """Somebody whose subscription Stripe ended because the renewal was not paid."""
    world.shop.control("settings", end="cancel", retry_days=[1])
    dana = late(world)
    world.pass_time(days=2)
    world.deliver()
    assert world.state(dana).access == "canceled"
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    return dana


def open_items(cause: str) -> list[AttentionItem]:
    return list(AttentionItem.objects.filter(cause=cause, resolved_at=None))


@pytest.mark.parametrize("told", [True, False], ids=["told", "events lost"])
def test_an_invoice_paid_after_the_end_is_told_with_its_refund(world: World, told: bool) -> None:
    """andrei-tatar/node-red-contrib-smartnora#337, hackerai-tech/hackerai#956: paid, and nothing comes back by itself."""
    dana, eve = ended_unpaid(world), world.subscriber("eve")
    world.shop.v1.invoices.pay(invoices(world, dana)[-1])
    if not told:
        world.skip()
        world.shop.v1.customers.update(dana.stripe_customer_id or "", {"metadata": {"seen": "1"}})
    world.deliver()
    assert (world.state(dana).access, world.state(eve).access) == ("canceled", "active")
    (item,) = open_items("paid_after_end")
    assert (item.profile_ids, "€5" in item.sentence) == ([dana.pk], True)
    assert f"paid for {dana.stripe_subscription_id} after" in item.sentence
    refund(world, charges(world, dana)[-1])
    assert open_items("paid_after_end") == []
    assert world.jobs() == []


def test_the_end_of_what_was_paid_before_is_no_item(world: World) -> None:
    """A final invoice is for the time before the end; and who cancels has paid for the whole period."""
    dana = world.subscriber("dana")
    change(world, dana, items=[{"price": world.price("storage_100")}], proration_behavior="create_prorations")
    world.pass_time(days=3)
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "", {"invoice_now": True, "prorate": True})
    world.deliver()
    assert world.state(dana).access == "canceled"
    assert open_items("paid_after_end") == []


def test_who_pays_late_and_signs_up_again_is_told_all_the_same(world: World) -> None:
    dana = ended_unpaid(world)
    first = dana.stripe_subscription_id
    method = world.shop.v1.payment_methods.list({"customer": dana.stripe_customer_id or ""}).data[0].id
    world.shop.subscribe(dana.stripe_customer_id or "", world.price("personal"), default_payment_method=method)
    world.deliver()
    assert world.state(dana).access == "active"
    world.shop.v1.invoices.pay(next(one for one in invoices(world, dana)[::-1] if status(world, one) == "open"))
    world.deliver()
    (item,) = open_items("paid_after_end")
    assert f"paid for {first} after" in item.sentence
    assert world.state(dana).access == "active"


def status(world: World, invoice: str) -> str:
    return str(world.shop.v1.invoices.retrieve(invoice).status)


def test_a_debit_that_arrives_after_the_end_is_told(world: World) -> None:
    dana = world.subscriber("dana")
    customer = dana.stripe_customer_id or ""
    method = world.shop.v1.payment_methods.attach("pm_usBankAccount", {"customer": customer}).id
    change(world, dana, default_payment_method=method)
    world.pass_time(days=32)
    world.deliver()
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    assert world.state(dana).access == "canceled"
    world.pass_time(days=1)
    world.shop.control("async", invoice=invoices(world, dana)[-1], paid=True)
    world.deliver()
    assert len(open_items("paid_after_end")) == 1


def test_a_zero_invoice_paid_after_the_end_is_nothing(world: World) -> None:
    dana = ended_unpaid(world)
    note: Any = {"invoice": invoices(world, dana)[-1], "amount": 500}
    world.shop.v1.credit_notes.create(note)
    world.deliver()
    assert (world.state(dana).access, open_items("paid_after_end")) == ("canceled", [])


@pytest.mark.parametrize("card", [True, False], ids=["with a card", "without"])
def test_a_trial_that_ends(world: World, card: bool) -> None:
    dana = world.subscriber("dana")
    change(world, dana, trial_end=clock.timestamp() + 5 * DAY, proration_behavior="none")
    customer = dana.stripe_customer_id or ""
    if not card:
        for method in world.shop.v1.payment_methods.list({"customer": customer}).data:
            world.shop.v1.payment_methods.detach(method.id)
        world.deliver()
    assert world.state(dana).access == "active"
    world.pass_time(days=6)
    world.deliver()
    assert world.state(dana).access == ("active" if card else "suspended")
    assert world.jobs() == []


def test_an_anchor_moved_to_now_begins_a_period_that_is_paid(world: World) -> None:
    dana = world.subscriber("dana")
    world.pass_time(days=10)
    change(world, dana, billing_cycle_anchor="now", proration_behavior="none")
    old, new = charges(world, dana)
    refund(world, old)
    assert (world.state(dana).access, row(dana).left_of_period) == ("active", 500)
    refund(world, new)
    assert world.state(dana).access == "suspended"


@pytest.mark.parametrize("way", ["cancel_at", "cancel_at_period_end"])
def test_a_planned_end_and_its_undoing(world: World, way: str) -> None:
    dana = world.subscriber("dana")
    change(world, dana, **{way: clock.timestamp() + 40 * DAY if way == "cancel_at" else True})
    assert row(dana).cancel_at is not None
    assert row(dana).next_charge is None or way == "cancel_at"
    change(world, dana, **{way: "" if way == "cancel_at" else False})
    assert (row(dana).cancel_at, row(dana).next_charge, world.state(dana).access) == (None, 500, "active")
