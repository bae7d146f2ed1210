"""The invoice a change of a subscription would make."""

from apps.sandbox.stripe import invoices, subscriptions, timeline
from apps.sandbox.stripe.prorations import plan_items
from apps.sandbox.stripe.records import Obj, copied, get


def preview(subscription_id: str, items: list[Obj]) -> Obj:
    """The invoice changing to `items` would make now."""
    subscription = copied(get("subscription", subscription_id, "subscription"))
    planned = plan_items(subscription, items, moment=timeline.now(), prorate=True)
    subscriptions.set_items(subscription, planned.items)
    lines = [*planned.prorations, *subscriptions.lines_of(subscription, planned.restarted)]
    result = invoices.draft(subscription, reason="upcoming", lines=lines, kept=False)
    return result | {"id": "upcoming_" + result["id"]}
