"""What a price comes to: per unit, in packages, in tiers, by use, or in a further currency of its own."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal

from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.records import Obj, find, private


def currency_of(item: Obj) -> str:
    """The currency a line is charged in: its subscription's."""
    subscription = find("subscription", item.get("subscription"))
    return str(subscription["currency"] if subscription else item["price"]["currency"])


def amount_of(item: Obj) -> int:
    """What a line costs for a whole period, in minor units."""
    return amount(item["price"], item["quantity"], currency_of(item))


def amount(price: Obj, quantity: int, currency: str = "") -> int:
    """What so many cost in a currency of the price (its own unless given), in minor units. What was used is not metered: 0."""
    if price["recurring"] and price["recurring"]["usage_type"] == "metered":
        return 0
    rate = price if currency in ("", price["currency"]) else options(price)[currency]
    if price["billing_scheme"] == "tiered":
        return _tiered(private(price["id"])["tiers"], quantity, price["tiers_mode"])
    if price["custom_unit_amount"]:
        return int(price["custom_unit_amount"]["preset"] or 0) * quantity
    if packages := price["transform_quantity"]:
        up = ROUND_UP if packages["round"] == "up" else ROUND_DOWN
        quantity = int((Decimal(quantity) / packages["divide_by"]).to_integral_value(up))
    return _rounded(Decimal(rate["unit_amount_decimal"]) * quantity)


def _rounded(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_HALF_UP))


def _tiered(tiers: list[Obj], quantity: int, mode: str) -> int:
    """Volume: all at the rate of the tier that the quantity reaches; graduated: each part at its own tier's."""
    total, begins = Decimal(0), 0
    for tier in tiers:
        last = tier["up_to"] is None or quantity <= tier["up_to"]
        part = quantity - begins if last else tier["up_to"] - begins
        if mode == "graduated" or last:
            counted = quantity if mode == "volume" else part
            total += Decimal(tier["unit_amount_decimal"] or 0) * counted + Decimal(tier["flat_amount_decimal"] or 0)
        if last:
            break
        begins = tier["up_to"]
    return _rounded(total)


def options(price: Obj) -> dict[str, Obj]:
    """The price in each of its currencies; Stripe shows them only when asked to expand them."""
    own = {name: price[name] for name in ("custom_unit_amount", "tax_behavior", "unit_amount", "unit_amount_decimal")}
    further: dict[str, Obj] = private(price["id"]).get("currency_options", {})
    return {price["currency"]: own} | further


def keep_options(price: Obj, given: dict[str, Obj]) -> None:
    """Keep further currencies beside the price."""
    private(price["id"])["currency_options"] = {
        currency: {"custom_unit_amount": None, "tax_behavior": option.get("tax_behavior", price["tax_behavior"])}
        | units(option)
        for currency, option in given.items()
    }


def keep_tiers(price: Obj, given: list[Obj]) -> None:
    """Keep the tiers beside the price: Stripe shows them only when asked to expand them."""
    private(price["id"])["tiers"] = [
        {"up_to": None if tier["up_to"] == "inf" else tier["up_to"]}
        | units(tier)
        | {"flat_amount": tier.get("flat_amount"), "flat_amount_decimal": tier.get("flat_amount_decimal") or _text(tier.get("flat_amount"))}
        for tier in given
    ]  # fmt: skip


def units(spec: Obj) -> Obj:
    """`unit_amount` and its decimal, of which one was given; the first is null for a part of the smallest unit."""
    decimal = spec.get("unit_amount_decimal") or _text(spec.get("unit_amount"))
    exact = Decimal(decimal) if decimal else None
    if exact is not None and exact < 0:
        raise invalid("Invalid non-negative integer", "unit_amount", "parameter_invalid_integer")
    known = int(exact) if exact is not None and exact == exact.to_integral_value() else None
    return {"unit_amount": known, "unit_amount_decimal": decimal}


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
