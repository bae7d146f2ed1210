"""Invoices that do not exist yet: of a change of a subscription, and the next one of a subscription as it is."""

from apps.sandbox.stripe import invoices, periods, subscriptions, timeline
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.prorations import plan_items
from apps.sandbox.stripe.records import Obj, copied, get, private
from apps.sandbox.stripe.routing import route


def preview(subscription_id: str, items: list[Obj]) -> Obj:
    """The invoice changing to `items` would make now."""
    subscription = copied(get("subscription", subscription_id, "subscription"))
    planned = plan_items(subscription, items, moment=timeline.now(), prorate=True)
    subscriptions.set_items(subscription, planned.items)
    return _upcoming(subscription, [*planned.prorations, *subscriptions.lines_of(subscription, planned.restarted)])


@route("POST /v1/invoices/create_preview")
def preview_next(params: Obj) -> Obj:
    """The next invoice of a subscription as it is."""
    subscription = copied(get("subscription", params.get("subscription"), "subscription"))
    if (
        subscription["status"] in subscriptions.ENDED
        or subscription["cancel_at_period_end"]
        or subscription["cancel_at"]
    ):
        words = f"No upcoming invoices for customer: {subscription['customer']}"
        raise invalid(words, "subscription", "invoice_upcoming_none")
    ends = subscriptions.period_end(subscription)
    due = [item for item in subscriptions.items_of(subscription) if item["current_period_end"] == ends]
    for item in due:
        item |= {"current_period_start": ends, "current_period_end": periods.step(ends, item["price"]["recurring"], 1)}
    subscription["status"] = "active"  # a trial is over then
    waiting = copied(private(subscription["id"]).get("waiting_lines", []))
    return _upcoming(subscription, [*waiting, *subscriptions.lines_of(subscription, due)])


def _upcoming(subscription: Obj, lines: list[Obj]) -> Obj:
    made = invoices.draft(subscription, reason="upcoming", lines=lines, kept=False)
    return made | {"id": "upcoming_" + made["id"]}
