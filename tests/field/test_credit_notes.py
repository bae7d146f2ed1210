"""Credit notes, as Stripe's documents describe them (docs.stripe.com/api/credit_notes/create): what was paid and what is left."""

from typing import Any

import pytest
import stripe

from apps.accounts.models import UserProfile
from tests.field.subscriptions import row
from tests.sandbox.stripe_schema import judge
from tests.world import World


def invoice_of(world: World, profile: UserProfile) -> str:
    return str(world.stripe_state(profile)["latest_invoice"])


def credit(world: World, profile: UserProfile, amount: int, **how: Any) -> str:
    made = world.shop.v1.credit_notes.create({"invoice": invoice_of(world, profile), "amount": amount, **how})  # type: ignore[typeddict-item]
    assert made.last_response is not None
    assert judge().errors(made.last_response.data) == []
    world.deliver()
    return made.id


def test_a_credit_note_with_a_refund_counts_once(world: World) -> None:
    """Sibling of case 10: the refund is on the charge and on the credit note."""
    dana = world.subscriber("dana")
    credit(world, dana, 300, refund_amount=300)
    assert (world.state(dana).access, row(dana).paid_for_period, row(dana).left_of_period) == ("active", 500, 200)
    credit(world, dana, 200, refund_amount=200)
    assert (world.state(dana).access, row(dana).left_of_period) == ("suspended", 0)


def test_a_refund_that_a_credit_note_is_linked_to_counts_once(world: World) -> None:
    dana = world.subscriber("dana")
    made = world.shop.control("refund", charge=world.charge(dana), amount=300)
    credit(world, dana, 300, refunds=[{"refund": made["id"], "amount_refunded": 300}])
    assert (world.state(dana).access, row(dana).left_of_period) == ("active", 200)


def test_a_credit_note_and_a_refund_of_their_own_add_up(world: World) -> None:
    dana = world.subscriber("dana")
    credit(world, dana, 300, out_of_band_amount=300)
    world.shop.control("refund", charge=world.charge(dana), amount=100)
    world.deliver()
    assert (world.state(dana).access, row(dana).left_of_period) == ("active", 100)
    world.shop.control("refund", charge=world.charge(dana), amount=100)
    world.deliver()
    assert (world.state(dana).access, row(dana).money_returned) == ("suspended", "refunded")


def test_what_went_back_outside_of_stripe_went_back(world: World) -> None:
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    note = credit(world, dana, 500, out_of_band_amount=500)
    assert (world.state(dana).access, row(dana).left_of_period) == ("suspended", 0)
    assert world.state(eve).access == "active"
    world.shop.control("edit", kind="credit_note", id=note, fields={"status": "void"})
    world.shop.v1.customers.update(dana.stripe_customer_id or "", {"metadata": {"seen": "1"}})
    world.deliver()
    assert (world.state(dana).access, row(dana).left_of_period) == ("active", 500)


def test_what_was_given_back_outside_and_paid_again_gives_access(world: World) -> None:
    dana = world.subscriber("dana")
    credit(world, dana, 500, out_of_band_amount=500)
    made = world.shop.control("invoice", customer=dana.stripe_customer_id, amount=500, currency="eur")
    world.shop.v1.invoices.pay(made["id"], {"payment_method": "pm_card_visa"})
    world.deliver()
    assert world.state(dana).access == "active"


def test_credit_for_later_invoices_locks_nobody_out(world: World) -> None:
    """The money is still with us, and pays the next invoice; of that, nothing can go back."""
    dana = world.subscriber("dana")
    credit(world, dana, 500, credit_amount=500)
    assert (world.state(dana).access, row(dana).left_of_period) == ("active", 500)
    world.pass_time(days=32)
    world.deliver()
    assert (world.state(dana).access, row(dana).paid_for_period, row(dana).money_returned) == ("active", 0, "")
    assert world.jobs() == []


@pytest.mark.parametrize("amount", [200, 500])
def test_a_credit_note_before_the_payment_makes_it_smaller(world: World, amount: int) -> None:
    """All of it: the invoice is paid with nothing, and the person is no longer late."""
    dana = world.subscriber("dana")
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=31, seconds=4000)
    world.deliver()
    assert world.state(dana).access == "suspended"
    credit(world, dana, amount)
    if amount < 500:
        assert world.state(dana).access == "suspended"
        world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
        world.shop.v1.invoices.pay(invoice_of(world, dana))
        world.deliver()
    assert (world.state(dana).access, row(dana).paid_for_period, row(dana).left_of_period) == (
        "active", 500 - amount, 500 - amount,
    )  # fmt: skip


def test_a_key_that_may_not_read_credit_notes_stops_nothing(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.control("settings", missing_rights=["credit_note_read"])
    credit(world, dana, 500, refund_amount=500)
    assert (world.state(dana).access, world.jobs()) == ("suspended", [])


def test_stripe_refuses_a_credit_note_whose_sums_differ(world: World) -> None:
    dana = world.subscriber("dana")
    with pytest.raises(stripe.InvalidRequestError, match="must equal"):
        credit(world, dana, 500, refund_amount=100)


@pytest.mark.parametrize("status", ["issued", "void"])
@pytest.mark.fault("F08")
def test_a_credit_note_whose_event_was_lost_is_found_within_the_hour(world: World, status: str) -> None:
    dana = world.subscriber("dana")
    world.pass_time(seconds=7200)
    world.sweep()
    note = world.shop.v1.credit_notes.create({
        "invoice": invoice_of(world, dana), "amount": 500, "out_of_band_amount": 500,
    }).id  # fmt: skip
    world.skip()
    world.sweep()
    assert (world.state(dana).access, row(dana).left_of_period) == ("suspended", 0)
    world.shop.control("edit", kind="credit_note", id=note, fields={"status": status})
    world.requests.clear()
    world.sweep()
    assert world.state(dana).access == ("suspended" if status == "issued" else "active")
    fetched = [path for _, path, _ in world.requests if path.startswith("/v1/payment_methods")]
    assert len(fetched) == (status == "void")
