"""Subscriptions: their making, their states, their moments on the agenda. API version "flexible": periods live on items."""

from collections.abc import Sequence
from typing import Any

from apps.sandbox.stripe import coupons, invoice_lines, invoices, periods, pricing, timeline
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import SHAPES, Obj, blank, copied, find, get, new, private

ENDED = {"canceled", "incomplete_expired"}
DAY = 86_400
INCOMPLETE_SECONDS = 23 * 3600


def plan_of(price: Obj) -> Obj:
    """The legacy `plan` real payloads still carry; nobody should read it."""
    plan = copied(SHAPES["plan"])
    for name in ("id", "active", "created", "currency", "livemode", "metadata", "nickname", "product"):
        plan[name] = copied(price[name])
    recurring = price["recurring"]
    plan |= {
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
    }
    return plan


def make_item(*, subscription_id: str, price: Obj, quantity: int, start: int, end: int) -> Obj:
    made = blank("subscription_item", subscription=subscription_id, price=copied(price), plan=plan_of(price))
    return made | {"quantity": quantity, "current_period_start": start, "current_period_end": end, "metadata": {}}


def set_items(subscription: Obj, items: list[Obj]) -> None:
    """Put the items on the subscription, and the legacy fields beside them."""
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    subscription["items"] = {"object": "list", "data": items, "has_more": False, "total_count": len(items), "url": url}
    single = items[0] if len(items) == 1 else None
    subscription["plan"] = copied(single["plan"]) if single else None
    subscription["quantity"] = single["quantity"] if single else None


def items_of(subscription: Obj) -> list[Obj]:
    data: list[Obj] = subscription["items"]["data"]
    return data


def period_end(subscription: Obj) -> int:
    """The earliest end of its items' periods."""
    return min(int(item["current_period_end"]) for item in items_of(subscription))


def method_of(subscription: Obj) -> Obj | None:
    """The method that will be charged: the subscription's own, else the customer's default."""
    customer = get("customer", subscription["customer"])
    default = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    return find("payment_method", default)


def begin(
    *, customer: Obj, specs: Sequence[tuple[Obj, int, Obj]], trial_end: int | None = None, currency: str = ""
) -> Obj:
    """A new subscription of (price, quantity, metadata) specs, kept, without event or invoice: collection.start does the rest."""
    now = timeline.now()
    subscription = new("subscription", customer=customer["id"], currency=currency or specs[0][0]["currency"])
    subscription |= {"status": "incomplete", "start_date": now, "billing_cycle_anchor": trial_end or now}
    subscription["billing_mode"]["updated_at"] = now
    if trial_end:
        subscription |= {"trial_start": now, "trial_end": trial_end, "status": "trialing"}
    items = []
    for price, quantity, metadata in specs:
        end = trial_end or periods.step(now, price["recurring"], 1)
        item = make_item(subscription_id=subscription["id"], price=price, quantity=quantity, start=now, end=end)
        items.append(item | {"metadata": metadata})
    set_items(subscription, items)
    if customer["currency"] is None:
        customer["currency"] = subscription["currency"]
    return subscription


def begin_period(item: Obj, moment: int) -> None:
    """Let a whole period of the item begin."""
    item |= {"current_period_start": moment, "current_period_end": periods.step(moment, item["price"]["recurring"], 1)}


def restart(subscription: Obj) -> None:
    """Bill from now on by today's date: a period of each item begins."""
    subscription["billing_cycle_anchor"] = timeline.now()
    for item in items_of(subscription):
        begin_period(item, timeline.now())


def lines_of(subscription: Obj, items: list[Obj]) -> list[Obj]:
    """Invoice lines for the present period of these items; free during a trial."""
    trial = subscription["status"] == "trialing"
    lines = []
    for item in items:
        amount = 0 if trial else pricing.amount_of(item)
        words = f"Trial period for {invoice_lines.name_of(item['price'])}" if trial else ""
        period = (item["current_period_start"], item["current_period_end"])
        lines.append(invoice_lines.line(item, amount=amount, period=period, words=words))
    coupons.reduce_lines(subscription, lines)
    return lines


