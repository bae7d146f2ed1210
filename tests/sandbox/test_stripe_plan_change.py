"""Changes of a subscription in the sandbox: previewed, refused unpaid, or waiting for their payment, as at Stripe."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_fixture import ASKS, FAILS_LATER, GOOD, Shop

CARD = {"exp": "12/34", "cvc": "123", "name": "Dana Example"}


def use_card(shop: Shop, made: dict[str, Any], card: str) -> None:
    shop.post(shop.portal(made["customer"]), action="card", card=card, authentication="confirm", **CARD)


def change(shop: Shop, made: dict[str, Any], price: str, behavior: str) -> dict[str, Any]:
    items: Any = [{"id": made["items"]["data"][0]["id"], "price": price}]
    wish: Any = {"items": items, "proration_behavior": "always_invoice", "payment_behavior": behavior}
    return shop.v1.subscriptions.update(made["id"], wish | {"expand": ["latest_invoice"]}).to_dict()


def price_of(shop: Shop, made: dict[str, Any]) -> str:
    return str(shop.subscription(made["id"])["items"]["data"][0]["price"]["id"])


def test_a_preview_says_what_the_change_then_charges(shop: Shop) -> None:
    made, other = shop.subscribe(), shop.price(3000)
    shop.pass_time(days=10)
    details: Any = {
        "items": [{"id": made["items"]["data"][0]["id"], "price": other}, {"price": shop.price(500), "quantity": 2}],
        "proration_behavior": "always_invoice",
    }
    shown = shop.v1.invoices.create_preview({"subscription": made["id"], "subscription_details": details})
    wish: Any = {"subscription": made["id"], "preview_mode": "recurring", "subscription_details": details}
    assert shop.v1.invoices.create_preview(wish).total == 4000
    assert price_of(shop, made) != other
    shop.v1.subscriptions.update(made["id"], details)
    latest = shop.v1.invoices.list({"subscription": made["id"]}).data[0]
    assert (latest.total, latest.status) == (shown.total, "paid")
    assert 1900 < shown.total < 2100  # two thirds of 40, less two thirds of 10


def test_without_the_money_nothing_changes(shop: Shop) -> None:
    made, other = shop.subscribe(), shop.price(3000)
    before = price_of(shop, made)
    for card, code in ((FAILS_LATER, "card_declined"), (ASKS, "authentication_required")):
        use_card(shop, made, card)
        with pytest.raises(stripe.CardError) as refused:
            change(shop, made, other, "error_if_incomplete")
        assert refused.value.code == code
    assert (price_of(shop, made), shop.subscription(made["id"])["status"]) == (before, "active")
    assert len(shop.v1.invoices.list({"subscription": made["id"]}).data) == 1


def test_a_change_waits_for_its_payment(shop: Shop) -> None:
    made, other = shop.subscribe(), shop.price(3000)
    before = price_of(shop, made)
    use_card(shop, made, ASKS)
    waits = change(shop, made, other, "pending_if_incomplete")
    assert waits["pending_update"]["subscription_items"][0]["price"]["id"] == other
    assert price_of(shop, made) == before
    shop.post(waits["latest_invoice"]["hosted_invoice_url"], card=GOOD, **CARD)
    assert (price_of(shop, made), shop.subscription(made["id"])["pending_update"]) == (other, None)
    assert "customer.subscription.pending_update_applied" in shop.story()


@pytest.mark.parametrize("card", [ASKS, FAILS_LATER])
def test_what_is_not_paid_within_a_day_is_forgotten(card: str, shop: Shop) -> None:
    made, other = shop.subscribe(), shop.price(3000)
    before = price_of(shop, made)
    use_card(shop, made, card)
    waits = change(shop, made, other, "pending_if_incomplete")
    assert shop.subscription(made["id"])["status"] == "active"
    shop.pass_time(days=1)
    after = shop.subscription(made["id"])
    assert (price_of(shop, made), after["pending_update"], after["status"]) == (before, None, "active")
    assert shop.v1.invoices.retrieve(waits["latest_invoice"]["id"]).status == "void"
    assert "customer.subscription.pending_update_expired" in shop.story()
