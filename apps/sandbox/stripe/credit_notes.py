"""Credit notes: they first reduce what an invoice still asks for; the rest was paid and goes back (docs.stripe.com/api/credit_notes/create)."""

from typing import Any

from apps.sandbox.stripe import balances, collection, invoices, refunds
from apps.sandbox.stripe.errors import invalid
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, add, blank, every, get, merge_metadata
from apps.sandbox.stripe.routing import route

WAYS = ("refund_amount", "credit_amount", "out_of_band_amount")


@route("POST /v1/credit_notes")
def create_credit_note(params: Obj) -> Obj:
    """Take something off a finalized invoice, and give back what of it was paid."""
    invoice = get("invoice", params["invoice"], "invoice")
    if invoice["status"] not in {"open", "paid"}:
        raise invalid("You can only create credit notes on open or paid invoices.", "invoice")
    amount = params.get("amount") or sum(each.get("amount", 0) for each in params.get("lines", []))
    before = min(amount, invoice["amount_remaining"])
    after = amount - before
    linked = [_linked(each) for each in params.get("refunds", [])]
    given = sum(params.get(name, 0) for name in WAYS) + sum(each["amount_refunded"] for each in linked)
    if not 0 < amount <= invoice["total"] - _credited(invoice) or given != after:
        raise invalid(
            "The sum of credit amount, refund amount and out of band amount must equal the post payment amount"
            f" ({after}), and all credit notes of an invoice must not be more than its total."
        )
    note = blank("credit_note", amount=amount, subtotal=amount, total=amount, currency=invoice["currency"])
    note |= {"subtotal_excluding_tax": amount, "total_excluding_tax": amount, "effective_at": note["created"]}
    note |= {"customer": invoice["customer"], "invoice": invoice["id"], "reason": params.get("reason")}
    note |= {"pre_payment_amount": before, "post_payment_amount": after, "memo": params.get("memo")}
    note |= {"number": f"{invoice['number']}-CN-{len(_notes(invoice)) + 1:02d}", "refunds": linked}
    note["type"] = "mixed" if before and after else "post_payment" if after else "pre_payment"
    note["lines"]["url"] = f"/v1/credit_notes/{note['id']}/lines"
    note["out_of_band_amount"] = params.get("out_of_band_amount")
    merge_metadata(note, params.get("metadata"))
    _give_back(invoice, note, params)
    emit("credit_note.created", add(note))
    _reduce(invoice, before, after)
    return note


def _notes(invoice: Obj) -> list[Obj]:
    return [each for each in every("credit_note") if each["invoice"] == invoice["id"]]


def _credited(invoice: Obj) -> int:
    return int(invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"])


def _linked(spec: Obj) -> Obj:
    made = get("refund", spec.get("refund"), "refunds")
    return _refund_row(made["id"], spec.get("amount_refunded", made["amount"]))


def _refund_row(refund_id: str, amount: Any) -> Obj:
    return {"amount_refunded": amount, "payment_record_refund": None, "refund": refund_id, "type": "refund"}


def _give_back(invoice: Obj, note: Obj, params: Obj) -> None:
    if params.get("refund_amount"):
        intent = invoices.intent_of(invoice) or {}
        charge = get("charge", intent.get("latest_charge"), "refund_amount")
        made = refunds.refund(charge, amount=params["refund_amount"], reason=None)
        note["refunds"].append(_refund_row(made["id"], made["amount"]))
    if params.get("credit_amount"):
        about = {"invoice": invoice["id"], "credit_note": note["id"]}
        customer, currency = get("customer", invoice["customer"]), invoice["currency"]
        made = balances.move(customer, -params["credit_amount"], kind="credit_note", currency=currency, **about)
        note["customer_balance_transaction"] = made["id"]


def _reduce(invoice: Obj, before: int, after: int) -> None:
    with change(invoice, "invoice.updated"):
        invoice["amount_due"] -= before
        invoice["amount_remaining"] -= before
        invoice["pre_payment_credit_notes_amount"] += before
        invoice["post_payment_credit_notes_amount"] += after
    intent = invoices.intent_of(invoice)
    if before and intent is not None:
        intent["amount"] = invoice["amount_due"]
    if before and not invoice["amount_remaining"]:
        collection.collect(invoice, None)