def set_status(subscription: Obj, status: str) -> None:
    """Change the status, with its event."""
    with change(subscription, "customer.subscription.updated"):
        subscription["status"] = status
    schedule(subscription)


def end(subscription: Obj, *, reason: str | None, status: str = "canceled", comment: Obj | None = None) -> None:
    """End it now. Collection of its invoices stops, as Stripe does by default."""
    if subscription["status"] == "incomplete" and status == "canceled":
        give_up_first(subscription)
        return
    now = timeline.now()
    if status == "incomplete_expired":
        with change(subscription, "customer.subscription.updated"):
            subscription |= {"status": status, "ended_at": now}
    else:
        subscription |= {"status": status, "ended_at": now, "canceled_at": subscription["canceled_at"] or now}
        subscription["cancellation_details"] |= {
            "reason": subscription["cancellation_details"]["reason"] or reason,
            **(comment or {}),
        }
        emit("customer.subscription.deleted", subscription)
    schedule(subscription)
    for invoice in invoices.of_subscription(subscription["id"]):
        if invoice["status"] in {"draft", "open"} and status == "canceled":
            timeline.plan("retry", invoice["id"], None)
            timeline.plan("finalize", invoice["id"], None)
            if invoice["auto_advance"] or invoice["next_payment_attempt"]:
                with change(invoice, "invoice.updated"):
                    invoice |= {"auto_advance": False, "next_payment_attempt": None}


def give_up_first(subscription: Obj) -> None:
    """End one whose first invoice was never paid: by itself after 23 hours, or because somebody cancels it."""
    end(subscription, reason=None, status="incomplete_expired")
    invoice = find("invoice", subscription["latest_invoice"])
    if invoice is not None and invoice["status"] == "open":
        invoices.close(invoice, "void")


def schedule(subscription: Obj) -> None:
    """Write the subscription's next moments on the agenda; call it after every change."""
    moments = dict.fromkeys(("renew", "cancel", "trial", "warn", "expire_sub", "resume", "upcoming"))
    for action, moment in (moments | _moments(subscription)).items():
        timeline.plan(action, subscription["id"], moment)


def _moments(subscription: Obj) -> dict[str, Any]:
    status, notes = subscription["status"], private(subscription["id"])
    if status in ENDED:
        return {}
    if status == "incomplete":
        return {"expire_sub": subscription["created"] + INCOMPLETE_SECONDS}
    paused = subscription["pause_collection"] or {}
    found = {"cancel": subscription["cancel_at"], "resume": paused.get("resumes_at")}
    if status == "trialing":
        found["trial"] = subscription["trial_end"]
        if not notes.get("warned"):
            found["warn"] = max(subscription["trial_end"] - 3 * DAY, timeline.now())
    elif status != "paused":
        found["renew"] = ends = period_end(subscription)
        if notes.get("upcoming") != ends and not subscription["cancel_at"]:
            found["upcoming"] = ends - 3 * DAY
    return found


def set_cancel(
    subscription: Obj, *, at_period_end: bool | None, moment: int | None, details: Obj | None = None
) -> None:
    """Plan or undo the end. With both None or False it continues; the caller wraps this in `change`."""
    subscription["cancel_at_period_end"] = bool(at_period_end)
    ends = period_end(subscription) if subscription["status"] != "trialing" else subscription["trial_end"]
    subscription["cancel_at"] = ends if at_period_end else moment
    if subscription["cancel_at"] is None:
        subscription["canceled_at"] = None
        subscription["cancellation_details"] = {"comment": None, "feedback": None, "reason": None}
    else:
        subscription["canceled_at"] = timeline.now()
        subscription["cancellation_details"] |= {"reason": "cancellation_requested", **(details or {})}
