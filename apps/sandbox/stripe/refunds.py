"""Money going back: refunds and disputes, with their events."""

from apps.sandbox.stripe import timeline
from apps.sandbox.stripe.charges import move_money
from apps.sandbox.stripe.events import change, emit
from apps.sandbox.stripe.records import Obj, add, blank, get


def open_dispute(charge: Obj, *, inquiry: bool = False, reason: str = "fraudulent", amount: int | None = None) -> Obj:
    """The customer's bank takes the money back, all of it or an amount (or only asks)."""
    dispute = blank(
        "dispute",
        amount=amount or charge["amount"],
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        reason=reason,
    )
    dispute["status"] = "warning_needs_response" if inquiry else "needs_response"
    dispute["is_charge_refundable"] = inquiry
    dispute["evidence_details"]["due_by"] = timeline.now() + 9 * 86_400
    dispute["payment_method_details"]["card"]["case_type"] = "inquiry" if inquiry else "chargeback"
    add(dispute)
    with change(charge, "charge.updated"):
        charge["disputed"] = True
    emit("charge.dispute.created", dispute)
    if not inquiry:
        taken = move_money(
            amount=-dispute["amount"], currency=charge["currency"], source=dispute["id"], kind="adjustment"
        )
        dispute["balance_transactions"].append(taken)
        emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close_dispute(dispute: Obj, status: str) -> None:
    """End a dispute: won, lost, warning_closed or prevented."""
    with change(dispute, "charge.dispute.closed"):
        dispute["status"] = status
    if status == "won":
        back = move_money(
            amount=dispute["amount"], currency=dispute["currency"], source=dispute["id"], kind="adjustment"
        )
        dispute["balance_transactions"].append(back)
        emit("charge.dispute.funds_reinstated", dispute)


def refund(charge: Obj, *, amount: int, reason: str | None, metadata: Obj | None = None) -> Obj:
    """Give money back."""
    made = blank(
        "refund",
        amount=amount,
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=charge["payment_intent"],
        reason=reason,
        metadata=metadata or {},
    )
    if "card" not in charge["payment_method_details"]:
        made["destination_details"] = None
        made["status"] = "pending"
    made["balance_transaction"] = move_money(
        amount=-amount, currency=charge["currency"], source=made["id"], kind="refund"
    )["id"]
    add(made)
    with change(charge, "charge.refunded"):
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] >= charge["amount"]
    emit("refund.created", made)
    return made


def fail_refund(made: Obj) -> None:
    """The customer's bank could not take the money."""
    charge = get("charge", made["charge"])
    made |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    made["failure_balance_transaction"] = move_money(
        amount=made["amount"], currency=made["currency"], source=made["id"], kind="refund_failure"
    )["id"]
    with change(charge, "charge.updated"):
        charge["amount_refunded"] -= made["amount"]
        charge["refunded"] = False
    emit("refund.updated", made)
    emit("refund.failed", made)
