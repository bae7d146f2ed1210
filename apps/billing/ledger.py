"""A customer's invoices, charges and disputes at Stripe: fetched in a handful of calls, and parsed to frozen facts.

Promises: two calls for most customers, one more for each disputed charge and for the credit notes of paid invoices; parsing
raises for nothing that Stripe may send.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import stripe

from apps.billing.parsing import identify, listed, moment, plain, text, whole
from apps.billing.payers import fetch_nameless_charges

RENEWALS = (
    "subscription",
    "subscription_create",
    "subscription_cycle",
    "subscription_update",
    "subscription_threshold",
)
FAILED = ("failed", "canceled", "void")  # refunds and credit notes that did not happen
LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True)
class Refund:
    """One refund that went through or is on its way."""

    id: str
    status: str
    amount: int
    at: dt.datetime


@dataclass(frozen=True)
class Dispute:
    """One dispute or inquiry. `at`: when it was opened."""

    id: str
    status: str
    amount: int
    currency: str
    at: dt.datetime

    @property
    def is_lost(self) -> bool:
        """The money is gone for good."""
        return self.status == "lost"

    @property
    def is_open(self) -> bool:
        """Not decided yet. A status that is new to us counts as open: staff check it, access stays."""
        return self.status not in {"lost", "won", "warning_closed", "prevented"}


@dataclass(frozen=True)
class Attempt:
    """One attempt to take money. `is_late_to_tell`: a bank debit, whose failure is known days after it was made."""

    id: str
    intent_id: str
    status: str
    at: dt.datetime
    amount: int
    amount_refunded: int
    method_id: str = ""
    is_late_to_tell: bool = False
    refunds: tuple[Refund, ...] = ()
    disputes: tuple[Dispute, ...] = ()

    def refunded(self, before: dt.datetime | None = None) -> int:
        """How much of it was refunded; with `before`, without what was refunded after that moment."""
        later = [one.amount for one in self.refunds if before and one.at >= before and one.status not in FAILED]
        return self.amount_refunded - sum(later)

    def lost(self, before: dt.datetime | None = None) -> int:
        """How much of it was lost in disputes."""
        return sum(one.amount for one in self.disputes if one.is_lost and not (before and one.at >= before))


@dataclass(frozen=True)
class InvoiceLine:
    """A line of an invoice: what it charges for which time; `item_id`: of which line of the subscription. `tax`: on top of it."""

    begins: dt.datetime
    ends: dt.datetime
    item_id: str
    amount: int
    tax: int = 0

    def covers(self, now: dt.datetime) -> bool:
        return self.begins <= now < self.ends


@dataclass(frozen=True)
class Invoice:
    """One invoice. `paid_outside`: paid, but not through Stripe; `returned_outside`: went back, but not through Stripe.

    What a credit note takes off before the payment is never paid. Of one after the payment, a refund is a refund of the charge
    and counts there, once. What it credits to the customer's balance stays with us and pays a later invoice: like a coupon
    or a credited proration it makes this period cheaper, and takes nobody's access.
    """

    id: str
    subscription_id: str
    status: str
    reason: str
    late_from: dt.datetime | None  # for invoices sent by mail: the due date
    finalized_at: dt.datetime
    paid_at: dt.datetime | None
    paid: int
    paid_outside: int
    currency: str
    url: str
    spans: tuple[InvoiceLine, ...]
    charges: tuple[Attempt, ...]
    returned_outside: tuple[Refund, ...] = ()
    next_attempt_at: dt.datetime | None = None
    attempts_made: int = 0

    def is_paid_after(self, end: dt.datetime) -> bool:
        """Whether it was paid after its subscription had ended, for a time that is later than that."""
        late = bool(self.paid and self.paid_at and self.paid_at > end)
        return late and any(span.amount > 0 and span.ends > end for span in self.spans)

    def refunded(self, before: dt.datetime | None = None) -> int:
        """How much of what was paid went back, disputes aside; with `before`, without what went back after that moment."""
        outside = sum(one.amount for one in self.returned_outside if not (before and one.at >= before))
        return min(self.paid, outside + sum(one.refunded(before) for one in self.charges))

    def returned(self, before: dt.datetime | None = None) -> int:
        """The same with lost disputes."""
        return min(self.paid, self.refunded(before) + sum(one.lost(before) for one in self.charges))


@dataclass(frozen=True)
class Ledger:
    """Everything about a customer's money. `objects`: what was fetched, for the mirror."""

    invoices: tuple[Invoice, ...] = ()
    charges: tuple[Attempt, ...] = ()
    objects: list[Any] = field(default_factory=list)


