"""The invoice that does not exist yet: the next one of a subscription as it is."""

from apps.sandbox.stripe import invoices, periods, subscriptions
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.records import Obj, copied, get, private
from apps.sandbox.stripe.routing import route


def _as_if(subscription: Obj, details: Obj) -> None:
    """As it would be with another end: what `subscription_details` says of a cancellation."""
    if "cancel_at_period_end" in details:
        subscription["cancel_at_period_end"] = details["cancel_at_period_end"]
        subscription["cancel_at"] = subscriptions.period_end(subscription) if details["cancel_at_period_end"] else None
    if "cancel_at" in details:
        subscription["cancel_at"] = details["cancel_at"] or None


@route("POST /v1/invoices/create_preview")
def preview_next(params: Obj) -> Obj:
    """The next invoice of a subscription as it is."""
    subscription = copied(get("subscription", params.get("subscription"), "subscription"))
    _as_if(subscription, params.get("subscription_details") or {})
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
    lines = [*waiting, *subscriptions.lines_of(subscription, due)]
    made = invoices.draft(subscription, reason="upcoming", lines=lines, kept=False)
    return made | {"id": "upcoming_" + made["id"]}
