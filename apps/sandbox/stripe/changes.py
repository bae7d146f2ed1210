"""Changing a running subscription: everything its update may carry, with one event and the invoice of the change."""

from apps.sandbox.stripe import (
    cards,
    collection,
    coupons,
    customers,
    invoices,
    pending_updates,
    subscriptions,
    timeline,
)
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.events import change
from apps.sandbox.stripe.prorations import Change, plan_items
from apps.sandbox.stripe.records import Obj, copied, merge_metadata, private


def apply(subscription: Obj, made: Change, *, behaviour: str, moment: int) -> Obj | None:
    """Carry a planned change out; the invoice it made, if any. The caller wraps this in `change`."""
    subscriptions.set_items(subscription, made.items)
    if made.restarted:
        subscription["billing_cycle_anchor"] = moment
        return collection.bill(subscription, reason="subscription_update", items=made.restarted, extra=made.prorations)
    if not made.prorations:
        return None
    if behaviour == "always_invoice":
        return collection.bill(subscription, reason="subscription_update", items=[], extra=made.prorations)
    notes = private(subscription["id"])
    notes["waiting_lines"] = [*notes.get("waiting_lines", []), *made.prorations]
    return None


def draft_of(subscription: Obj, made: Change) -> Obj:
    """The invoice that a planned change would make at once, of a copy of the subscription; nothing is kept."""
    as_if = copied(subscription)
    subscriptions.set_items(as_if, copied(made.items))
    waiting = copied(private(subscription["id"]).get("waiting_lines", []))
    lines = [*waiting, *copied(made.prorations), *subscriptions.lines_of(as_if, copied(made.restarted))]
    return invoices.draft(as_if, reason="subscription_update", lines=lines, kept=False)


def _expect_payment(subscription: Obj, made: Change, *, on_session: bool) -> None:
    """`error_if_incomplete`: raise what the bank would say to the invoice of the change, before anything is changed."""
    if draft_of(subscription, made)["amount_due"] <= 0:
        return
    method = subscriptions.method_of(subscription)
    if method is None:
        raise invalid(
            "This customer has no attached payment source or default payment method.", code="resource_missing"
        )
    verdict = cards.outcome(method, on_session=on_session, authenticated=False)
    if verdict not in {"ok", "dispute", "inquiry", "processing"}:
        raise cards.needs_action("subscription") if verdict == "authenticate" else cards.decline(verdict)


def _change_once_paid(subscription: Obj, made: Change, *, moment: int, on_session: bool) -> None:
    """`pending_if_incomplete`: bill the change, and let it wait for the money."""
    as_if = copied(subscription)
    subscriptions.set_items(as_if, copied(made.items))
    lines = [*made.prorations, *subscriptions.lines_of(as_if, copied(made.restarted))]
    invoice = invoices.draft(subscription, reason="subscription_update", lines=lines)
    with change(subscription, "customer.subscription.updated"):
        pending_updates.begin(subscription, invoice, made.items, moment=moment, restarts=bool(made.restarted))
    invoices.finalize(invoice)
    collection.collect(invoice, subscriptions.method_of(subscription), on_session=on_session)


def _waits_for_payment(subscription: Obj, made: Change, params: Obj, *, moment: int) -> bool:
    """Whether a change that is billed at once is made when it is paid, not now. ApiError 402 where it is to be refused unpaid."""
    on_session = params.get("off_session") is False
    wanted = params.get("payment_behavior")
    if wanted == "error_if_incomplete":
        _expect_payment(subscription, made, on_session=on_session)
    if wanted != "pending_if_incomplete":
        return False
    _change_once_paid(subscription, made, moment=moment, on_session=on_session)
    return True


def update(subscription: Obj, params: Obj) -> None:
    """`POST /v1/subscriptions/{id}`: everything that may change, one event, and the invoice of the change."""
    if subscription["status"] in subscriptions.ENDED and set(params) - {"metadata", "cancellation_details"}:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    moment = params.get("proration_date", timeline.now())
    behaviour = params.get("proration_behavior", "create_prorations")
    made = None
    anchor_now = params.get("billing_cycle_anchor") == "now"
    if "items" in params or anchor_now:
        made = plan_items(
            subscription, params.get("items", []), moment=moment, prorate=behaviour != "none", anchor_now=anchor_now
        )
    on_session = params.get("off_session") is False
    bills = made is not None and bool(made.restarted or behaviour == "always_invoice")
    if made is not None and bills and _waits_for_payment(subscription, made, params, moment=moment):
        return
    invoice = None
    with change(subscription, "customer.subscription.updated"):
        set_options(subscription, params)
        _cancellation(subscription, params)
        if made is not None:
            invoice = apply(subscription, made, behaviour=behaviour, moment=moment)
        if "trial_end" in params:
            invoice = _trial(subscription, params["trial_end"]) or invoice
    subscriptions.schedule(subscription)
    if invoice is not None:
        invoices.finalize(invoice)
        if invoice["collection_method"] == "charge_automatically":
            collection.collect(invoice, subscriptions.method_of(subscription), on_session=on_session)


def set_options(subscription: Obj, params: Obj) -> None:
    """What a subscription may be told at its start and later alike."""
    for name in ("description", "collection_method", "days_until_due"):
        if name in params:
            subscription[name] = params[name] or None
    if "default_payment_method" in params:
        wanted = params["default_payment_method"]
        method = customers.own_method(subscription["customer"], wanted) if wanted else None
        subscription["default_payment_method"] = method and method["id"]
    if "pause_collection" in params:
        pause = params["pause_collection"] or None
        subscription["pause_collection"] = pause and {"resumes_at": None, **pause}
    if "discounts" in params:
        coupons.redeem(subscription, params["discounts"] or [])
    subscription["trial_settings"] = params.get("trial_settings", subscription["trial_settings"])
    merge_metadata(subscription, params.get("metadata"))


def _cancellation(subscription: Obj, params: Obj) -> None:
    details = {name: value or None for name, value in params.get("cancellation_details", {}).items()}
    if "cancel_at" in params and params.get("cancel_at_period_end"):
        raise invalid("You may only specify one of these parameters: cancel_at, cancel_at_period_end.", "cancel_at")
    if "cancel_at_period_end" in params:
        subscriptions.set_cancel(
            subscription, at_period_end=params["cancel_at_period_end"], moment=None, details=details
        )
    elif "cancel_at" in params:
        moment = params["cancel_at"] or None
        if isinstance(moment, str):
            ends = [item["current_period_end"] for item in subscriptions.items_of(subscription)]
            moment = min(ends) if moment == "min_period_end" else max(ends)
        if moment is not None and moment <= timeline.now():
            raise invalid("`cancel_at` must be in the future.", "cancel_at")
        subscriptions.set_cancel(subscription, at_period_end=False, moment=moment, details=details)
    elif details:
        subscription["cancellation_details"] |= details


def _trial(subscription: Obj, spec: int | str) -> Obj | None:
    now = timeline.now()
    if spec == "now":
        if subscription["status"] != "trialing":
            return None
        subscription |= {"status": "active", "trial_end": now}
        subscriptions.restart(subscription)
        return collection.bill(subscription, reason="subscription_update", items=subscriptions.items_of(subscription))
    moment = int(spec)
    if moment <= now:
        raise invalid("`trial_end` must be in the future.", "trial_end")
    subscription |= {
        "status": "trialing",
        "trial_end": moment,
        "trial_start": subscription["trial_start"] or now,
        "billing_cycle_anchor": moment,
    }
    for item in subscriptions.items_of(subscription):
        item["current_period_end"] = moment
    return None