def fetch_ledger(client: stripe.StripeClient, customer_id: str) -> Ledger:
    """Fetch all of a customer's invoices, charges and disputes."""
    charges = client.v1.charges.list({"customer": customer_id, "limit": 100, "expand": ["data.refunds"]})
    invoices = client.v1.invoices.list({"customer": customer_id, "limit": 100, "expand": ["data.payments"]})
    bills = list(invoices.auto_paging_iter())
    found = list(charges.auto_paging_iter())
    found += fetch_nameless_charges(client, bills, found)
    disputed = [one for one in found if plain(one).get("disputed")]
    disputes = {
        identify(one): list(client.v1.disputes.list({"charge": identify(one), "limit": 100}).auto_paging_iter())
        for one in disputed
    }
    lines = {identify(one): _all_lines(client, one) for one in bills}
    parsed = [parse_charge(one, disputes.get(identify(one), [])) for one in found]
    credited = any(plain(one).get("post_payment_credit_notes_amount") for one in bills)
    notes = _fetch_credit_notes(client, customer_id) if credited else []
    return Ledger(
        invoices=tuple(parse_invoice(one, lines[identify(one)], parsed, notes) for one in bills),
        charges=tuple(parsed),
        objects=[*found, *bills, *_refunds_of(found), *[one for few in disputes.values() for one in few]],
    )


def _all_lines(client: stripe.StripeClient, invoice: Any) -> list[dict[str, Any]]:
    """The lines of an invoice; Stripe shows ten of them with it."""
    lines = plain(plain(invoice).get("lines"))
    if not lines.get("has_more"):
        return listed(lines)
    return [
        plain(one) for one in client.v1.invoices.line_items.list(identify(invoice), {"limit": 100}).auto_paging_iter()
    ]


def _fetch_credit_notes(client: stripe.StripeClient, customer_id: str) -> list[Any]:
    """The customer's credit notes; none when our key may not read them: their refunds count all the same, by the charges."""
    try:
        return list(client.v1.credit_notes.list({"customer": customer_id, "limit": 100}).auto_paging_iter())
    except stripe.PermissionError:  # the doctor reports it
        return []


def _refunds_of(charges: list[Any]) -> list[Any]:
    """The refunds that came with the charges, as Stripe's objects."""
    return [one for charge in charges if listed(plain(charge).get("refunds")) for one in charge["refunds"]["data"]]


# --- parsing ---------------------------------------------------------------------------------------------------------


def parse_charge(found: Any, disputes: list[Any]) -> Attempt:
    """The facts of a charge, with those of its disputes."""
    one = plain(found)
    amount = whole(one.get("amount")) or 0
    returned = whole(one.get("amount_refunded"))
    return Attempt(
        id=identify(one),
        intent_id=identify(one.get("payment_intent")),
        status=text(one.get("status"), 40),
        at=moment(one.get("created")) or LONG_AGO,
        amount=amount,
        amount_refunded=(amount if one.get("refunded") else 0) if returned is None else returned,
        method_id=identify(one.get("payment_method")),
        is_late_to_tell=is_debit(one),
        refunds=tuple(parse_refund(each) for each in listed(one.get("refunds"))),
        disputes=tuple(parse_dispute(each) for each in disputes),
    )


def is_debit(charge: dict[str, Any]) -> bool:
    """Whether a charge takes money from a bank account, whose bank answers days later."""
    return plain(charge.get("payment_method_details")).get("type") not in ("card", "card_present", "link", None)


def parse_refund(found: Any) -> Refund:
    """The facts of a refund."""
    one = plain(found)
    at = moment(one.get("created")) or LONG_AGO
    return Refund(identify(one), text(one.get("status"), 40), whole(one.get("amount")) or 0, at)


