"""The time that a report is about: a month, a year of months, or days of one's own. Days are days of UTC, as everywhere in the figures."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, override

from django import forms
from django.utils.formats import date_format

from apps.core import clock

LONGEST_DAYS = 731  # as long as the figures are kept
DAY = dt.timedelta(days=1)
CHOICES = (
    ("this_month", "This month"),
    ("last_month", "Last month"),
    ("12_months", "Last 12 months"),
    ("own", "From … to …"),
)


@dataclass(frozen=True)
class Period:
    """From the first day to the last, both included. `query`: what asks for it again."""

    first: dt.date
    last: dt.date
    query: str

    @property
    def since(self) -> dt.datetime:
        return dt.datetime.combine(self.first, dt.time(), dt.UTC)

    @property
    def until(self) -> dt.datetime:
        """The moment after it."""
        return dt.datetime.combine(self.last + DAY, dt.time(), dt.UTC)

    @property
    def text(self) -> str:
        first, last = (date_format(day, "j M Y") for day in (self.first, self.last))
        return first if self.first == self.last else f"{first} to {last}"

    @property
    def months(self) -> list[dt.date]:
        """The first day of each month it touches."""
        found = [self.first.replace(day=1)]
        while (following := (found[-1] + 32 * DAY).replace(day=1)) <= self.last:
            found.append(following)
        return found


class PeriodForm(forms.Form):
    """What is asked for in the address. Without anything it is this month."""

    period = forms.ChoiceField(choices=CHOICES, required=False)
    first = forms.DateField(required=False)
    last = forms.DateField(required=False)

    @override
    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("period") != "own" or self.errors:
            return data
        first, last = data.get("first"), data.get("last")
        if not first or not last:
            self.add_error("first" if not first else "last", "Choose the first and the last day.")
        elif first > last:
            self.add_error("last", "The last day is before the first.")
        elif last > clock.now().date():
            self.add_error("last", "Choose days up to today.")
        elif (last - first).days >= LONGEST_DAYS:
            self.add_error("first", "A report covers two years at most.")
        return data

    @property
    def chosen(self) -> Period:
        """The period; this month while the dates make none."""
        data = self.cleaned_data if self.is_valid() else {}
        name, today = data.get("period") or "this_month", clock.now().date()
        this_month = today.replace(day=1)
        query = f"period={name}"
        if name == "last_month":
            return Period((this_month - DAY).replace(day=1), this_month - DAY, query)
        if name == "12_months":
            back = this_month.month - 11
            first = this_month.replace(year=this_month.year - (back < 1), month=back + 12 * (back < 1))
            return Period(first, today, query)
        if name == "own":
            return Period(data["first"], data["last"], f"{query}&first={data['first']}&last={data['last']}")
        return Period(this_month, today, query)
