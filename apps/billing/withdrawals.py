"""What Stripe is asked for when a customer withdraws from a contract: the subscription ends now, and the money goes back.

Promises: asking again with the same request changes nothing more; what cannot be given back by a refund (paid outside of Stripe,
disputed, still on its way) is named, for staff.
"""

import datetime as dt
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from math import ceil

from apps.billing.change_requests import ChangeRequest, OutcomeUnknown
from apps.billing.ledger import Attempt, Invoice, fetch_ledger
from apps.billing.parsing import parse_subscription
from apps.billing.payment_changes import cancel_at_period_end, cancel_now, refund
from apps.billing.stripe_client import calling_stripe
from apps.core.errors import BadInput, RetryLater

WHY = "requested_by_customer"  # Stripe's word for a refund's reason


def end_at_period_end(asked: ChangeRequest, subscription_id: str) -> None:
    """Let the subscription end when what was paid for is over; nothing when it is to end already. BadInput: Stripe refuses."""
    _end(partial(cancel_at_period_end, asked, subscription_id=subscription_id), subscription_id, now=False)


def end_now(asked: ChangeRequest, subscription_id: str) -> None:
    """End the subscription; nothing when it has ended already. BadInput: Stripe refuses."""
    _end(partial(cancel_now, asked, subscription_id=subscription_id), subscription_id, now=True)


def _end(cancel: Callable[[], object], subscription_id: str, *, now: bool) -> None:
    try:
        cancel()
    except BadInput as refusal:
        _go_on_if_done(refusal, subscription_id, now=now)
    except OutcomeUnknown as unknown:
        raise RetryLater(unknown.reason) from unknown


def _go_on_if_done(refusal: BadInput, subscription_id: str, *, now: bool) -> None:
    """Nothing if the subscription is as it should be, by whatever ended it; later if somebody else is at work; else the refusal."""
    if refusal.code == "busy":
        raise RetryLater(refusal.message) from refusal
    with calling_stripe() as client:
        found = parse_subscription(client.v1.subscriptions.retrieve(subscription_id))
    if not (found.status.ended or (not now and found.leaves_at)):
        raise refusal


def give_back(asked: ChangeRequest, subscription_id: str, *, used_until: dt.datetime | None) -> list[str]:
    """Refund what was paid for this subscription; with `used_until` without the part of its period that was over by then.

    Returns what staff have to settle, as sentences: what no refund of ours can give back, and what Stripe refuses.
    """
    with calling_stripe() as client:
        ledger = fetch_ledger(client, asked.customer)
    invoices = [one for one in ledger.invoices if one.subscription_id == subscription_id]
    left_over = [sentence for one in invoices for sentence in _name_left_over(one)]
    for invoice in invoices:
        share = _unused_share(invoice, used_until) if used_until else Fraction(1)
        for charge in invoice.charges:
            wanted = min(ceil(charge.amount * share), charge.amount - charge.amount_refunded)
            if wanted > 0 and charge.status == "succeeded" and not charge.disputes:
                left_over += _refund(asked, charge, wanted)
    return left_over


def _refund(asked: ChangeRequest, charge: Attempt, amount: int) -> list[str]:
    """Give so much of a payment back, once for each request; what Stripe says against it."""
    own = ChangeRequest(asked.profile, f"{asked.key}:{charge.id}", asked.actor, asked.reason)
    try:
        refund(own, charge_id=charge.id, amount=amount, seen=charge.amount_refunded, why=WHY)
    except BadInput as refusal:
        if refusal.code == "busy":
            raise RetryLater(refusal.message) from refusal
        return [f"{charge.id} was not refunded: {refusal.message}"]
    except OutcomeUnknown as unknown:
        raise RetryLater(unknown.reason) from unknown
    return []


def _unused_share(invoice: Invoice, moment: dt.datetime) -> Fraction:
    """Which part of the time that an invoice charges for lay ahead at that moment."""
    begins = min((one.begins for one in invoice.spans), default=moment)
    ends = max((one.ends for one in invoice.spans), default=moment)
    if ends <= begins:
        return Fraction(1)
    ahead = ends - min(max(moment, begins), ends)
    return Fraction(int(ahead.total_seconds()), int((ends - begins).total_seconds()))


def _name_left_over(invoice: Invoice) -> list[str]:
    """What of an invoice no refund of ours can give back."""
    said = []
    if invoice.status == "open":
        said.append(f"{invoice.id} is still open: void it.")
    if invoice.paid_outside:
        said.append(f"{invoice.id} was paid outside of Stripe.")
    for charge in invoice.charges:
        if charge.status == "pending":
            said.append(f"{charge.id} is still on its way from the bank.")
        if charge.disputes:
            said.append(f"{charge.id} is disputed.")
    return said
