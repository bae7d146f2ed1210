"""Coupons: what a period costs less, or nothing, and for how long; a free period is paid."""

from typing import Any

import pytest
import stripe

from apps.accounts.models import UserProfile
from apps.billing.models import Discount, Subscription
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


def by_code(world: World, **coupon: Any) -> str:
    made = world.shop.v1.coupons.create({"percent_off": 40, "duration": "forever"} | coupon)  # type: ignore[arg-type]
    wish: Any = {"promotion": {"type": "coupon", "coupon": made.id}, "code": "SPRING40"}
    return world.shop.v1.promotion_codes.create(wish).id


def discounted(world: World, profile: UserProfile, discounts: Any) -> int | None:
    """What the page says that Stripe charges next, after the subscription got these discounts."""
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", {"discounts": discounts})
    world.deliver()
    return Subscription.objects.get(stripe_id=profile.stripe_subscription_id).next_charge


def test_a_promotion_code_on_a_running_subscription_changes_the_next_charge(world: World) -> None:
    """Sibling of K3: what the page says is what Stripe will charge, from the discount's first moment to its last."""
    dana = world.subscriber("dana")
    assert discounted(world, dana, [{"promotion_code": by_code(world)}]) == 300
    (discount,) = world.stripe_state(dana)["discounts"]
    more = world.shop.v1.coupons.create({"amount_off": 100, "currency": "eur", "duration": "once"}).id
    assert discounted(world, dana, [{"discount": discount}, {"coupon": more}]) == 200
    world.pass_time(days=31, seconds=4000)
    world.deliver()
    row = Subscription.objects.get(stripe_id=dana.stripe_subscription_id)
    assert (row.paid_for_period, row.next_charge) == (200, 300)
    world.shop.v1.subscriptions.delete_discount(dana.stripe_subscription_id or "")
    world.deliver()
    row.refresh_from_db()
    assert (row.next_charge, world.state(dana).access, world.jobs()) == (500, "active", [])


def test_a_coupon_for_once_outlives_a_change_of_plan_before_the_next_invoice(world: World) -> None:
    """The invoice of the change only splits time, which no discount touches: the next period is cheaper, and the report has its row."""
    dana = world.subscriber("dana")
    once = world.shop.v1.coupons.create({"percent_off": 50, "duration": "once"}).id
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"discounts": [{"coupon": once}]})
    (line,) = world.stripe_state(dana)["items"]["data"]
    more: Any = {"items": [{"id": line["id"], "quantity": 2}], "proration_behavior": "always_invoice"}
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", more)
    world.deliver()  # only now: nothing of ours has seen the coupon before the change
    (row,) = Discount.objects.filter(profile=dana)
    assert (row.coupon.stripe_id if row.coupon else "", row.ended_at) == (once, None)
    assert Subscription.objects.get(stripe_id=dana.stripe_subscription_id).next_charge == 500
    world.pass_time(days=31, seconds=4000)
    world.deliver()
    row.refresh_from_db()
    assert row.ended_at is not None
    assert Subscription.objects.get(stripe_id=dana.stripe_subscription_id).paid_for_period == 500


def test_a_checkout_with_a_promotion_code_is_charged_less(world: World) -> None:
    wish: Any = {"discounts": [{"promotion_code": by_code(world)}]}
    session = world.shop.session(price=world.price("personal"), **wish)
    assert (session["amount_subtotal"], session["amount_total"]) == (500, 300)


def test_a_promotion_code_that_is_over_is_refused(world: World) -> None:
    dana, code = world.subscriber("dana"), by_code(world)
    world.shop.control("edit", kind="promotion_code", id=code, fields={"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="not active"):
        discounted(world, dana, [{"promotion_code": code}])
