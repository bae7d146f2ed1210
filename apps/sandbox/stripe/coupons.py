"""Coupons, and the discounts they make on subscriptions and their invoices (docs.stripe.com/billing/subscriptions/coupons)."""

from apps.sandbox.stripe import periods, timeline
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.records import Obj, add, blank, get, merge_metadata, new
from apps.sandbox.stripe.routing import route

FIELDS = ("amount_off", "currency", "duration", "duration_in_months", "name", "percent_off")
MONTH = {"interval": "month", "interval_count": 1}


@route("POST /v1/coupons")
def create_coupon(params: Obj) -> Obj:
    """So many percent, or an amount, off: once, for some months, or for ever."""
    if ("percent_off" in params) == ("amount_off" in params):
        raise invalid("You must pass exactly one of percent_off and amount_off.", "percent_off")
    coupon = blank("coupon", **{name: params[name] for name in FIELDS if name in params})
    coupon["id"] = params.get("id") or coupon["id"]
    merge_metadata(coupon, params.get("metadata"))
    return add(coupon)


@route("GET /v1/coupons/{coupon}")
def get_coupon(_params: Obj, identifier: str) -> Obj:
    """One coupon."""
    return get("coupon", identifier)


def redeem(subscription: Obj, specs: list[Obj]) -> None:
    """Put discounts of these coupons on a subscription that begins."""
    for spec in specs:
        coupon = get("coupon", spec.get("coupon"), "discounts[0][coupon]")
        coupon["times_redeemed"] += 1
        made = new("discount", customer=subscription["customer"], subscription=subscription["id"])
        made |= {"start": timeline.now(), "source": {"coupon": coupon["id"], "type": "coupon"}}
        if coupon["duration"] == "repeating":
            made["end"] = periods.step(made["start"], MONTH, coupon["duration_in_months"])
        subscription["discounts"].append(made["id"])


def forget_once(subscription: Obj) -> None:
    """What is taken off once was taken off the invoice just made."""
    subscription["discounts"] = [one for one in subscription["discounts"] if coupon_of(one)["duration"] != "once"]


def coupon_of(discount_id: str) -> Obj:
    """The coupon of a discount."""
    return get("coupon", get("discount", discount_id)["source"]["coupon"])


def reduce_lines(subscription: Obj, lines: list[Obj]) -> None:
    """Write on each line what the subscription's discounts take off it."""
    for identifier in subscription["discounts"]:
        discount, coupon = get("discount", identifier), coupon_of(identifier)
        left = coupon["amount_off"]
        for line in lines:
            if discount["end"] is not None and line["period"]["start"] >= discount["end"]:
                continue
            rest = line["amount"] - sum(one["amount"] for one in line["discount_amounts"])
            off = reduction(coupon, rest, left)
            left = None if left is None else left - off
            line["discount_amounts"] = [*line["discount_amounts"], {"amount": off, "discount": identifier}]
            line["discounts"] = [*line["discounts"], identifier]


def reduction(coupon: Obj, amount: int, left: int | None) -> int:
    """What a coupon takes off an amount; `left`: of what it takes off in all."""
    return min(amount, left) if left is not None else round(amount * coupon["percent_off"] / 100)
