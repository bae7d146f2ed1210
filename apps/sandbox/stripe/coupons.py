"""Coupons, and the discounts they make on subscriptions and their invoices (docs.stripe.com/billing/subscriptions/coupons)."""

from apps.sandbox.stripe import periods, timeline
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, add, blank, find, get, merge_metadata, new, private, random_text, table
from apps.sandbox.stripe.routing import route

FIELDS = ("amount_off", "currency", "duration", "duration_in_months", "name", "percent_off")
CODE_FIELDS = ("active", "code", "customer", "expires_at", "max_redemptions")
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


def delete_coupon(coupon: Obj, _params: Obj) -> Obj:
    """Nobody can use it any more. Who does goes on to."""
    private(coupon["id"])["deleted"] = table("coupon").pop(coupon["id"])
    emit("coupon.deleted", coupon)
    return {"id": coupon["id"], "object": "coupon", "deleted": True}


@route("POST /v1/promotion_codes")
def create_promotion_code(params: Obj) -> Obj:
    """A word that customers type, for a coupon."""
    code = blank("promotion_code", promotion={"coupon": None} | params["promotion"])
    get("coupon", code["promotion"]["coupon"], "promotion[coupon]")
    code |= {name: params[name] for name in CODE_FIELDS if name in params}
    code["code"] = code["code"] or random_text(8).upper()
    merge_metadata(code, params.get("metadata"))
    return add(code)


def named(spec: Obj) -> tuple[Obj, str | None]:
    """The coupon that a discount asks for, and the promotion code it came by."""
    if not spec.get("promotion_code"):
        return get("coupon", spec.get("coupon"), "discounts[0][coupon]"), None
    code = get("promotion_code", spec["promotion_code"], "discounts[0][promotion_code]")
    if not code["active"] or (code["expires_at"] or timeline.now() + 1) <= timeline.now():
        raise invalid("This promotion code is expired or not active.", "discounts[0][promotion_code]")
    return get("coupon", code["promotion"]["coupon"]), str(code["id"])


def redeem(subscription: Obj, specs: list[Obj]) -> None:
    """Make these the subscription's discounts: those it has, named by their ids, and new ones of coupons and codes."""
    kept = {spec["discount"] for spec in specs if spec.get("discount")}
    for gone in [one for one in subscription["discounts"] if one not in kept]:
        emit("customer.discount.deleted", get("discount", gone))
    subscription["discounts"] = [one for one in subscription["discounts"] if one in kept]
    for spec in specs:
        if not spec.get("discount"):
            subscription["discounts"].append(_start(subscription, *named(spec)))


def _start(subscription: Obj, coupon: Obj, code: str | None) -> str:
    coupon["times_redeemed"] += 1
    made = new("discount", customer=subscription["customer"], subscription=subscription["id"], promotion_code=code)
    made |= {"start": timeline.now(), "source": {"coupon": coupon["id"], "type": "coupon"}}
    if coupon["duration"] == "repeating":
        made["end"] = periods.step(made["start"], MONTH, coupon["duration_in_months"])
    emit("customer.discount.created", made)
    return str(made["id"])


@route("DELETE /v1/subscriptions/{subscription_exposed_id}/discount")
def delete_discount(_params: Obj, identifier: str) -> Obj:
    """Take its discounts off a subscription."""
    subscription = get("subscription", identifier)
    if not subscription["discounts"]:
        raise invalid("No active discount for subscription", code="resource_missing")
    found = get("discount", subscription["discounts"][0])
    with change(subscription, "customer.subscription.updated"):
        redeem(subscription, [])
    return {name: value for name, value in found.items() if name != "end"} | {"deleted": True}


def forget_once(subscription: Obj, lines: list[Obj]) -> None:
    """What is taken off once was taken off these lines; a line that splits time takes no discount, so it stays for the next ones."""
    used = {one for line in lines for one in line["discounts"] if coupon_of(one)["duration"] == "once"}
    subscription["discounts"] = [one for one in subscription["discounts"] if one not in used]


def coupon_of(discount_id: str) -> Obj:
    """The coupon of a discount, also a deleted one."""
    identifier = get("discount", discount_id)["source"]["coupon"]
    return find("coupon", identifier) or dict(private(identifier)["deleted"])


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