def parse_dispute(found: Any) -> Dispute:
    """The facts of a dispute or an inquiry."""
    one = plain(found)
    return Dispute(
        id=identify(one),
        status=text(one.get("status"), 40),
        amount=whole(one.get("amount")) or 0,
        currency=text(one.get("currency"), 16),
        at=moment(one.get("created")) or LONG_AGO,
    )


def parse_invoice(
    found: Any, lines: list[dict[str, Any]], charges: list[Attempt], notes: Iterable[Any] = ()
) -> Invoice:
    """The facts of an invoice, with the charges that tried to pay it and, of its credit notes, what was given back."""
    one = plain(found)
    moments = plain(one.get("status_transitions"))
    finalized = moment(moments.get("finalized_at")) or moment(one.get("created")) or LONG_AGO
    due = moment(one.get("due_date"))
    payments = listed(one.get("payments"))
    payers = {payer_of(each) for each in payments} - {""}
    outside = whole(one.get("amount_paid_off_stripe")) or 0
    inside = sum(whole(each.get("amount_paid")) or 0 for each in payments if payer_of(each))
    return Invoice(
        id=identify(one),
        subscription_id=subscription_of(one),
        status=text(one.get("status"), 40),
        reason=text(one.get("billing_reason"), 60),
        late_from=max(finalized, due or finalized) if due or one.get("collection_method") == "send_invoice" else None,
        finalized_at=finalized,
        paid_at=moment(moments.get("paid_at")),
        paid=max(whole(one.get("amount_paid")) or 0, inside + outside),
        paid_outside=outside,
        currency=text(one.get("currency"), 16),
        url=text(one.get("hosted_invoice_url"), 2000),
        spans=tuple(span for line in lines if (span := _span(line))),
        charges=tuple(each for each in charges if payers & {each.id, each.intent_id}),
        returned_outside=tuple(
            _outside(each) for each in notes if identify(plain(each).get("invoice")) == identify(one)
        ),
        next_attempt_at=moment(one.get("next_payment_attempt")),
        attempts_made=max(0, whole(one.get("attempt_count")) or 0),
    )


def _outside(note: Any) -> Refund:
    """What a credit note gave back without a refund of Stripe's."""
    one = plain(note)
    amount = (whole(one.get("out_of_band_amount")) or 0) + sum(
        whole(each.get("amount_refunded")) or 0
        for each in _parts(one.get("refunds"))
        if each.get("type") == "payment_record_refund"
    )
    return replace(parse_refund(one), amount=0 if one.get("status") in FAILED else amount)


def payer_of(payment: dict[str, Any]) -> str:
    """The payment intent or charge of one of an invoice's payments."""
    paid_by = plain(payment.get("payment"))
    return identify(paid_by.get("payment_intent")) or identify(paid_by.get("charge"))


def subscription_of(invoice: dict[str, Any]) -> str:
    """The subscription an invoice belongs to; empty when none. Before basil it was a field of its own."""
    details = plain(plain(invoice.get("parent")).get("subscription_details"))
    return identify(details.get("subscription")) or identify(invoice.get("subscription"))


def _span(line: dict[str, Any]) -> InvoiceLine | None:
    """The time a line of a subscription charges for; None for anything else that was bought."""
    details = plain(plain(line.get("parent")).get("subscription_item_details"))
    period = plain(line.get("period"))
    begins, ends = moment(period.get("start")), moment(period.get("end"))
    if not details or begins is None or ends is None:
        return None
    off = sum(whole(one.get("amount")) or 0 for one in _parts(line.get("discount_amounts")))
    added = [one for one in _parts(line.get("taxes")) if one.get("tax_behavior") == "exclusive"]
    return InvoiceLine(
        begins,
        ends,
        identify(details.get("subscription_item")),
        amount=(whole(line.get("amount")) or 0) - off,
        tax=sum(whole(one.get("amount")) or 0 for one in added),
    )


def _parts(found: Any) -> list[dict[str, Any]]:
    return [plain(one) for one in found] if isinstance(found, list) else []
