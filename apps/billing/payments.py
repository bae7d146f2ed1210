"""Payment facts from a subscription's invoices: since when one is due, and whether the money was returned."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import stripe

from apps.core.states import SubscriptionStatus


@dataclass(frozen=True)
class PaymentFacts:
    """`returned`: empty, `refunded` or `dispute_lost`. `due_since`: when the oldest open invoice was finalised."""

    returned: str = ""
    due_since: dt.datetime | None = None
    open_invoice_id: str = ""
    open_invoice_url: str = ""
    invoices: list[Any] = field(default_factory=list)


def fetch_payment_facts(client: stripe.StripeClient, subscription: Any) -> PaymentFacts:
    """Fetch what a subscription (a StripeObject) owes or, if it owes nothing, what happened to its last payment."""
    status = SubscriptionStatus(subscription["status"])
    if status.owes:
        return _debt(client, subscription["id"])
    return _payment(client, subscription["id"]) if status.pays else PaymentFacts()


def _payment(client: stripe.StripeClient, subscription_id: str) -> PaymentFacts:
    """The last paid invoice. The latest one would be a draft in the first hour of each period, and say nothing."""
    paid = client.v1.invoices.list({"subscription": subscription_id, "status": "paid", "limit": 1}).data
    returned = _returned(client, paid[0]["id"]) if paid and paid[0]["amount_paid"] else ""
    return PaymentFacts(returned=returned, invoices=paid)


def _debt(client: stripe.StripeClient, subscription_id: str) -> PaymentFacts:
    """The oldest unpaid invoice: later ones of the same subscription neither restart the grace nor mail again."""
    listed = client.v1.invoices.list({"subscription": subscription_id, "status": "open", "limit": 100})
    unpaid = list(listed.auto_paging_iter())
    if not unpaid:
        return PaymentFacts()
    oldest = min(unpaid, key=_finalized_at)
    return PaymentFacts(
        due_since=dt.datetime.fromtimestamp(_finalized_at(oldest), tz=dt.UTC),
        open_invoice_id=oldest["id"],
        open_invoice_url=oldest["hosted_invoice_url"] or "",
        invoices=unpaid,
    )


def _finalized_at(invoice: Any) -> int:
    return int(invoice["status_transitions"]["finalized_at"] or invoice["created"])


def _returned(client: stripe.StripeClient, invoice_id: str) -> str:
    """Whether every payment of the invoice was fully refunded or lost in a dispute."""
    payments = client.v1.invoice_payments.list(
        {
            "invoice": invoice_id,
            "status": "paid",
            "expand": ["data.payment.payment_intent.latest_charge"],
        }
    )
    charges = [_charge(payment) for payment in payments.data]
    outcomes = [_how_returned(client, charge) for charge in charges if charge is not None]
    return outcomes[0] if outcomes and all(outcomes) else ""


def _charge(payment: Any) -> Any:
    intent = payment["payment"]["payment_intent"] if "payment_intent" in payment["payment"] else None
    return intent["latest_charge"] if intent and not isinstance(intent, str) else None


def _how_returned(client: stripe.StripeClient, charge: Any) -> str:
    if charge["refunded"]:
        return "refunded"
    if charge["disputed"]:
        disputes = client.v1.disputes.list({"charge": charge["id"]})
        if any(one["status"] == "lost" for one in disputes.data):
            return "dispute_lost"
    return ""
