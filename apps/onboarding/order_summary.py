"""What an order costs, said once for every page: each line with its period, what is due today, and what follows from when.

Pure: `summarize` gets the lines, the terms of the sale and the moment. Amounts are in minor units. Its sentences are whole, one
for each case, so that they can be translated.
"""

import calendar
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from django.utils.translation import gettext as _

from apps.core.dates import day
from apps.core.money import format_money, format_price, per_month

MONTHS = {"month": 1, "year": 12}
# The law of some countries wants these very words on the button: in Germany § 312j BGB, with nothing beside them.
ORDER_BUTTONS = {
    "en": {"pay": "Order and pay {price}", "trial": "Order: free at first, then {price}"},
    "de": {"pay": "Zahlungspflichtig bestellen", "trial": "Zahlungspflichtig bestellen"},
}


class Sold(NamedTuple):
    """One thing that is ordered; `amount` is for all of its quantity and one interval, and `people` for how many it is, if several."""

    slug: str
    name: str
    quantity: int
    amount: int
    people: int = 0


@dataclass(frozen=True)
class SummaryLine:
    """The same as pages show it."""

    slug: str
    name: str
    quantity: int
    amount: int
    price: str
    people: int = 0


@dataclass(frozen=True)
class SaleTerms:
    """How orders are sold. `trial_days`: free at first, `trial_card`: with a card all the same.

    `tax_note`: the operator's words about tax; `taxed`: Stripe computes it.
    """

    trial_days: int = 0
    trial_card: bool = True
    tax_note: str = ""
    taxed: bool = False
    language: str = "en"


@dataclass(frozen=True)
class OrderSummary:
    """An order as pages show it. `next_at`: when the next payment is taken, of `total`; `digest`: which order this is."""

    lines: tuple[SummaryLine, ...]
    interval: str
    currency: str
    terms: SaleTerms
    next_at: dt.datetime
    digest: str = ""

    @property
    def total(self) -> int:
        """What one interval costs."""
        return sum(line.amount for line in self.lines)

    @property
    def price(self) -> str:
        """The total with its period: `€8 a month`."""
        return format_price(self.total, self.currency, self.interval)

    @property
    def a_month(self) -> str:
        """What a month of it comes to, where it is not paid by the month; else empty."""
        if self.interval == "month" or not self.total:
            return ""
        return format_price(per_month(self.total, self.interval), self.currency, "month")

    @property
    def due_today(self) -> str:
        """What is charged when it is ordered."""
        return format_money(0 if self.is_trial else self.total, self.currency)

    @property
    def is_trial(self) -> bool:
        """Whether it is free at first."""
        return self.terms.trial_days > 0

    @property
    def next_day(self) -> str:
        """The day of the next payment, or of the first one after a trial."""
        return day(self.next_at)

    @property
    def tax_sentence(self) -> str:
        """What is said about tax; empty when the operator says nothing and Stripe computes none."""
        if self.terms.tax_note:
            return self.terms.tax_note
        return _("You see the tax for your country before you pay.") if self.terms.taxed else ""

    @property
    def button(self) -> str:
        """The words on the button that orders, in the reader's language."""
        words = ORDER_BUTTONS.get(self.terms.language, ORDER_BUTTONS["en"])
        return words["trial" if self.is_trial else "pay"].format(price=self.price)

    @property
    def spoken(self) -> str:
        """What a screen reader says when the order has changed."""
        if self.is_trial:
            free = _("Your order is free until {day}, then {price}.")
            return free.format(day=self.next_day, price=self.price)
        return _("Your order: {price}. Due today: {due_today}.").format(price=self.price, due_today=self.due_today)


def summarize(
    sold: Iterable[Sold], *, interval: str, currency: str, terms: SaleTerms, now: dt.datetime
) -> OrderSummary:
    """The summary of an order placed now."""
    lines = tuple(
        SummaryLine(
            one.slug, one.name, one.quantity, one.amount, format_price(one.amount, currency, interval), one.people
        )
        for one in sold
    )
    next_at = now + dt.timedelta(days=terms.trial_days) if terms.trial_days else add_months(now, MONTHS[interval])
    return OrderSummary(lines, interval, currency, terms, next_at)


def add_months(moment: dt.datetime, count: int) -> dt.datetime:
    """So many months later, as Stripe counts them: on the same day, or the month's last where it has no such day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + count, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))
