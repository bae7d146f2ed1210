"""What happens automatically when it is due: renewals, trial ends, retries, expiries. scheduler.py runs these in order."""

from apps.sandbox.stripe import (
    checkout,
    checkout_completion,
    collection,
    invoices,
    periods,
    refunds,
    subscriptions,
    timeline,
)
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, copied, find, private, root

RUNNING = {"active", "past_due", "unpaid"}


def renew(subscription: Obj) -> None:
    """Start the next period of every item whose period is over, with a draft invoice for it."""
    if subscription["status"] not in RUNNING:
        return
    now = timeline.now()
    if subscription["cancel_at"] is not None and subscription["cancel_at"] <= now:
        cancel(subscription)
        return
    due = [item for item in subscriptions.items_of(subscription) if item["current_period_end"] <= now]
    with change(subscription, "customer.subscription.updated"):
        for item in due:
            start = item["current_period_end"]
            item["current_period_start"] = start
            item["current_period_end"] = periods.next_end(
                subscription["billing_cycle_anchor"], item["price"]["recurring"], start
            )
        _draft_renewal(subscription, due)
    subscriptions.schedule(subscription)


def _draft_renewal(subscription: Obj, items: list[Obj]) -> None:
    invoice = collection.bill(subscription, reason="subscription_cycle", items=items)
    paused = subscription["pause_collection"]
    if paused and paused["behavior"] != "keep_as_draft":
        if paused["behavior"] == "void":
            invoices.finalize(invoice)
        invoices.close(invoice, "void" if paused["behavior"] == "void" else "uncollectible")
    elif paused or subscription["status"] == "unpaid":
        invoice["auto_advance"] = False
    else:
        moment = timeline.now() + root()["settings"]["draft_seconds"]
        invoice["automatically_finalizes_at"] = moment
        timeline.plan("finalize", invoice["id"], moment)


def finalize(invoice: Obj) -> None:
    """Close a draft and take its money."""
    if invoice["status"] != "draft":
        return
    invoices.finalize(invoice)
    subscription = find("subscription", invoices.subscription_of(invoice))
    if subscription is not None and invoice["collection_method"] == "charge_automatically":
        collection.collect(invoice, subscriptions.method_of(subscription))


def retry(invoice: Obj) -> None:
    """Try an unpaid invoice again."""
    subscription = find("subscription", invoices.subscription_of(invoice))
    if invoice["status"] == "open" and subscription is not None:
        collection.collect(invoice, subscriptions.method_of(subscription))


def cancel(subscription: Obj) -> None:
    """End what was to end now."""
    if subscription["status"] not in subscriptions.ENDED:
        subscriptions.end(subscription, reason="cancellation_requested")


def end_trial(subscription: Obj) -> None:
    """From trial to the first paid period; what happens without a card is the subscription's setting."""
    if subscription["status"] != "trialing":
        return
    if subscription["cancel_at"] is not None and subscription["cancel_at"] <= timeline.now():
        cancel(subscription)
        return
    behaviour = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if subscriptions.method_of(subscription) is None and behaviour != "create_invoice":
        if behaviour == "cancel":
            subscriptions.end(subscription, reason="cancellation_requested")
        else:
            subscriptions.set_status(subscription, "paused")
            emit("customer.subscription.paused", subscription)
        return
    with change(subscription, "customer.subscription.updated"):
        subscription["status"] = "active"
        subscriptions.restart(subscription)
        _draft_renewal(subscription, subscriptions.items_of(subscription))
    subscriptions.schedule(subscription)


def warn_of_trial_end(subscription: Obj) -> None:
    """`trial_will_end`, three days before."""
    private(subscription["id"])["warned"] = True
    if subscription["status"] == "trialing":
        emit("customer.subscription.trial_will_end", subscription)


def announce_renewal(subscription: Obj) -> None:
    """`invoice.upcoming`, three days before; its invoice has no id to fetch."""
    ends = subscriptions.period_end(subscription)
    private(subscription["id"])["upcoming"] = ends
    if subscription["status"] not in RUNNING or subscription["cancel_at"]:
        return
    preview = upcoming(subscription)
    emit("invoice.upcoming", preview)


def upcoming(subscription: Obj) -> Obj:
    """The next renewal's invoice as it would be now."""
    draft = copied(subscription)
    ends = subscriptions.period_end(draft)
    items = [item for item in subscriptions.items_of(draft) if item["current_period_end"] <= ends]
    for item in items:
        item["current_period_start"] = item["current_period_end"]
        item["current_period_end"] = periods.next_end(
            draft["billing_cycle_anchor"], item["price"]["recurring"], item["current_period_end"]
        )
    draft["status"] = "active"
    lines = [*copied(private(subscription["id"]).get("waiting_lines", [])), *subscriptions.lines_of(draft, items)]
    preview = invoices.draft(draft, reason="upcoming", lines=lines, kept=False)
    preview |= {"id": "upcoming_" + preview["id"], "next_payment_attempt": ends + root()["settings"]["draft_seconds"]}
    invoices.set_lines(preview, lines)
    return preview


def expire_incomplete(subscription: Obj) -> None:
    """An unpaid first invoice: after 23 hours it is over, unless a bank is still thinking."""
    invoice = find("invoice", subscription["latest_invoice"])
    intent = invoices.intent_of(invoice) if invoice is not None and invoice["status"] == "open" else None
    if subscription["status"] == "incomplete" and (intent is None or intent["status"] != "processing"):
        subscriptions.give_up_first(subscription)


def resume_collection(subscription: Obj) -> None:
    """The planned end of a pause of collection."""
    with change(subscription, "customer.subscription.updated"):
        subscription["pause_collection"] = None
    subscriptions.schedule(subscription)


def expire_session(session: Obj) -> None:
    """An open Checkout Session's time is up."""
    if session["status"] == "open":
        checkout.expire(session)


def finish_processing(session: Obj) -> None:
    """A bank debit that nobody decided on is paid."""
    checkout_completion.finish_processing(session, paid=True)


def pass_due_date(invoice: Obj) -> None:
    """The due date of an invoice sent by mail."""
    collection.pass_due_date(invoice)


def void_unpaid(invoice: Obj) -> None:
    """What should have resumed a subscription was not paid."""
    if invoice["status"] == "open":
        invoices.close(invoice, "void")


def dispute(charge: Obj) -> None:
    """The dispute a test card brings along."""
    refunds.open_dispute(charge, inquiry=private(charge["id"]).pop("dispute", "") == "inquiry")
