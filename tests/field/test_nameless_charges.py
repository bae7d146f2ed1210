"""Charges that name no customer: their payment or the invoice they pay belongs to one of ours all the same."""

from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent
from tests.field.subscriptions import row
from tests.world import World


def nameless(world: World, profile: UserProfile, *kinds: str) -> str:
    """The person's charge, which names no customer any more; nor does what else is in `kinds`."""
    charge = world.shop.v1.charges.retrieve(world.charge(profile))
    ids = {"charge": charge.id, "payment_intent": charge.payment_intent}
    for kind in ("charge", *kinds):
        world.shop.control("edit", kind=kind, id=ids[kind], fields={"customer": None})
    return charge.id


@pytest.mark.parametrize("kinds", [(), ("payment_intent",)], ids=["payment names it", "invoice names it"])
def test_a_dispute_of_a_charge_without_a_customer_is_ours(world: World, kinds: tuple[str, ...]) -> None:
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    opened = world.shop.control("dispute", charge=nameless(world, dana, *kinds))
    world.deliver()
    assert InboundEvent.objects.get(type="charge.dispute.created").state == "handled"
    assert [each["status"] for each in row(dana).disputes] == ["open"]
    world.shop.control("close_dispute", dispute=opened["id"], status="lost")
    world.deliver()
    assert (world.state(dana).access, row(dana).money_returned) == ("suspended", "dispute_lost")
    assert world.state(eve).access == "active"
    assert world.jobs() == []


@pytest.mark.parametrize("told", [True, False], ids=["told", "events lost"])
def test_a_refund_of_a_charge_without_a_customer_is_ours(world: World, told: bool) -> None:
    dana = world.subscriber("dana")
    charge = nameless(world, dana, "payment_intent")
    world.shop.v1.customers.update(dana.stripe_customer_id or "", {"metadata": {"seen": "1"}})
    world.deliver()
    world.pass_time(seconds=7200)
    world.shop.control("refund", charge=charge)
    if not told:
        world.skip()
        world.sweep()
    world.deliver()
    assert (world.state(dana).access, row(dana).left_of_period) == ("suspended", 0)
    assert world.jobs() == []


def test_a_guests_payment_is_not_ours(world: World) -> None:
    """A payment link that asks for no account makes charges of nobody."""
    world.subscriber("dana")
    guest: Any = world.shop.customer("pm_card_visa")
    world.shop.subscribe(guest)
    charge = world.shop.v1.charges.list({"customer": guest}).data[0]
    for kind, identifier in (("charge", charge.id), ("payment_intent", charge.payment_intent)):
        world.shop.control("edit", kind=kind, id=identifier, fields={"customer": None})
    world.skip()
    world.shop.control("refund", charge=charge.id, amount=100)
    world.shop.control("dispute", charge=charge.id)
    world.deliver()
    told = InboundEvent.objects.filter(type__in=["charge.dispute.created", "charge.refunded", "refund.created"])
    assert set(told.values_list("state", flat=True)) == {"not_ours"}
    world.requests.clear()
    world.sweep()
    assert [path for _, path, _ in world.requests if path.startswith("/v1/invoice_payments")] == []
    assert world.jobs() == []
