"""Prices of every kind at the stand-in, held against Stripe's document: what they show, and what they come to."""

from typing import Any

import pytest

from tests.sandbox.stripe_fixture import Shop

GRADUATED = [{"up_to": 10, "unit_amount": 100}, {"up_to": "inf", "unit_amount_decimal": "50.5", "flat_amount": 1000}]


@pytest.mark.parametrize(
    ("wish", "quantity", "total"),
    [
        ({"unit_amount_decimal": "0.5"}, 1001, 501),
        ({"unit_amount": 100, "transform_quantity": {"divide_by": 10, "round": "up"}}, 21, 300),
        ({"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": GRADUATED}, 12, 2101),
        ({"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": GRADUATED}, 12, 1606),
        ({"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": GRADUATED}, 10, 1000),
        ({"unit_amount": 2_500_000_000, "currency": "idr"}, 1, 2_500_000_000),
    ],
)
def test_a_price_of_any_kind_is_charged(shop: Shop, wish: dict[str, Any], quantity: int, total: int) -> None:
    price = shop.v1.prices.create(_wish(shop, **wish))
    subscription = shop.subscribe(items=[{"price": price.id, "quantity": quantity}])
    invoice = shop.v1.invoices.retrieve(subscription["latest_invoice"])
    assert (invoice.total, invoice.status, subscription["status"]) == (total, "paid", "active")
    known = price.billing_scheme == "per_unit" and "unit_amount" in wish
    assert price.unit_amount == (wish["unit_amount"] if known else None)


def test_tiers_and_further_currencies_are_shown_only_when_asked_for(shop: Shop) -> None:
    tiered = shop.v1.prices.create(_wish(shop, billing_scheme="tiered", tiers_mode="volume", tiers=GRADUATED))
    both = shop.v1.prices.create(_wish(shop, unit_amount=500, currency_options={"eur": {"unit_amount": 450}}))
    assert "tiers" not in tiered
    assert "currency_options" not in both
    assert [one.up_to for one in shop.v1.prices.retrieve(tiered.id, {"expand": ["tiers"]}).tiers or []] == [10, None]
    shown = shop.v1.prices.retrieve(both.id, {"expand": ["currency_options"]}).currency_options
    assert shown is not None
    assert {name: option.unit_amount for name, option in shown.items()} == {"usd": 500, "eur": 450}
    in_euros = shop.subscribe(price=both.id, currency="eur")
    assert (in_euros["currency"], in_euros["items"]["data"][0]["price"]["currency"]) == ("eur", "usd")
    invoice = shop.v1.invoices.retrieve(in_euros["latest_invoice"])
    assert (invoice.total, invoice.currency) == (450, "eur")


def test_a_metered_price_costs_nothing_before_it_is_used(shop: Shop) -> None:
    recurring = {"interval": "month", "usage_type": "metered", "meter": "mtr_1"}
    price = shop.v1.prices.create(_wish(shop, unit_amount=5, recurring=recurring))
    assert price.recurring is not None
    assert price.recurring.usage_type == "metered"
    assert shop.v1.invoices.retrieve(shop.subscribe(price=price.id)["latest_invoice"]).total == 0


def _wish(shop: Shop, **fields: Any) -> Any:
    product = shop.v1.products.create({"name": "Anything"}).id
    return {"product": product, "currency": "usd", "recurring": {"interval": "month"}} | fields
