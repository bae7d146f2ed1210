"""What a report on money shows: facts, tables with their totals, how it is counted, and the rows of its file.

Promises: read from the figures of the days and from the facts, never from payments or Stripe; no two currencies are added up; a total
is the sum of the rows above it.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from django.utils.formats import date_format

from apps.catalog.models import Product
from apps.console.exports import Row
from apps.console.report_period import Period
from apps.core.money import decimals, format_money
from apps.operations import report_figures
from apps.operations.models import ReportFigure

Name = ReportFigure.Name
OTHER = "Other"
OTHERWISE = "otherwise"


@dataclass(frozen=True)
class ReportCell:
    """A number as text. `url`: the list with exactly so many `rows`."""

    text: str
    url: str = ""
    rows: int | None = None


@dataclass(frozen=True)
class ReportLine:
    """A row of a table. `is_part`: it is counted in the row above it."""

    name: str
    cells: tuple[ReportCell, ...]
    is_total: bool = False
    is_part: bool = False


@dataclass(frozen=True)
class ReportTable:
    title: str
    headings: tuple[str, ...]
    lines: tuple[ReportLine, ...]


@dataclass(frozen=True)
class MoneyReport:
    """`how`: sentences on how it is counted; `file`: the rows of the CSV file, under their headings."""

    how: tuple[str, ...]
    empty: str
    tables: tuple[ReportTable, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    headings: tuple[str, ...] = ()
    file: tuple[Row, ...] = ()


@dataclass
class MoneySums:
    """What was paid in one currency and what of it went back, in minor units."""

    paid: int = 0
    refunded: int = 0
    lost: int = 0

    @property
    def kept(self) -> int:
        return self.paid - self.refunded - self.lost

    def add(self, other: "MoneySums") -> None:
        self.paid, self.refunded, self.lost = (
            self.paid + other.paid,
            self.refunded + other.refunded,
            self.lost + other.lost,
        )

    @property
    def all(self) -> tuple[int, int, int, int]:
        return self.paid, self.refunded, self.lost, self.kept


def plain_amount(amount: int, currency: str) -> Decimal:
    """For a spreadsheet: `12.50`."""
    return Decimal(amount).scaleb(-decimals(currency or "eur"))


def money_cells(amounts: Iterable[int], currency: str) -> tuple[ReportCell, ...]:
    return tuple(ReportCell(format_money(amount, currency)) for amount in amounts)


# --- revenue ----------------------------------------------------------------------------------------------------------

Sums = dict[str, dict[str, dict[dt.date, MoneySums]]]  # currency, product, month
PAID_HEADINGS = ("Paid", "Refunded", "Lost in disputes", "Kept")


def report_revenue(period: Period) -> MoneyReport:
    """What was paid by product and month, less what went back. Two queries."""
    sums = _sum_by_month(period)
    names = dict(Product.objects.values_list("slug", "name")) | {"": OTHER}
    tables: list[ReportTable] = []
    file: list[Row] = []
    for currency in sorted(sums):
        products = sorted(sums[currency], key=lambda slug: (not slug, (names.get(slug) or slug).casefold()))
        rows = {names.get(slug) or slug: sums[currency][slug] for slug in products}
        tables.append(_by_product(rows, currency))
        if len(period.months) > 1:
            tables.append(_by_month(rows, currency, period.months))
        file += [
            (currency.upper(), f"{month:%Y-%m}", name, *(plain_amount(one, currency) for one in money.all))
            for name, months in rows.items()
            for month, money in sorted(months.items())
        ]
    return MoneyReport(
        tables=tuple(tables),
        headings=("Currency", "Month", "Product", *PAID_HEADINGS),
        file=tuple(file),
        empty="Nothing was paid in this time.",
        how=(
            "Paid: payments that went through at Stripe, on the day they were made, taxes included. A refund counts on the day it was made, a lost"
            " dispute on the day it was opened. Kept is what is left: it can be below zero when money of an earlier month went back.",
            "A payment for several products is shared among them by what each costs on its invoice after discounts. What is for no product of the"
            f" catalog, and what was paid so long ago that its invoice's lines are no longer here, is “{OTHER}”. Currencies are never added up.",
        ),
    )  # fmt: skip


def _sum_by_month(period: Period) -> Sums:
    found: Sums = defaultdict(lambda: defaultdict(lambda: defaultdict(MoneySums)))
    for one in report_figures.read((Name.PAID, Name.REFUNDED, Name.LOST), period.first, period.last):
        found[one.currency][one.about][one.day.replace(day=1)].add(MoneySums(**{one.name: one.amount}))
    return found


def _by_product(rows: dict[str, dict[dt.date, MoneySums]], currency: str) -> ReportTable:
    lines, total = [], MoneySums()
    for name, months in rows.items():
        money = MoneySums()
        for one in months.values():
            money.add(one)
        total.add(money)
        lines.append(ReportLine(name, money_cells(money.all, currency)))
    lines.append(ReportLine("Total", money_cells(total.all, currency), is_total=True))
    return ReportTable(f"{currency.upper()} by product", ("Product", *PAID_HEADINGS), tuple(lines))


def _by_month(rows: dict[str, dict[dt.date, MoneySums]], currency: str, months: list[dt.date]) -> ReportTable:
    """What was kept; a month in each row, so that a year fits a phone."""
    lines = []
    for month in months:
        kept = [by_month[month].kept if month in by_month else 0 for by_month in rows.values()]
        lines.append(ReportLine(date_format(month, "M Y"), money_cells([*kept, sum(kept)], currency)))
    whole = [sum(money.kept for money in by_month.values()) for by_month in rows.values()]
    lines.append(ReportLine("Total", money_cells([*whole, sum(whole)], currency), is_total=True))
    return ReportTable(f"{currency.upper()} kept by month", ("Month", *rows, "Total"), tuple(lines))


# --- late payments ----------------------------------------------------------------------------------------------------


@dataclass
class LatePayments:
    """Late payments that ended alike."""

    count: int = 0
    amount: int = 0
    seconds: int = 0

    def add(self, one: "ReportFigure | LatePayments") -> None:
        self.count, self.amount, self.seconds = (
            self.count + one.count,
            self.amount + one.amount,
            self.seconds + one.seconds,
        )


@dataclass
class LateSums:
    """Late payments in one currency, by how they ended."""

    ends: dict[str, LatePayments] = field(default_factory=lambda: defaultdict(LatePayments))

    def total(self, *, of: Callable[[str], object]) -> LatePayments:
        found = LatePayments()
        for about, one in self.ends.items():
            if of(about):
                found.add(one)
        return found


def report_recovered(period: Period) -> MoneyReport:
    """Late payments of the time, and which of them have been paid since. One query."""
    found: dict[str, LateSums] = defaultdict(LateSums)
    for one in report_figures.read((Name.LATE,), period.first, period.last):
        found[one.currency].ends[one.about].add(one)
    return MoneyReport(
        tables=tuple(_late_table(found[currency], currency) for currency in sorted(found)),
        headings=("Currency", "Paid at", "Payments", "Amount", "Average days until paid"),
        file=tuple(row for currency in sorted(found) for row in _late_rows(found[currency], currency)),
        empty="No payment was late in this time.",
        how=(
            "A payment is late from its first attempt that failed, and counts on that day, whenever it is paid. First payments of a new subscription"
            " are not counted: nobody has access by them yet.",
            "Recovered: it has been paid since. The attempt is the one that went through, the first attempt included; “otherwise” means that the"
            " invoice was marked as paid without a payment at Stripe. The average time runs from the first failure to the payment.",
        ),
    )  # fmt: skip


def describe_attempt(about: str) -> str:
    """How a late payment ended."""
    if not about:
        return "Not paid"
    return "Otherwise" if about == OTHERWISE else f"Attempt {about}"


def _sorted_ends(money: LateSums) -> list[str]:
    return sorted((about for about in money.ends if about), key=lambda about: (not about.isdecimal(), about.zfill(3)))


def _late_table(money: LateSums, currency: str) -> ReportTable:
    every, paid = money.total(of=lambda _: True), money.total(of=bool)
    lines = [
        _late_line("Recovered", paid, every, currency),
        *(_late_line(describe_attempt(about), money.ends[about], every, currency, is_part=True) for about in _sorted_ends(money)),
        _late_line("Not paid", money.total(of=lambda about: not about), every, currency),
        _late_line("All late payments", every, every, currency, is_total=True),
    ]  # fmt: skip
    return ReportTable(
        f"{currency.upper()}", ("Paid at", "Payments", "Share", "Amount", "Average time until paid"), tuple(lines)
    )


def _late_line(
    name: str, part: LatePayments, every: LatePayments, currency: str, *, is_total: bool = False, is_part: bool = False
) -> ReportLine:
    share = f"{100 * part.count / every.count:.0f} %" if every.count else "–"
    time = describe_average(part) if part.seconds and not is_total else "–"
    cells = (
        ReportCell(f"{part.count:,}"),
        ReportCell(share),
        ReportCell(format_money(part.amount, currency)),
        ReportCell(time),
    )
    return ReportLine(name, cells, is_total=is_total, is_part=is_part)


def describe_average(part: LatePayments) -> str:
    """How long it took on average."""
    days = part.seconds / part.count / 86_400
    return f"{days:.1f} days" if days >= 1 else f"{days * 24:.1f} hours"


def _late_rows(money: LateSums, currency: str) -> Iterable[Row]:
    for about in [*_sorted_ends(money), *([""] if "" in money.ends else [])]:
        part = money.ends[about]
        days = f"{part.seconds / part.count / 86_400:.2f}" if part.seconds else ""
        yield currency.upper(), describe_attempt(about), part.count, plain_amount(part.amount, currency), days
