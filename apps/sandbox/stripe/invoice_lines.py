"""The lines of invoices, and how a product and its rate read on them."""

from apps.sandbox.stripe import periods, pricing, timeline
from apps.sandbox.stripe.records import Obj, blank, find, new_id


def line(item: Obj, *, amount: int, period: tuple[int, int], proration: bool = False, words: str = "") -> Obj:
    """An invoice line of a subscription item; its invoice is filled in when it joins one."""
    price, quantity = item["price"], item["quantity"]
    made = blank("line_item", amount=amount, subtotal=amount, currency=pricing.currency_of(item))
    made |= {"quantity": quantity, "quantity_decimal": str(quantity)}
    made |= {"discountable": not proration, "metadata": dict(item["metadata"])}
    made["description"] = words or f"{quantity} × {name_of(price)} (at {rate_text(price)})"
    made["period"] = {"start": period[0], "end": period[1]}
    made["subscription"] = item["subscription"]
    made["pricing"] = {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }
    details = {
        "invoice_item": new_ii() if proration else None,
        "proration": proration,
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    made["parent"] = {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }
    return made


def plain_line(*, amount: int, currency: str) -> Obj:
    """A line that belongs to no price and no subscription."""
    now = timeline.now()
    details = {
        "invoice_item": new_ii(),
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": None,
    }
    made = blank("line_item", amount=amount, subtotal=amount, currency=currency, period={"start": now, "end": now})
    made["parent"] = {
        "invoice_item_details": details,
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }
    return made


def new_ii() -> str:
    """The id of a pending invoice item, which proration lines carry."""
    return "ii_" + new_id("price")[6:]


def name_of(price: Obj) -> str:
    """The name of a price's product."""
    product = find("product", price["product"])
    return str(product["name"]) if product else "Product"


def rate_text(price: Obj) -> str:
    known = price["unit_amount"]
    text = "as used" if known is None else periods.money_text(known, price["currency"])
    if not price["recurring"]:
        return text
    count = price["recurring"]["interval_count"]
    every_text = price["recurring"]["interval"] if count == 1 else f"{count} {price['recurring']['interval']}s"
    return f"{text} / {every_text}"
