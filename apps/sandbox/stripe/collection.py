"""Taking an invoice's money, and what that does to its subscription: activation, dunning, its end, its recovery.

Our reading of docs.stripe.com/billing/collection-method and .../revenue-recovery: after a failed renewal the card is
tried again `retry_days` after the first try; after the last one the subscription goes where `settings["end"]` says.
"""

from apps.sandbox.stripe import coupons, invoices, payments, pending_updates, subscriptions, timeline
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, find, get, private, root

DAY = 86_400


def collect(invoice: Obj, method: Obj | None, *, on_session: bool = False, authenticated: bool = False) -> str:
    """Try to get an open invoice paid: "succeeded", "failed", "action" or "processing"."""
    if invoice["amount_remaining"] <= 0:
        invoices.mark_paid(invoice)
        _follow_paid(invoice)
        return "succeeded"
    intent = invoices.intent_of(invoice)
    if intent is None or method is None:
        _follow_failed(invoice, counted=not on_session)
        return "failed"
    result = payments.confirm(intent, method, on_session=on_session, authenticated=authenticated)
    if result == "succeeded":
        invoice["attempt_count"] += 1
        invoices.mark_paid(invoice)
        _follow_paid(invoice)
    elif result == "failed":
        code = (intent["last_payment_error"] or {}).get("decline_code")
        if code == "authentication_required":
            emit("invoice.payment_action_required", invoice)
        _follow_failed(invoice, counted=True)
    elif result == "action":
        invoice["attempted"] = True
        emit("invoice.payment_action_required", invoice)
    elif result == "processing" and root()["settings"]["debits_open"]:
        _follow_paid(invoice)
    return result


def finish_processing(invoice: Obj, *, paid: bool) -> None:
    """A bank debit's late answer."""
    intent = invoices.intent_of(invoice)
    if intent is None or intent["status"] != "processing":
        return
    payments.finish_processing(intent, paid=paid)
    if paid:
        invoice["attempt_count"] += 1
        invoices.mark_paid(invoice)
        _follow_paid(invoice)
    else:
        _follow_failed(invoice, counted=True)


def paid_outside(invoice: Obj) -> None:
    """Staff say the money came another way."""
    invoices.mark_paid(invoice, outside=True)
    _follow_paid(invoice)


def _follow_paid(invoice: Obj) -> None:
    pending_updates.apply(invoice)
    subscription = find("subscription", invoices.subscription_of(invoice))
    if subscription is None or subscription["latest_invoice"] != invoice["id"]:
        return
    if subscription["status"] in {"incomplete", "past_due", "unpaid", "paused"}:
        resumed = subscription["status"] == "paused"
        subscriptions.set_status(subscription, "active")
        if resumed:
            emit("customer.subscription.resumed", subscription)


def _follow_failed(invoice: Obj, *, counted: bool) -> None:
    subscription = find("subscription", invoices.subscription_of(invoice))
    waits = subscription is not None and subscription["status"] in {"incomplete", "incomplete_expired"}
    first = (invoice["billing_reason"] == "subscription_create" and waits) or pending_updates.waits(invoice)
    with change(invoice, "invoice.updated"):
        invoice["attempted"] = True
        invoice["attempt_count"] += 1 if counted else 0
        invoice["next_payment_attempt"] = (
            None if first or invoice["collection_method"] != "charge_automatically" else _next_try(invoice)
        )
    emit("invoice.payment_failed", invoice)
    if first and subscription is not None:
        subscriptions.schedule(subscription)  # its 23 hours may be over
    if subscription is None or first or subscription["status"] in {*subscriptions.ENDED, "paused"}:
        return
    timeline.plan("retry", invoice["id"], invoice["next_payment_attempt"])
    if subscription["status"] in {"active", "trialing"}:
        subscriptions.set_status(subscription, "past_due")
    if invoice["next_payment_attempt"] is None and subscription["status"] == "past_due":
        _give_up(subscription)


def _next_try(invoice: Obj) -> int | None:
    notes = private(invoice["id"])
    if notes.get("given_up"):
        return None
    first = notes.setdefault("first_failure", timeline.now())
    moments = [first + days * DAY for days in root()["settings"]["retry_days"]]
    later = [moment for moment in moments if moment > timeline.now()]
    if not later:
        notes["given_up"] = True
    return later[0] if later else None


def _give_up(subscription: Obj) -> None:
    wanted = root()["settings"]["end"]
    if wanted == "cancel":
        subscriptions.end(subscription, reason="payment_failed")
    elif wanted == "unpaid":
        subscriptions.set_status(subscription, "unpaid")


def bill(subscription: Obj, *, reason: str, items: list[Obj], extra: list[Obj] | None = None) -> Obj:
    """A draft invoice for the present period of `items`, with what waited for the next invoice."""
    waiting = private(subscription["id"]).pop("waiting_lines", [])
    lines = [*waiting, *(extra or []), *subscriptions.lines_of(subscription, items)]
    invoice = invoices.draft(subscription, reason=reason, lines=lines)
    subscription["latest_invoice"] = invoice["id"]
    coupons.forget_once(subscription, lines)
    return invoice


def resume(subscription: Obj, *, restart: bool) -> None:
    """Bill a paused subscription; what is not paid within 23 hours is voided, and it stays paused."""
    if restart:
        subscriptions.restart(subscription)
    invoice = bill(subscription, reason="subscription_update", items=subscriptions.items_of(subscription))
    invoices.finalize(invoice)
    if invoice["collection_method"] == "charge_automatically" or not invoice["amount_remaining"]:
        collect(invoice, subscriptions.method_of(subscription))
    if subscription["status"] == "paused":
        timeline.plan("void", subscription["latest_invoice"], timeline.now() + subscriptions.INCOMPLETE_SECONDS)


def pass_due_date(invoice: Obj) -> None:
    """An invoice sent by mail was not paid in time."""
    subscription = find("subscription", invoices.subscription_of(invoice))
    if invoice["status"] != "open":
        return
    emit("invoice.overdue", invoice)
    latest = subscription is not None and subscription["latest_invoice"] == invoice["id"]
    if subscription is not None and latest and subscription["status"] == "active":
        subscriptions.set_status(subscription, "past_due")


def start(
    subscription: Obj, *, method: Obj | None, on_session: bool, authenticated: bool = False, attempt: bool = True
) -> str:
    """The first invoice of a fresh subscription: the story from `invoice.created` to its first state."""
    emit("customer.subscription.created", subscription)
    invoice = bill(subscription, reason="subscription_create", items=subscriptions.items_of(subscription))
    if subscription["collection_method"] == "send_invoice":
        subscriptions.set_status(
            subscription, "active" if subscription["status"] == "incomplete" else subscription["status"]
        )
        timeline.plan("finalize", invoice["id"], timeline.now() + root()["settings"]["draft_seconds"])
        return "sent"
    invoices.finalize(invoice)
    result = "waiting"
    if attempt or invoice["amount_remaining"] <= 0:
        result = collect(invoice, method, on_session=on_session, authenticated=authenticated)
    subscriptions.schedule(get("subscription", subscription["id"]))
    return result
