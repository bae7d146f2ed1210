"""A change of a subscription that waits for its payment (docs.stripe.com/billing/subscriptions/pending-updates).

With `pending_if_incomplete` the items change when the invoice of the change is paid; until then the subscription is as it was, and
after 23 hours the invoice is void and the change forgotten.
"""

from apps.sandbox.stripe import invoices, subscriptions, timeline
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, copied, find, private

SECONDS = 23 * 3600


def begin(subscription: Obj, invoice: Obj, items: list[Obj], *, moment: int, restarts: bool) -> None:
    """Note what is to change once this invoice is paid. The caller wraps this in `change`."""
    private(invoice["id"])["change"] = {"items": copied(items), "moment": moment, "restarts": restarts}
    subscription["latest_invoice"] = invoice["id"]
    subscription["pending_update"] = {
        "billing_cycle_anchor": moment if restarts else None,
        "expires_at": timeline.now() + SECONDS,
        "subscription_items": copied(items),
        "trial_end": None,
        "trial_from_plan": None,
    }
    timeline.plan("forget_change", invoice["id"], timeline.now() + SECONDS)


def waits(invoice: Obj) -> bool:
    """Whether a change waits for this invoice."""
    return "change" in private(invoice["id"])


def apply(invoice: Obj) -> None:
    """The invoice is paid: the change is made, if one waited for it."""
    made, subscription = _take(invoice)
    if made is None or subscription is None or subscription["status"] in subscriptions.ENDED:
        return
    with change(subscription, "customer.subscription.updated"):
        subscription["pending_update"] = None
        subscriptions.set_items(subscription, made["items"])
        if made["restarts"]:
            subscription["billing_cycle_anchor"] = made["moment"]
    emit("customer.subscription.pending_update_applied", subscription)
    subscriptions.schedule(subscription)


def forget(invoice: Obj) -> None:
    """It was not paid in time: nobody owes it, and nothing changes."""
    made, subscription = _take(invoice)
    if made is None or subscription is None:
        return
    if invoice["status"] == "open":
        invoices.close(invoice, "void")
    subscription["pending_update"] = None
    emit("customer.subscription.pending_update_expired", subscription)


def _take(invoice: Obj) -> tuple[Obj | None, Obj | None]:
    timeline.plan("forget_change", invoice["id"], None)
    return private(invoice["id"]).pop("change", None), find("subscription", invoices.subscription_of(invoice))
