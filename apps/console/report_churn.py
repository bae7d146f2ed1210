"""The report on churn: who left, why, and what they paid. Each number opens the list of exactly these subscribers."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.dateparse import parse_date

from apps.billing.churn import FEEDBACK, Why, count_reasons, left_between, narrow_people, narrow_to_left
from apps.console.report_period import DAY, Period
from apps.console.reports import MoneyReport, ReportCell, ReportLine, ReportTable, plain_amount
from apps.core.money import format_money
from apps.operations import daily_figures

PARAMETER = "left"
ASKED = re.compile(r"(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)(?::([a-z_]{1,20})(?::([^:]{1,40}))?)?")
UNSAID = "unsaid"  # in an address: no feedback was given


@dataclass
class Leavers:
    """Subscribers who left for one reason, and what they paid in a month by currency."""

    count: int = 0
    before: int = 0
    money: Counter[str] = field(default_factory=Counter)

    def add(self, row: dict[str, Any]) -> None:
        self.count, self.before = self.count + row["count"], self.before + row["before"]
        self.money[row["currency"]] += row["amount"]

    @property
    def money_text(self) -> str:
        return " + ".join(format_money(self.money[one], one) for one in sorted(self.money) if self.money[one]) or "–"


def report_churn(period: Period) -> MoneyReport:
    """Two queries."""
    rows = count_reasons(period.since, period.until)
    every, reasons = Leavers(), defaultdict[str, Leavers](Leavers)
    said: dict[str, dict[str, Leavers]] = defaultdict(lambda: defaultdict(Leavers))
    for row in rows:
        for one in (every, reasons[row["why"]], said[row["why"]][row["cancellation_feedback"]]):
            one.add(row)
    lines = [
        line
        for why in Why
        if why in reasons
        for line in (_line(period, why.label, reasons[why], why), *_parts(period, why, said[why]))
    ]
    total = _line(period, "Total", every, is_total=True)
    return MoneyReport(
        facts=_facts(period, every),
        tables=(ReportTable("Why subscribers left", ("Reason", "Subscribers", "Lost per month"), (*lines, total)),) if rows else (),
        headings=("Reason", "What they said", "Currency", "Subscribers", "Lost per month"),
        file=tuple(
            (Why(row["why"]).label, describe_feedback(row["cancellation_feedback"]), row["currency"].upper(), row["count"],
             plain_amount(row["amount"], row["currency"]))
            for row in rows
        ),
        empty="Nobody left in this time.",
        how=(
            "A subscriber has left when their last subscription ended in this time and they have none now; who has come back is not counted. The"
            " reason and what the subscriber said are Stripe's. Cancellations by staff are those made in this console; one that staff make in"
            " Stripe's dashboard cannot be told from the subscriber's own.",
            "Lost per month: what they paid in a month before discounts and tax, of yearly prices a twelfth; who left in the trial had paid nothing."
            " The share is of the subscriptions paid for on the day before, counted that night.",
        ),
    )  # fmt: skip


def describe_feedback(said: str) -> str:
    """What the subscriber chose at Stripe; also what is new to us."""
    return FEEDBACK.get(said) or said.replace("_", " ").capitalize()


def _parts(period: Period, why: Why, said: dict[str, Leavers]) -> list[ReportLine]:
    """What those of one reason said, if anybody did."""
    if not any(said):
        return []
    return [
        _line(period, describe_feedback(one) or "Said nothing", said[one], why, one or UNSAID)
        for one in sorted(said, key=lambda one: (not one, -said[one].count, one))
    ]


def _line(period: Period, name: str, found: Leavers, *narrower: str, is_total: bool = False) -> ReportLine:
    asked = ":".join((f"{period.first}..{period.last}", *narrower))
    url = f"{reverse('admin:accounts_userprofile_changelist')}?{urlencode({PARAMETER: asked})}"
    cells = (ReportCell(f"{found.count:,}", url, found.count), ReportCell(found.money_text))
    return ReportLine(name, cells, is_total=is_total, is_part=len(narrower) == 2)


def _facts(period: Period, every: Leavers) -> tuple[tuple[str, str], ...]:
    there = daily_figures.read_day(daily_figures.Name.SUBSCRIBERS, period.first - DAY)
    if not there:
        return (
            ("Share of those who were there at the start", "not known: the start was before the first night's count"),
        )
    share = f"{100 * every.before / there:.1f} %"
    return (
        ("Paying at the start", f"{there:,}"),
        ("Of them left", f"{every.before:,}"),
        ("Share of those who were there at the start", share),
    )


def narrow_left(people: QuerySet[Any], asked: str) -> QuerySet[Any] | None:
    """The subscribers that a number of this report is about, as its address asks for them; None when it asks for nothing."""
    parts = ASKED.fullmatch(asked)
    try:
        first, last = (parse_date(one) for one in parts.groups()[:2]) if parts else (None, None)
    except ValueError:
        return None
    if not parts or not first or not last:
        return None
    try:
        period = Period(first, last, "")
        since, until = period.since, period.until
    except OverflowError:
        return None
    if not (why := parts[3]):
        return narrow_to_left(people, since, until)
    left = left_between(since, until).filter(why=why)
    if said := parts[4]:
        left = left.filter(cancellation_feedback="" if said == UNSAID else said)
    return narrow_people(people, left)
