"""What a subscription's last invoice says about its money: since when it is due, and whether it went back."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import stripe

OWES = frozenset({"past_due", "unpaid", "incomplete"})
PAYS = frozenset({"active", "trialing", "past_due", "unpaid", "paused"})


@dataclass(frozen=True)
class Money:
    """`returned`: empty, `refunded` or `dispute_lost`. `due_since`: when the open invoice was finalised."""

    returned: str = ""
    due_since: dt.datetime | None = None
    open_invoice_id: str = ""
    open_invoice_url: str = ""
    invoices: list[Any] = field(default_factory=list)


def look(client: stripe.StripeClient, subscription: Any) -> Money:
    """Fetch the latest invoice of a subscription (a StripeObject) and, where it was paid, what became of the payment."""
    latest = subscription["latest_invoice"]
    if not latest or subscription["status"] not in PAYS | OWES:
        return Money()
    invoice = client.v1.invoices.retrieve(latest if isinstance(latest, str) else latest["id"])
    if invoice["status"] == "paid":
        paid = (invoice["amount_paid"] or 0) > 0
        return Money(returned=_returned(client, invoice["id"]) if paid else "", invoices=[invoice])
    finalised = invoice["status_transitions"]["finalized_at"] or invoice["created"]
    return Money(
        due_since=dt.datetime.fromtimestamp(finalised, tz=dt.UTC),
        open_invoice_id=invoice["id"] if invoice["status"] == "open" else "",
        open_invoice_url=(invoice["hosted_invoice_url"] or "") if invoice["status"] == "open" else "",
        invoices=[invoice],
    )


def _returned(client: stripe.StripeClient, invoice_id: str) -> str:
    """Whether every payment of the invoice was fully refunded or lost in a dispute."""
    payments = client.v1.invoice_payments.list(
        {"invoice": invoice_id, "status": "paid", "expand": ["data.payment.payment_intent.latest_charge"]}
    )
    charges = [_charge(payment) for payment in payments.data]
    fates = [_fate(client, charge) for charge in charges if charge is not None]
    return fates[0] if fates and all(fates) else ""


def _charge(payment: Any) -> Any:
    intent = payment["payment"]["payment_intent"] if "payment_intent" in payment["payment"] else None
    return intent["latest_charge"] if intent and not isinstance(intent, str) else None


def _fate(client: stripe.StripeClient, charge: Any) -> str:
    if charge["refunded"]:
        return "refunded"
    if charge["disputed"]:
        disputes = client.v1.disputes.list({"charge": charge["id"]})
        if any(one["status"] == "lost" for one in disputes.data):
            return "dispute_lost"
    return ""
