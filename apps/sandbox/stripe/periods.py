"""Calendar arithmetic of billing: when a period that started at an anchor ends, and what part of it is left."""

import calendar
import datetime as dt

from apps.sandbox.stripe.records import Obj

FIXED = {"day": 1, "week": 7}


def step(anchor: int, recurring: Obj, count: int) -> int:
    """The moment `count` intervals after `anchor`; months keep the anchor's day where they have it."""
    number: int = recurring["interval_count"] * count
    start = dt.datetime.fromtimestamp(anchor, tz=dt.UTC)
    if recurring["interval"] in FIXED:
        return anchor + number * FIXED[recurring["interval"]] * 86_400
    months = start.year * 12 + start.month - 1 + number * (12 if recurring["interval"] == "year" else 1)
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def next_end(anchor: int, recurring: Obj, after: int) -> int:
    """The first step of the anchor's grid that lies after `after`."""
    count = 0
    while step(anchor, recurring, count) <= after:
        count += 1
    return step(anchor, recurring, count)


def part_left(start: int, end: int, moment: int) -> float:
    """Which part of a period lies after `moment`, 0 to 1."""
    if end <= start:
        return 0.0
    return min(1.0, max(0.0, (end - moment) / (end - start)))


def day_text(moment: int) -> str:
    """For descriptions and pages: "4 Mar 2027"."""
    date = dt.datetime.fromtimestamp(moment, tz=dt.UTC)
    return f"{date.day} {date:%b %Y}"


def money_text(amount: int, currency: str) -> str:
    """For descriptions and pages: "$10.00"."""
    sign = {"usd": "$", "eur": "€", "gbp": "£"}.get(currency, "")
    minus = "-" if amount < 0 else ""
    whole = f"{minus}{sign}{abs(amount) / 100:,.2f}"
    return whole if sign else f"{whole} {currency.upper()}"
