"""Invoices as they would be: of a change, of the next renewal, of a subscription that does not exist yet."""

from apps.sandbox.stripe import catalogue, dues, invoices, subscriptions, timeline
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.prorations import plan_items
from apps.sandbox.stripe.records import Obj, copied, get


def preview(params: Obj) -> Obj:
    """The invoice a change would make: at once if it restarts the period or is invoiced at once, else the next renewal."""
    details = params.get("subscription_details", {})
    ghost = copied(get("subscription", params["subscription"], "subscription"))
    moment = details.get("proration_date", timeline.now())
    behaviour = details.get("proration_behavior", "create_prorations")
    anchor_now = details.get("billing_cycle_anchor") == "now"
    made = plan_items(
        ghost,
        details.get("items", []),
        moment=moment,
        prorate=behaviour != "none",
        anchor_now=anchor_now,
        param="subscription_details[items]",
    )
    subscriptions.set_items(ghost, made.items)
    ending_trial = details.get("trial_end") == "now" and ghost["status"] == "trialing"
    if ending_trial:
        ghost["status"] = "active"
        made.restarted = made.items
    at_once = behaviour == "always_invoice" and "items" in details
    if not (made.restarted or at_once):
        found = dues.upcoming(ghost)
        lines = [*made.prorations, *found["lines"]["data"]]
        found["lines"]["data"] = []
    else:
        lines = [*made.prorations, *subscriptions.lines_of(ghost, made.restarted)]
        found = {}
    result = invoices.draft(ghost, reason="upcoming", lines=lines, kept=False)
    result |= {
        "id": "upcoming_" + result["id"],
        "next_payment_attempt": found.get("next_payment_attempt"),
    }
    invoices.set_lines(result, lines)
    return result


def preview_new(params: Obj) -> Obj:
    """The first invoice of a subscription that does not exist yet."""
    details = params.get("subscription_details", {})
    if not details.get("items"):
        raise invalid(
            "You must pass `subscription_details[items]` or `subscription`.",
            "subscription_details[items]",
        )
    customer = get("customer", params.get("customer"), "customer")
    wishes: list[tuple[Obj, int, Obj]] = []
    for number, wish in enumerate(details["items"]):
        price = catalogue.resolve_price(wish, f"subscription_details[items][{number}]")
        wishes.append((price, wish.get("quantity", 1), {}))
    ghost = subscriptions.ghost(customer=customer, wishes=wishes)
    result = invoices.draft(
        ghost,
        reason="upcoming",
        lines=subscriptions.lines_of(ghost, subscriptions.items_of(ghost)),
        kept=False,
    )
    result |= {"id": "upcoming_" + result["id"], "parent": None}
    return result
