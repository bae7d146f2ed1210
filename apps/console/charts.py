"""The two lines of the first page, from the daily figures: drawn by Unfold's chart, and told in a sentence and a table beside it."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.formats import date_format

from apps.core.money import decimals, format_money
from apps.operations.daily_figures import DAYS, Name, Series

COLORS = ("var(--color-primary-500)", "var(--color-base-400)", "var(--color-primary-300)")
EVERY = 10  # days between two rows of the table
GREY = "#9ca3af"  # as Unfold's own charts
# Both begin at zero, so that a small change looks small, and show the day under the pointer.
OPTIONS = json.dumps({
    "animation": False, "responsive": True, "maintainAspectRatio": False, "interaction": {"mode": "index", "intersect": False},
    "plugins": {"legend": {"display": False}},
    "scales": {
        "x": {"grid": {"display": False}, "border": {"display": False}, "ticks": {"color": GREY, "maxTicksLimit": 7, "maxRotation": 0}},
        "y": {"beginAtZero": True, "grid": {}, "border": {"display": False}, "ticks": {"color": GREY, "precision": 0, "maxTicksLimit": 5}},
    },
})  # fmt: skip
type Figures = Mapping[tuple[str, str], Series]


@dataclass(frozen=True)
class Line:
    """One line: a number for each day, and how it is written."""

    label: str
    values: tuple[int, ...]
    currency: str = ""

    def text(self, value: int) -> str:
        return format_money(value, self.currency) if self.currency else f"{value:,}"

    @property
    def sentence(self) -> str:
        first, last = self.values[0], self.values[-1]
        told = f"{self.label}: {self.text(first)} {len(self.values) - 1} days ago, {self.text(last)} today"
        return f"{told}; at most {self.text(max(self.values))}, at least {self.text(min(self.values))}."


@dataclass(frozen=True)
class Chart:
    """Lines over the same days."""

    title: str
    days: tuple[dt.date, ...]
    lines: tuple[Line, ...]
    empty: str

    @property
    def has_values(self) -> bool:
        return any(value for line in self.lines for value in line.values)

    @property
    def sentence(self) -> str:
        return " ".join(line.sentence for line in self.lines)

    @property
    def options(self) -> str:
        """How Chart.js draws it."""
        return OPTIONS

    @property
    def data(self) -> str:
        """What Chart.js draws."""
        labels = [date_format(day, "j M") for day in self.days]
        return json.dumps(
            {"labels": labels, "datasets": [_dataset(*one) for one in zip(self.lines, COLORS, strict=False)]}
        )

    @property
    def table(self) -> list[tuple[str, list[str]]]:
        """Some of the days, the newest first."""
        return [
            (date_format(self.days[at], "j M Y"), [line.text(line.values[at]) for line in self.lines])
            for at in range(len(self.days) - 1, -1, -EVERY)
        ]


def _dataset(line: Line, color: str) -> dict[str, Any]:
    places = decimals(line.currency) if line.currency else 0
    return {
        "label": line.label, "data": [value / 10**places for value in line.values], "borderColor": color, "backgroundColor": color,
        "borderWidth": 2, "pointRadius": 0,
    }  # fmt: skip


def draw(series: Figures, today: dt.date) -> tuple[Chart, ...]:
    """Subscribers, and revenue in each currency."""
    days = tuple(today - dt.timedelta(days=ago) for ago in range(DAYS - 1, -1, -1))
    people = Line("Paying subscribers", _values(series.get((Name.SUBSCRIBERS, ""), {}), days))
    currencies = sorted(about for name, about in series if name == Name.REVENUE)
    money = (Line(f"Revenue in {one.upper()}", _values(series[Name.REVENUE, one], days), one) for one in currencies)
    lines = tuple(sorted(money, key=lambda line: -line.values[-1]))[: len(COLORS)]
    return (
        Chart("Paying subscribers", days, (people,), "Nobody has paid yet. The line begins with the first subscriber."),
        Chart("Revenue per month", days, lines, "No revenue yet. The line begins with the first payment."),
    )


def _values(known: Series, days: Iterable[dt.date]) -> tuple[int, ...]:
    """One for each day; a night that was missed has the number before it."""
    found, last = [], 0
    for day in days:
        last = known.get(day, last)
        found.append(last)
    return tuple(found)
