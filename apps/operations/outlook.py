"""When free seats run out, if people go on coming and leaving as in the last weeks. Pure.

The method: the average change a day over the days that are known, give or take two standard errors, as of a random walk that
drifts. (A fitted line would look surer than it is: each day's seats are the day's before plus a few.) A date within a year is
given with its span; beyond, only what is not to be expected before when.
"""

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

DAYS, FEWEST = 30, 7  # days that are looked back on; fewer known days than that say nothing
HORIZON, FARTHEST = 365, 3650  # days: up to there a date is said, and up to there a year
METHOD = (
    f"Growth is the average change a day over the last {DAYS} days, from the count of each night; in brackets, give or take two "
    "standard errors. Dates assume that it goes on."
)


@dataclass(frozen=True)
class Growth:
    """Seats a day, and how far that may be off. `days`: between the first known day and the last."""

    per_day: float
    margin: float
    days: int

    @property
    def text(self) -> str:
        """Over DAYS days: +12 (+8 to +16)."""
        low, middle, high = (
            round(DAYS * one) for one in (self.per_day - self.margin, self.per_day, self.per_day + self.margin)
        )
        span = f" ({low:+,} to {high:+,})" if low != high else ""
        return (f"{middle:+,}" if middle else "0") + span


def measure_growth(taken: Mapping[dt.date, int], *, today: dt.date) -> Growth | None:
    """The growth in the last days; None: too few of them are known."""
    known = sorted((day, count) for day, count in taken.items() if today - dt.timedelta(days=DAYS) <= day <= today)
    if len(known) < FEWEST:
        return None
    steps = [((after - before).days, now - then) for (before, then), (after, now) in pairwise(known)]
    days = sum(gap for gap, _ in steps)
    per_day = sum(change for _, change in steps) / days
    # Each step's own error, by the length of the step: a night that was missed makes one step of two days.
    variance = sum((change - per_day * gap) ** 2 / gap for gap, change in steps) / (len(steps) - 1)
    return Growth(per_day, 2 * math.sqrt(variance / days), days)


@dataclass(frozen=True)
class Outlook:
    """When free seats run out, in words. `on`: the likely day, if there is one within a year; `is_dated`: it says some date."""

    text: str
    on: dt.date | None = None
    is_dated: bool = False

    @property
    def sentence(self) -> str:
        """The same beside a number of free seats."""
        if self.on:
            return f"full about {_say(self.on)} at the pace of {DAYS} days"
        return f"full {self.text}" if self.is_dated else self.text


def foresee(growth: Growth | None, *, free: int, today: dt.date) -> Outlook:
    """When so many free seats are taken at that growth."""
    if free <= 0:
        return Outlook("now", today)
    if growth is None:
        return Outlook("too few days to say")
    soonest = _days(free, growth.per_day + growth.margin)
    likely, latest = _days(free, growth.per_day), _days(free, growth.per_day - growth.margin)
    if soonest is None:
        return Outlook("not filling up")
    earliest = today + dt.timedelta(days=soonest)
    if soonest > HORIZON:
        return Outlook(f"not before {earliest.year}", is_dated=True)
    if likely is None or likely > HORIZON:
        return Outlook(f"not before {_say(earliest)}", is_dated=True)
    on = today + dt.timedelta(days=likely)
    said = f"in {likely} {'day' if likely == 1 else 'days'}, {_say(on)}"
    if soonest == latest:
        return Outlook(said, on, is_dated=True)
    if latest is None or latest > HORIZON:
        return Outlook(f"{said} (not before {_say(earliest)})", on, is_dated=True)
    return Outlook(f"{said} ({_say(earliest)} to {_say(today + dt.timedelta(days=latest))})", on, is_dated=True)


def _days(free: int, per_day: float) -> int | None:
    """Days until so many are taken; None: they never are. At most FARTHEST."""
    return math.ceil(min(free / per_day, FARTHEST)) if per_day > 0 else None


def _say(day: dt.date) -> str:
    return f"{day.day} {day:%b %Y}"
