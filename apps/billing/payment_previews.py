"""What a change of a customer's money would do, before it is done: asked of Stripe now, nothing is changed.

What would follow from a refund is read by the same function that reads it afterwards, from the ledger with the refund in it.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import stripe

from apps.accounts.models import UserProfile
from apps.billing import payments
from apps.billing.ledger import Attempt, Ledger, Refund, fetch_ledger
from apps.billing.parsing import identify, listed, moment, plain, text, whole
from apps.billing.stripe_client import calling_stripe
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.money import format_money


@dataclass(frozen=True)
class RefundPreview:
    """`amount`: what would be given back, `left`: what would stay, in minor units. `returned`: by subscription, what its money counts as then."""

    amount: int
    left: int
    currency: str
    returned: dict[str, str]


@dataclass(frozen=True)
class NextInvoice:
    """What Stripe would charge next, and when."""

    amount: int | None
    currency: str
    at: dt.datetime | None

    @property
    def money(self) -> str:
        return format_money(self.amount, self.currency)


def preview_refund(profile: UserProfile, charge_id: str, amount: int | None) -> RefundPreview:
    """What follows if so much of a payment is given back; None: all that is left of it. Three calls, more where there are disputes."""
    customer_id = profile.stripe_customer_id or ""
    with calling_stripe() as client:
        subscriptions = [plain(one) for one in client.v1.subscriptions.list(_all_of(customer_id)).auto_paging_iter()]
        ledger = fetch_ledger(client, customer_id)
    charge = next((one for one in ledger.charges if one.id == charge_id), None)
    if charge is None:
        raise BadInput("Stripe has no such payment of this customer.")
    left = charge.amount - charge.amount_refunded
    wanted = left if amount is None else amount
    if not 0 < wanted <= left:
        raise BadInput(
            "More than is left of this payment cannot be given back."
            if left
            else "All of this payment has been given back."
        )
    after = with_refund(ledger, charge_id, wanted)
    found = {
        identify(one): payments.read_payments(after, one, now=clock.now(), failures={}).returned
        for one in subscriptions
    }
    return RefundPreview(wanted, left - wanted, _currency_of(ledger, charge_id), found)


def with_refund(ledger: Ledger, charge_id: str, amount: int) -> Ledger:
    """The ledger as it is once so much of a payment has been given back."""
    made = Refund("", "succeeded", amount, clock.now())

    def changed(charges: Iterable[Attempt]) -> tuple[Attempt, ...]:
        return tuple(
            replace(one, amount_refunded=one.amount_refunded + amount, refunds=(*one.refunds, made))
            if one.id == charge_id
            else one
            for one in charges
        )

    invoices = tuple(replace(one, charges=changed(one.charges)) for one in ledger.invoices)
    return replace(ledger, invoices=invoices, charges=changed(ledger.charges))


def preview_next_invoice(subscription_id: str, **details: Any) -> NextInvoice | None:
    """Stripe's own preview of the next invoice, if these details of the subscription were so; None: there would be none."""
    asked: Any = {"subscription": subscription_id} | ({"subscription_details": details} if details else {})
    with calling_stripe() as client:
        try:
            found = plain(client.v1.invoices.create_preview(asked))
        except stripe.InvalidRequestError as error:
            if error.code == "invoice_upcoming_none":
                return None
            raise
    ends = [moment(plain(one.get("period")).get("start")) for one in listed(found.get("lines"))]
    at = moment(found.get("next_payment_attempt")) or min((one for one in ends if one), default=None)
    return NextInvoice(whole(found.get("amount_due")), text(found.get("currency"), 16), at)


def preview_going_on(subscription_id: str) -> NextInvoice | None:
    """The next invoice of a subscription that is to end, if it were not."""
    with calling_stripe() as client:
        found = plain(client.v1.subscriptions.retrieve(subscription_id))
    return preview_next_invoice(subscription_id, **going_on(found))


def going_on(subscription: dict[str, Any]) -> dict[str, Any]:
    """What lets a subscription go on that is to end: Stripe takes one of the two."""
    return {"cancel_at_period_end": False} if subscription.get("cancel_at_period_end") else {"cancel_at": ""}


def _all_of(customer_id: str) -> Any:
    return {"customer": customer_id, "status": "all", "limit": 100}


def _currency_of(ledger: Ledger, charge_id: str) -> str:
    found = (plain(one) for one in ledger.objects if identify(one) == charge_id)
    return next((text(one.get("currency"), 16) for one in found), "")
