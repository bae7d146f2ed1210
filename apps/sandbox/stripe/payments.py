"""Charging a card: payment intents, charges and the money behind them, with their events."""

from apps.sandbox.stripe import cards, charges, timeline
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, add, blank, copied, get, new, private, random_text


def make_intent(
    *, amount: int, currency: str, customer: str | None, description: str | None = None, future: str | None = None
) -> Obj:
    """A payment intent that waits for a method."""
    intent = blank(
        "payment_intent",
        amount=amount,
        currency=currency,
        customer=customer,
        description=description,
        setup_future_usage=future,
    )
    intent["client_secret"] = f"{intent['id']}_secret_{random_text(25)}"
    emit("payment_intent.created", add(intent))
    return intent


def confirm(intent: Obj, method: Obj, *, on_session: bool, authenticated: bool = False) -> str:
    """Try to take the money: "succeeded", "failed", "action" (3-D Secure asked for) or "processing" (bank debit)."""
    verdict = cards.outcome(method, on_session=on_session, authenticated=authenticated)
    if verdict in {"ok", "dispute", "inquiry"}:
        _succeed(intent, method)
        if verdict != "ok":
            private(intent["latest_charge"])["dispute"] = verdict
            timeline.plan("dispute", intent["latest_charge"], timeline.now() + 1)
        return "succeeded"
    if verdict == "authenticate":
        _ask(intent, method)
        return "action"
    if verdict == "processing":
        _start_processing(intent, method)
        return "processing"
    fail(intent, method, verdict)
    return "failed"


def _succeed(intent: Obj, method: Obj) -> None:
    charge = add(charges.draft(intent, method))
    charge |= {"amount_captured": charge["amount"], "captured": True, "paid": True, "status": "succeeded"}
    charge["outcome"] = charges.outcome("approved_by_network", "authorized", None, "Payment complete.")
    charge["balance_transaction"] = charges.move_money(
        amount=charge["amount"],
        currency=charge["currency"],
        source=charge["id"],
        kind="charge",
        description=charge["description"],
    )["id"]
    add(charge)
    emit("charge.succeeded", charge)
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": charge["id"],
        "payment_method": method["id"],
    }
    intent |= {"last_payment_error": None, "next_action": None, "processing": None}
    emit("payment_intent.succeeded", add(intent))


def fail(intent: Obj, method: Obj, code: str) -> None:
    """The bank says no: a failed charge, and the intent waits for another method."""
    charge = charges.draft(intent, method)
    problem = cards.decline(code).error
    charge |= {"amount_captured": 0, "captured": False, "paid": False, "status": "failed", "receipt_url": None}
    charge |= {"failure_code": problem["code"], "failure_message": problem["message"]}
    charge["outcome"] = charges.outcome(
        "declined_by_network", "issuer_declined", code, f"The bank returned the decline code `{code}`."
    )
    emit("charge.failed", add(charge))
    error = {**problem, "charge": charge["id"], "payment_method": copied(method)}
    intent |= {"status": "requires_payment_method", "latest_charge": charge["id"], "payment_method": None}
    intent |= {"last_payment_error": error, "next_action": None, "processing": None}
    emit("payment_intent.payment_failed", intent)


def _ask(intent: Obj, method: Obj) -> None:
    intent |= {
        "status": "requires_action",
        "payment_method": method["id"],
        "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}},
    }
    emit("payment_intent.requires_action", intent)


def _start_processing(intent: Obj, method: Obj) -> None:
    charge = charges.draft(intent, method)
    charge |= {"amount_captured": charge["amount"], "captured": True, "paid": False, "status": "pending"}
    emit("charge.pending", add(charge))
    intent |= {
        "status": "processing",
        "payment_method": method["id"],
        "latest_charge": charge["id"],
        "last_payment_error": None,
    }
    emit("payment_intent.processing", intent)


def finish_processing(intent: Obj, *, paid: bool) -> None:
    """The bank's late answer to a debit that was processing."""
    method = get("payment_method", intent["payment_method"])
    charge = get("charge", intent["latest_charge"])
    if paid:
        with change(charge, "charge.succeeded"):
            charge |= {
                "paid": True,
                "status": "succeeded",
                "outcome": charges.outcome("approved_by_network", "authorized", None, "Payment complete."),
            }
            charge["balance_transaction"] = charges.move_money(
                amount=charge["amount"], currency=charge["currency"], source=charge["id"], kind="charge"
            )["id"]
        intent |= {"status": "succeeded", "amount_received": intent["amount"], "processing": None}
        emit("payment_intent.succeeded", intent)
    else:
        charge |= {
            "status": "failed",
            "captured": False,
            "amount_captured": 0,
            "failure_code": "insufficient_funds",
            "failure_message": "The bank account has insufficient funds.",
        }
        emit("charge.failed", charge)
        problem = {
            "type": "invalid_request_error",
            "code": "insufficient_funds",
            "message": charge["failure_message"],
            "charge": charge["id"],
            "payment_method": copied(method),
        }
        intent |= {
            "status": "requires_payment_method",
            "payment_method": None,
            "last_payment_error": problem,
            "processing": None,
        }
        emit("payment_intent.payment_failed", intent)


def cancel_intent(intent: Obj, reason: str | None = None) -> None:
    """Give an intent up."""
    intent |= {"status": "canceled", "canceled_at": timeline.now(), "cancellation_reason": reason, "next_action": None}
    emit("payment_intent.canceled", intent)


def new_invoice_payment(invoice: Obj, intent: Obj) -> Obj:
    """The link between an invoice and the intent that pays it."""
    return new(
        "invoice_payment",
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
    )
