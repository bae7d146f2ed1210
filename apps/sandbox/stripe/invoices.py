"""Invoices as documents: lines, totals, numbers and states. Taking their money is collection.py's work."""

from apps.sandbox import settings
from apps.sandbox.stripe import balances, invoice_lines, payments, taxes, timeline
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, add, blank, copied, every, find, get, private, root


def draft(subscription: Obj, *, reason: str, lines: list[Obj], kept: bool = True) -> Obj:
    """A draft invoice of a subscription with these lines; `kept=False` makes a preview without event."""
    customer = get("customer", subscription["customer"])
    invoice = blank("invoice", customer=customer["id"], currency=subscription["currency"], billing_reason=reason)
    invoice |= {
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_address": customer["address"],
    }
    invoice["customer_tax_ids"] = copied(private(customer["id"]).get("tax_ids", []))
    if subscription["automatic_tax"]["enabled"]:
        invoice["automatic_tax"] |= {"enabled": True, "liability": {"type": "self"}, "provider": "stripe"}
    invoice |= {"collection_method": subscription["collection_method"], "starting_balance": customer["balance"]}
    invoice |= {"period_start": timeline.now(), "period_end": timeline.now()}
    if subscription["collection_method"] == "send_invoice":
        invoice["due_date"] = timeline.now() + (subscription["days_until_due"] or 30) * 86_400
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    invoice["parent"] = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
    invoice["payment_settings"]["payment_method_types"] = list(
        subscription["payment_settings"]["payment_method_types"] or ["card"]
    )
    set_lines(invoice, lines)
    total_up(invoice)
    if kept:
        emit("invoice.created", add(invoice))
    return invoice


def manual(customer: Obj, *, amount: int, currency: str) -> Obj:
    """An invoice that staff made by hand, finalized: one amount, no subscription."""
    invoice = blank("invoice", customer=customer["id"], currency=currency, billing_reason="manual", parent=None)
    invoice |= {"customer_email": customer["email"], "customer_name": customer["name"]}
    invoice |= {"starting_balance": 0, "period_start": timeline.now(), "period_end": timeline.now()}
    set_lines(invoice, [invoice_lines.plain_line(amount=amount, currency=currency)])
    emit("invoice.created", add(invoice))
    finalize(invoice)
    return invoice


def set_lines(invoice: Obj, lines: list[Obj]) -> None:
    """Put the lines on the invoice."""
    for each in lines:
        each["invoice"] = invoice["id"]
    url = f"/v1/invoices/{invoice['id']}/lines"
    invoice["lines"] = {"object": "list", "data": lines, "has_more": False, "total_count": len(lines), "url": url}
    starts = [
        each["period"]["start"]
        for each in lines
        if each["parent"] and (each["parent"]["subscription_item_details"] or {}).get("proration")
    ]
    if starts and len(starts) == len(lines):
        invoice["period_start"] = min(starts)


def total_up(invoice: Obj) -> None:
    """Totals from the lines, less what the customer's credit pays (balance: negative = credit)."""
    subtotal = sum(each["amount"] for each in invoice["lines"]["data"])
    off: Obj = {}
    for each in (one for line in invoice["lines"]["data"] for one in line["discount_amounts"]):
        off[each["discount"]] = off.get(each["discount"], 0) + each["amount"]
    invoice["discounts"] = list(off)
    invoice["total_discount_amounts"] = [{"amount": amount, "discount": name} for name, amount in off.items()]
    inside, added = taxes.write_on_invoice(invoice) if invoice["automatic_tax"]["enabled"] else (0, 0)
    total = subtotal - sum(off.values()) + added
    after = total + invoice["starting_balance"]
    due = max(0, after)
    invoice |= {"subtotal": subtotal, "subtotal_excluding_tax": subtotal - inside}
    invoice |= {"total": total, "total_excluding_tax": total - inside - added}
    invoice |= {"amount_due": due, "amount_remaining": due - invoice["amount_paid"], "ending_balance": None}


