"""What a customer's money says about one subscription: paid and left for its period, late since when, disputed or not.

Pure: reads a ledger, asks nobody. Promises: a refund or dispute of one payment changes nothing while something is left of what
was paid for the same period; a payment is late from the moment at which that was known; a lost dispute counts until the amount
was paid again outside the subscription's own invoices.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.billing.ledger import LONG_AGO, RENEWALS, Attempt, Dispute, Invoice, InvoiceLine, Ledger, Refund
from apps.billing.parsing import identify, listed, moment, plain
from apps.core.states import SubscriptionStatus


@dataclass(frozen=True)
class PaymentFacts:
    """`paid`, `left`: for the current period, in minor units. `returned`: empty, `refunded` or `dispute_lost`.

    `late_since`: since when the oldest open invoice is known to be late; None while nothing is late, and while that is not
    known. `is_pending`: nothing is late, and a bank debit is on its way. `disputes`: open, or lost and not paid again.
    Of what is open: `next_attempt_at` and `attempts_made` of the oldest late invoice, `due_at` of the first that is still to be paid.
    """

    paid: int = 0
    left: int = 0
    returned: str = ""
    late_since: dt.datetime | None = None
    open_invoice_id: str = ""
    open_invoice_url: str = ""
    is_pending: bool = False
    disputes: tuple[Dispute, ...] = ()
    refunds: Mapping[str, str] = field(default_factory=dict)
    next_attempt_at: dt.datetime | None = None
    attempts_made: int = 0
    due_at: dt.datetime | None = None


def read_payments(
    ledger: Ledger, subscription: Any, *, now: dt.datetime, failures: Mapping[str, dt.datetime]
) -> PaymentFacts:
    """The facts of one subscription. `failures`: when Stripe first told us that an invoice was not paid."""
    own = [one for one in ledger.invoices if one.subscription_id == identify(subscription)]
    status = SubscriptionStatus(str(plain(subscription).get("status")))
    period, until = _period(own, subscription, now)
    paid = sum(one.paid for one in period)
    refunded = sum(one.refunded(until) for one in period)
    charges = _charges_of(own)
    disputes = _outstanding(ledger, charges)
    owed = paid if status != SubscriptionStatus.TRIALING else 0  # nothing is due in a trial
    gone = owed > 0 and refunded >= owed and not _paid_again(ledger, period, refunded)
    lost = any(one.is_lost for one in disputes)
    late = _late(own) if status.owes else []
    since = {one.id: _late_since(one, failures) for one in late}
    oldest = min(late, key=lambda one: (since[one.id] is None, since[one.id] or one.finalized_at, one.id), default=None)
    return PaymentFacts(
        paid=paid,
        left=paid - sum(one.returned(until) for one in period),
        returned="refunded" if gone else "dispute_lost" if lost else "",
        late_since=since[oldest.id] if oldest else None,
        open_invoice_id=oldest.id if oldest else "",
        open_invoice_url=oldest.url if oldest else "",
        is_pending=status == SubscriptionStatus.PAST_DUE and not _known_late(late, failures) and _has_debit(own),
        disputes=disputes,
        refunds={each.id: each.status for each in _went_back(own, charges)},
        next_attempt_at=oldest.next_attempt_at if oldest else None,
        attempts_made=oldest.attempts_made if oldest else 0,
        due_at=min(
            (one.late_from for one in own if one.status == "open" and one.late_from and one.late_from > now),
            default=None,
        ),
    )


def _went_back(invoices: list[Invoice], charges: list[Attempt]) -> list[Refund]:
    outside = [each for one in invoices for each in one.returned_outside]
    return [*outside, *(each for one in charges for each in one.refunds)]


def _charges_of(invoices: list[Invoice]) -> list[Attempt]:
    return list({charge.id: charge for one in invoices for charge in one.charges}.values())


# --- what was paid for the period ------------------------------------------------------------------------------------


def _period(own: list[Invoice], subscription: Any, now: dt.datetime) -> tuple[list[Invoice], dt.datetime | None]:
    """The paid invoices of the current period. While it has none yet: those of the last one, and when that was over.

    What went back after its end was no longer for the current period.
    """
    paid = [one for one in own if one.status == "paid"]
    starts = {
        identify(line): moment(line.get("current_period_start")) for line in listed(plain(subscription).get("items"))
    }

    # A line that was dropped has no period of its own any more: the subscription's says what was paid for an earlier one.
    earliest = min((start for start in starts.values() if start), default=None)

    def is_of_this_period(span: InvoiceLine) -> bool:
        start = starts.get(span.item_id, earliest)
        return span.covers(now) and (start is None or span.begins >= start)

    for is_current in (is_of_this_period, lambda span: span.covers(now)):
        if any(is_current(span) for one in paid for span in one.spans):
            return [one for one in paid if sum(span.amount for span in one.spans if is_current(span)) > 0], None
    over = max((span.ends for one in paid for span in one.spans if span.ends <= now), default=None)
    if over is None:
        return [], None
    last = over - dt.timedelta(seconds=1)
    return [one for one in paid if sum(span.amount for span in one.spans if span.covers(last)) > 0], over


# --- disputes, and paying again --------------------------------------------------------------------------------------


def _outstanding(ledger: Ledger, charges: Collection[Attempt]) -> tuple[Dispute, ...]:
    """The disputes of these payments that are open, and those lost, unless what was lost was paid again."""
    found = sorted({each.id: each for one in charges for each in one.disputes}.values(), key=lambda one: one.id)
    lost = [one for one in found if one.is_lost]
    if lost and _paid_since(ledger, min(one.at for one in lost)) >= sum(one.amount for one in lost):
        lost = []
    return tuple(one for one in found if one.is_open or one in lost)


def _paid_again(ledger: Ledger, period: list[Invoice], amount: int) -> bool:
    """Whether as much as was refunded was paid after the first of the refunds."""
    dates = [each.at for each in _went_back(period, _charges_of(period)) if each.amount]
    return bool(dates) and _paid_since(ledger, min(dates)) >= amount


def _paid_since(ledger: Ledger, since: dt.datetime) -> int:
    """What the customer paid since that moment for anything but a period of a subscription: a renewal pays for itself."""
    by_period = {each.id for one in ledger.invoices if one.reason in RENEWALS for each in one.charges}
    others = [
        one for one in ledger.charges if one.status == "succeeded" and one.at >= since and one.id not in by_period
    ]
    outside = [
        one.paid_outside
        for one in ledger.invoices
        if one.reason not in RENEWALS and one.paid_at is not None and one.paid_at >= since
    ]
    return sum(one.amount - one.refunded() - one.lost() for one in others) + sum(outside)


# --- what is late ----------------------------------------------------------------------------------------------------


def _late(own: list[Invoice]) -> list[Invoice]:
    """What is not paid since a later invoice was; also what the operator no longer expects. What was voided nobody owes."""
    unpaid = [one for one in own if one.status in {"open", "uncollectible"}]
    last_paid = max((one.finalized_at for one in own if one.status == "paid" and one.paid), default=LONG_AGO)
    return [one for one in unpaid if one.finalized_at > last_paid] or unpaid


def _late_since(invoice: Invoice, failures: Mapping[str, dt.datetime]) -> dt.datetime | None:
    """When it was known that the invoice is late; None when Stripe's objects do not say.

    By mail: from the due date. By card: from the first attempt that failed. A bank debit fails days after its attempt, so
    only the event says when; without a card there is no attempt at all.
    """
    if invoice.late_from is not None:
        return invoice.late_from
    attempts = [one.at for one in invoice.charges if one.status == "failed" and not one.is_late_to_tell]
    told = failures.get(invoice.id)
    return min([*attempts, *([told] if told else [])], default=None)


def _known_late(late: list[Invoice], failures: Mapping[str, dt.datetime]) -> bool:
    """Whether any attempt to pay what is open has failed already."""
    return any(one.id in failures or any(each.status == "failed" for each in one.charges) for one in late)


def _has_debit(own: list[Invoice]) -> bool:
    """Whether money is on its way: the bank has not answered yet."""
    return any(each.status == "pending" for one in own if one.status == "open" for each in one.charges)
