"""Coupons: what a period costs less, or nothing, and for how long; a free period is paid."""

from typing import Any

import pytest

from apps.billing.models import Subscription
from tests.sandbox.stripe_schema import judge
from tests.world import World


@pytest.mark.parametrize(("coupon", "paid"), [
    ({"percent_off": 100, "duration": "forever"}, (0, 0, 0)),
    ({"percent_off": 100, "duration": "once"}, (0, 500, 500)),
    ({"percent_off": 40, "duration": "repeating", "duration_in_months": 2}, (300, 300, 500)),
    ({"amount_off": 200, "currency": "eur", "duration": "once"}, (300, 500, 500)),
], ids=["free", "free once", "part for months", "amount once"])  # fmt: skip
def test_what_is_paid_with_a_coupon(world: World, coupon: dict[str, Any], paid: tuple[int, ...]) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    assert world.state(dana).access == "canceled"
    made: Any = world.shop.v1.coupons.create(coupon)  # type: ignore[arg-type]
    method = world.shop.v1.payment_methods.list({"customer": dana.stripe_customer_id or ""}).data[0].id
    wish: Any = {"default_payment_method": method, "discounts": [{"coupon": made.id}]}
    started = world.shop.subscribe(dana.stripe_customer_id or "", world.price("personal"), **wish)
    for amount in paid:
        world.deliver()
        assert world.state(dana).access == "active"
        assert Subscription.objects.get(stripe_id=started["id"]).paid_for_period == amount
        found = world.shop.v1.invoices.retrieve(world.stripe_state(dana)["latest_invoice"])
        assert found.last_response is not None
        assert judge().errors(found.last_response.data) == []
        world.pass_time(days=31, seconds=4000)
    assert world.jobs() == []


def test_a_checkout_with_a_coupon_of_all_of_it_is_paid(world: World) -> None:
    made = world.shop.v1.coupons.create({"percent_off": 100, "duration": "forever"})
    wish: Any = {"discounts": [{"coupon": made.id}], "line_items": [{"price": world.price("personal"), "quantity": 1}]}
    session = world.shop.session(**wish)
    assert (session["amount_subtotal"], session["amount_total"]) == (500, 0)
    world.shop.pay(session, email="stranger@example.com")
    assert world.shop.v1.checkout.sessions.retrieve(session["id"]).payment_status == "no_payment_required"