def finalize(invoice: Obj) -> None:
    """Fix the invoice: number, addresses, the customer's credit used, the intent that will pay it."""
    customer = get("customer", invoice["customer"])
    invoice["starting_balance"] = customer["balance"]
    total_up(invoice)
    left = min(0, invoice["total"] + customer["balance"])
    invoice["ending_balance"] = left
    if customer["balance"] != left:
        used = left - customer["balance"]
        balances.move(customer, used, kind="applied_to_invoice", currency=invoice["currency"], invoice=invoice["id"])
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    page = f"{settings.BASE_URL}/stripe/invoice/{invoice['id']}"
    invoice |= {
        "number": number,
        "status": "open",
        "hosted_invoice_url": page if root()["settings"]["invoice_pages"] else None,
        "invoice_pdf": f"{page}/pdf",
        "effective_at": timeline.now(),
        "automatically_finalizes_at": None,
    }
    invoice["status_transitions"]["finalized_at"] = timeline.now()
    if invoice["amount_due"]:
        timeline.plan("overdue", invoice["id"], invoice["due_date"])
    timeline.plan("finalize", invoice["id"], None)
    if invoice["amount_due"] > 0:
        words = {"subscription_create": "Subscription creation"}.get(invoice["billing_reason"], "Subscription update")
        intent = payments.make_intent(
            amount=invoice["amount_due"],
            currency=invoice["currency"],
            customer=customer["id"],
            description=words,
            future="off_session",
        )
        payments.new_invoice_payment(invoice, intent)
        private(invoice["id"])["payment_intent"] = intent["id"]
    emit("invoice.finalized", invoice)


def intent_of(invoice: Obj) -> Obj | None:
    """The intent that pays the invoice, None where nothing is due."""
    return find("payment_intent", private(invoice["id"]).get("payment_intent"))


def mark_paid(invoice: Obj, *, outside: bool = False) -> None:
    """The money is there: state, link and the three events Stripe sends."""
    now = timeline.now()
    invoice |= {
        "status": "paid",
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
        "amount_paid": 0 if outside else invoice["amount_due"],
        "amount_remaining": 0,
    }
    if outside:
        invoice["amount_paid_off_stripe"] = invoice["amount_due"]
    invoice["status_transitions"]["paid_at"] = now
    timeline.plan("retry", invoice["id"], None)
    for link in every("invoice_payment"):
        if link["invoice"] == invoice["id"] and link["status"] == "open" and not outside:
            link |= {"status": "paid", "amount_paid": invoice["amount_due"]}
            link["status_transitions"]["paid_at"] = now
            emit("invoice_payment.paid", link)
    emit("invoice.paid", invoice)
    emit("invoice.payment_succeeded", invoice)


def close(invoice: Obj, status: str) -> None:
    """End an unpaid invoice: "void" or "uncollectible"."""
    kind = "invoice.voided" if status == "void" else "invoice.marked_uncollectible"
    intent = intent_of(invoice)
    if status == "void" and intent is not None and intent["status"] not in {"succeeded", "canceled"}:
        payments.cancel_intent(intent, "void_invoice")
    with change(invoice, "invoice.updated", kind):
        invoice |= {"status": status, "auto_advance": False, "next_payment_attempt": None}
        stamp = "voided_at" if status == "void" else "marked_uncollectible_at"
        invoice["status_transitions"][stamp] = timeline.now()
    if status == "void":
        balances.take_back(invoice)
    timeline.plan("retry", invoice["id"], None)
    timeline.plan("finalize", invoice["id"], None)


def of_subscription(subscription_id: str) -> list[Obj]:
    """The subscription's invoices, oldest first."""
    return [each for each in every("invoice") if subscription_of(each) == subscription_id]


def subscription_of(invoice: Obj) -> str | None:
    """The id of the subscription an invoice belongs to."""
    parent = invoice["parent"] or {}
    return (parent.get("subscription_details") or {}).get("subscription")
