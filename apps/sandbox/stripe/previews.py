"""The invoice that does not exist yet: the next one of a subscription as it is, or that of a change of its items.

`preview_mode` recurring: what each period costs, without prorations and what waits. docs.stripe.com/api/invoices/create_preview
"""

from apps.sandbox.stripe import changes, invoices, periods, prorations, subscriptions, timeline
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
    """The next invoice of a subscription, or the one that a change of its items would make at once."""
    subscription = copied(get("subscription", params.get("subscription"), "subscription"))
    details, is_recurring = params.get("subscription_details") or {}, params.get("preview_mode") == "recurring"
    _as_if(subscription, details)
    if (
        subscription["status"] in subscriptions.ENDED
        or subscription["cancel_at_period_end"]
        or subscription["cancel_at"]
    ):
        words = f"No upcoming invoices for customer: {subscription['customer']}"
        raise invalid(words, "subscription", "invoice_upcoming_none")
    extra: list[Obj] = []
    if "items" in details:
        made = prorations.plan_items(
            subscription,
            details["items"],
            moment=details.get("proration_date", timeline.now()),
            prorate=details.get("proration_behavior") != "none" and not is_recurring,
        )
        if not is_recurring and (made.restarted or details.get("proration_behavior") == "always_invoice"):
            return _named(changes.draft_of(subscription, made))
        subscriptions.set_items(subscription, made.items)
        extra = made.prorations
    return _named(_next_invoice(subscription, extra, is_recurring=is_recurring))


def _next_invoice(subscription: Obj, extra: list[Obj], *, is_recurring: bool) -> Obj:
    ends = subscriptions.period_end(subscription)
    due = [item for item in subscriptions.items_of(subscription) if item["current_period_end"] == ends]
    for item in due:
        item |= {"current_period_start": ends, "current_period_end": periods.step(ends, item["price"]["recurring"], 1)}
    subscription["status"] = "active"  # a trial is over then
    waiting = [] if is_recurring else copied(private(subscription["id"]).get("waiting_lines", []))
    lines = [*waiting, *extra, *subscriptions.lines_of(subscription, due)]
    return invoices.draft(subscription, reason="upcoming", lines=lines, kept=False)


def _named(made: Obj) -> Obj:
    return made | {"id": "upcoming_" + made["id"]}
