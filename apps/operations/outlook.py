"""When the free seats of a product run out, if people go on coming as they did in the last weeks. Pure."""

import datetime as dt
import math
from collections.abc import Mapping
from statistics import linear_regression

DAYS, FEWEST = 30, 7  # days that are looked back on; fewer known days than that say nothing
FARTHEST = 3 * 365


def runs_out(taken: Mapping[dt.date, int], *, free: int, today: dt.date) -> dt.date | None:
    """The day on which the last free seat is taken; None: seats don't fill up, too few days are known, or it is years ahead."""
    if free <= 0:
        return today
    known = sorted((day, count) for day, count in taken.items() if today - dt.timedelta(days=DAYS) < day <= today)
    if len(known) < FEWEST:
        return None
    slope = linear_regression([day.toordinal() for day, _ in known], [count for _, count in known]).slope
    days = math.ceil(free / slope) if slope > 0 and free / slope <= FARTHEST else None
    return today + dt.timedelta(days=days) if days else None
