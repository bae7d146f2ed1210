"""What a customer who withdraws from a contract gets back, to the cent. Pure: reads a ledger and a balance, asks nobody.

Promises: together with what went back before, it is what they paid for this subscription less the days they pay for. Credit that
the subscription gave them (for a smaller plan, or by a credit note) was paid for with the same money: what is left of it goes, and
what they have spent of it elsewhere is not paid out again.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any

from apps.billing.ledger import Attempt, Invoice, InvoiceLine
from apps.billing.parsing import identify, plain, text, whole


@dataclass(frozen=True)
class Balance:
    """A customer's credit now, and how much of all the credit that there ever was one subscription gave; minor units.

    `given` is below 0 where the subscription took up more than it gave: it was paid with credit of another origin. `is_taken`: what
    was left of its own was taken back before, so that all that is there now has another origin.
    """

    left: int = 0
    given: int = 0
    is_taken: bool = False

    @property
    def own(self) -> int:
        """What is left of the credit that the subscription gave."""
        return 0 if self.is_taken else max(0, min(self.left, self.given))

    @property
    def spent(self) -> int:
        """What of that credit paid for something else."""
        return max(0, self.given) - self.own

    @property
    def from_elsewhere(self) -> int:
        """What of the subscription was paid with other credit."""
        return max(0, -self.given)


def read_balance(
    transactions: Sequence[dict[str, Any]], invoices: Iterable[Invoice], *, mark: tuple[str, str]
) -> Balance:
    """Of the customer's balance transactions, the newest first. `mark`: the metadata of one that took this credit back.

    Credit that an open invoice has taken up is there again when staff void it.
    """
    wanted, (name, value) = {one.id for one in invoices if one.status != "open"}, mark
    taken = [one for one in transactions if text(plain(one.get("metadata")).get(name), 300) == value]
    moved = taken + [one for one in transactions if identify(one.get("invoice")) in wanted]
    now = whole(transactions[0].get("ending_balance")) or 0 if transactions else 0
    given = -sum(whole(one.get("amount")) or 0 for one in moved)
    return Balance(left=max(0, -now), given=given, is_taken=bool(taken))


def sum_due(invoices: Iterable[Invoice], balance: Balance, *, used_until: dt.datetime | None) -> int:
    """What is still to be given back; with `used_until` without the part of its time that was over by then."""
    due = Fraction(balance.from_elsewhere - balance.spent)
    for one in invoices:
        disputed = sum(each.amount - each.amount_refunded for each in one.charges if each.disputes)
        due += max(0, one.paid - one.refunded() - disputed)
        if used_until and one.status == "paid":
            due -= _used(one, used_until)
    return max(0, -floor(-due))


def split_among(due: int, invoices: Iterable[Invoice]) -> list[tuple[Attempt, int]]:
    """How much of which payment to refund, the newest first; no more than is left of each."""
    charges = {each.id: each for one in invoices for each in one.charges}.values()
    found = []
    for charge in sorted(charges, key=lambda each: (each.at, each.id), reverse=True):
        amount = min(due, charge.amount - charge.amount_refunded)
        if amount > 0 and charge.status == "succeeded" and not charge.disputes:
            found.append((charge, amount))
            due -= amount
    return found


def _used(invoice: Invoice, moment: dt.datetime) -> Fraction:
    """What of an invoice was for the time before that moment, with its tax; credit for such time is below 0.

    What else stands on it, as a fee for the setup, is for no time.
    """
    return sum(((line.amount + line.tax) * _share_over(line, moment) for line in invoice.spans), Fraction(0))


def _share_over(line: InvoiceLine, moment: dt.datetime) -> Fraction:
    """Which part of the time that a line charges for was over at that moment."""
    if line.ends <= line.begins:
        return Fraction(0)
    over = min(max(moment, line.begins), line.ends) - line.begins
    return Fraction(int(over.total_seconds()), int((line.ends - line.begins).total_seconds()))
