"""What Stripe is asked for when a customer withdraws from a contract: the subscription ends now, and the money goes back.

Promises: nobody gets more than they paid (withdrawal_sums.py); asking again with the same request changes nothing more; what cannot
be given back by a refund (paid with credit or outside of Stripe, disputed, still on its way) is named, for staff.
"""

import datetime as dt
from collections.abc import Callable
from functools import partial

from apps.billing.change_requests import ChangeRequest, OutcomeUnknown
from apps.billing.ledger import Invoice, fetch_ledger
from apps.billing.parsing import parse_subscription
from apps.billing.payment_changes import (
    MARK,
    cancel_at_period_end,
    cancel_now,
    list_transactions,
    refund,
    take_credit,
)
from apps.billing.stripe_client import calling_stripe
from apps.billing.withdrawal_sums import read_balance, split_among, sum_due
from apps.core.errors import BadInput, RetryLater
from apps.core.money import format_money

WHY = "requested_by_customer"  # Stripe's word for a refund's reason


def end_at_period_end(asked: ChangeRequest, subscription_id: str, *, feedback: str = "") -> None:
    """Let the subscription end when what was paid for is over; nothing when it is to end already. BadInput: Stripe refuses."""
    cancel = partial(cancel_at_period_end, asked, subscription_id=subscription_id, feedback=feedback)
    _end(cancel, subscription_id, now=False)


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
    """Refund what was paid for this subscription; with `used_until` without the part of its time that was over by then.

    What is left of credit that it gave is taken back first, and nothing is refunded before that. Returns what staff have to
    settle, as sentences: what no refund of ours can give back, and what Stripe refuses.
    """
    with calling_stripe() as client:
        ledger = fetch_ledger(client, asked.customer)
        invoices = [one for one in ledger.invoices if one.subscription_id == subscription_id]
        if not invoices:
            return []
        currency = invoices[0].currency
        transactions = list_transactions(client, asked.customer, currency)
    credit = ChangeRequest(asked.profile, f"{asked.key}:credit", asked.actor, asked.reason)
    balance = read_balance(transactions, invoices, mark=(MARK, credit.key))
    if balance.own and (
        refusal := _give(partial(take_credit, credit, amount=balance.own, currency=currency, seen=balance.left))
    ):
        raise RetryLater(refusal)
    left_over = [sentence for one in invoices for sentence in _name_left_over(one)]
    due = sum_due(invoices, balance, used_until=used_until)
    for charge, amount in split_among(due, invoices):
        due -= amount
        own = ChangeRequest(asked.profile, f"{asked.key}:{charge.id}", asked.actor, asked.reason)
        give = partial(refund, own, charge_id=charge.id, amount=amount, seen=charge.amount_refunded, why=WHY)
        if refusal := _give(give):
            left_over.append(f"{format_money(amount, currency)} of {charge.id} was not refunded: {refusal}")
    if due:
        left_over.append(f"{format_money(due, currency)} is still due: as credit, or as it was paid outside of Stripe.")
    return left_over


def _give(change: Callable[[], object]) -> str:
    """Make one change, once for each request; what Stripe says against it, or nothing. Raises RetryLater while it asks to wait."""
    try:
        change()
    except BadInput as refusal:
        if refusal.code == "busy":
            raise RetryLater(refusal.message) from refusal
        return refusal.message
    except OutcomeUnknown as unknown:
        raise RetryLater(unknown.reason) from unknown
    return ""


def _name_left_over(invoice: Invoice) -> list[str]:
    """What of an invoice staff have to end or to watch, since no refund of ours does."""
    said = []
    if invoice.status == "open":
        said.append(f"{invoice.id} is still open: void it.")
    for charge in invoice.charges:
        if charge.status == "pending":
            said.append(f"{charge.id} is still on its way from the bank.")
        if charge.disputes:
            said.append(f"{charge.id} is disputed.")
    return said
