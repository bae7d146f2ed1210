"""What a change of a subscription's items comes to: credit for unused time, a charge for the rest, or a new period.

Our reading of docs.stripe.com/billing/subscriptions/prorations: unused time is credited at the old price, the rest of
the period charged at the new one, to the second. A change of interval starts a new period and is charged at once.
"""

from dataclasses import dataclass, field

from apps.sandbox.stripe import catalog, invoice_lines, periods, pricing, subscriptions
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.records import Obj, copied, merge_metadata

MOST_ITEMS = 20


@dataclass
class Change:
    """The result of a change of items: the items after it, proration lines, and items whose new period is billed at once."""

    items: list[Obj]
    prorations: list[Obj] = field(default_factory=list)
    restarted: list[Obj] = field(default_factory=list)


def plan_items(subscription: Obj, specs: list[Obj], *, moment: int, prorate: bool, anchor_now: bool = False) -> Change:
    """Work out a change without making it. ApiError 400 for items or prices that are not there."""
    before = {item["id"]: item for item in subscriptions.items_of(subscription)}
    after = {key: copied(item) for key, item in before.items()}
    for number, spec in enumerate(specs):
        _apply_spec(subscription, after, spec, f"items[{number}]", moment)
    _check(list(after.values()))
    trial = subscription["status"] == "trialing"
    changed = any(key in before and _interval(item) != _interval(before[key]) for key, item in after.items())
    moved = anchor_now or changed
    restarting = set(after) if moved and not trial else set()  # the billing date moves for the whole subscription
    made = Change(items=list(after.values()))
    for key in dict.fromkeys([*before, *after]):
        old, fresh = before.get(key), after.get(key)
        if prorate and not trial:
            made.prorations += _lines(old, fresh, moment, restart=key in restarting)
        if fresh is not None and key in restarting:
            subscriptions.begin_period(fresh, moment)
            made.restarted.append(fresh)
    return made


def _check(items: list[Obj]) -> None:
    if not items:
        raise invalid("A subscription must have at least one active plan.", "items")
    if len(items) > MOST_ITEMS:
        raise invalid(f"A subscription can have up to {MOST_ITEMS} items.", "items")
    if len({item["price"]["id"] for item in items}) < len(items):
        raise invalid("Cannot add multiple subscription items with the same plan.", "items")


def _interval(item: Obj) -> tuple[str, int]:
    return item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"]


def _apply_spec(subscription: Obj, after: dict[str, Obj], spec: Obj, param: str, moment: int) -> None:
    if "id" in spec and spec["id"] not in after:
        raise invalid(f"No such subscription item: '{spec['id']}'", f"{param}[id]", "resource_missing")
    if spec.get("deleted"):
        after.pop(spec.get("id", ""), None)
        return
    price = catalog.resolve_price(spec, param) if "price" in spec else None
    if price is not None and (price["recurring"] is None or price["currency"] != subscription["currency"]):
        raise invalid("The price specified must be recurring and in the subscription's currency.", f"{param}[price]")
    if "id" not in spec:
        fresh = price or catalog.resolve_price(spec, param)
        ends = [
            item["current_period_end"] for item in after.values() if item["price"]["recurring"] == fresh["recurring"]
        ]
        trial = subscription["trial_end"] if subscription["status"] == "trialing" else None
        end = trial or (
            ends[0] if ends else periods.next_end(subscription["billing_cycle_anchor"], fresh["recurring"], moment)
        )
        item = subscriptions.make_item(
            subscription_id=subscription["id"], price=fresh, quantity=1, start=moment, end=end
        )
        after[item["id"]] = item
    else:
        item = after[spec["id"]]
    if price is not None:
        item |= {"price": copied(price), "plan": subscriptions.plan_of(price)}
    item["quantity"] = spec.get("quantity", item["quantity"])
    merge_metadata(item, spec.get("metadata"))


def _lines(old: Obj | None, fresh: Obj | None, moment: int, *, restart: bool) -> list[Obj]:
    same = (
        old is not None
        and fresh is not None
        and old["price"]["id"] == fresh["price"]["id"]
        and old["quantity"] == fresh["quantity"]
    )
    if same and not restart:
        return []
    lines = []
    if old is not None:
        lines.append(_line(old, moment, sign=-1))
    if fresh is not None and not restart:
        lines.append(_line(fresh, moment, sign=1, is_new=old is None))
    return [line for line in lines if line["amount"] or line["quantity"]]


def _line(item: Obj, moment: int, *, sign: int, is_new: bool = False) -> Obj:
    price, quantity = item["price"], item["quantity"]
    start, end = item["current_period_start"], item["current_period_end"]
    if is_new:  # it has had no time of the period yet, and pays for what is left of it
        start = min(start, periods.step(end, price["recurring"], -1))
    share = periods.part_left(start, end, moment)
    amount = sign * round(pricing.amount_of(item) * share)
    name = invoice_lines.name_of(price)
    product = name if quantity == 1 else f"{quantity} × {name}"
    kind = "Unused" if sign < 0 else "Remaining"
    words = f"{kind} time on {product} after {periods.day_text(moment)}"
    return invoice_lines.line(item, amount=amount, period=(moment, end), proration=True, words=words)
