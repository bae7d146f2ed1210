"""When seats run out: the average change a day with its spread, and no date that is surer than the days it comes from."""

import datetime as dt
import random
from collections.abc import Iterable

import pytest

from apps.operations.outlook import foresee, measure_growth

TODAY = dt.date(2026, 11, 30)


def days(counts: Iterable[int]) -> dict[dt.date, int]:
    """One count a day, the last of them today's."""
    known = list(counts)
    return {TODAY - dt.timedelta(days=len(known) - 1 - at): count for at, count in enumerate(known)}


@pytest.mark.parametrize(
    ("counts", "free", "text"),
    [
        (range(30), 10, "in 10 days, 10 Dec 2026"),
        (range(30), 1, "in 1 day, 1 Dec 2026"),
        ([5] * 30, 10, "not filling up"),
        (range(30, 0, -1), 10, "not filling up"),
        (range(6), 10, "too few days to say"),
        (range(7), 10, "in 10 days, 10 Dec 2026"),
        (range(30), 0, "now"),
        (range(5), -3, "now"),
        (range(30), 500, "not before 2028"),
        (range(30), 9_999_999, "not before 2036"),
    ],
)
def test_steady_growth_has_a_date_and_what_is_years_ahead_only_a_year(
    counts: Iterable[int], free: int, text: str
) -> None:
    assert foresee(measure_growth(days(counts), today=TODAY), free=free, today=TODAY).text == text


@pytest.mark.parametrize(
    ("steps", "free", "growth", "text"),
    [
        ([0, 2], 20, "+30 (+19 to +41)", "in 20 days, 20 Dec 2026 (15 Dec 2026 to 1 Jan 2027)"),
        ([3, -2], 20, "+15 (-13 to +43)", "in 40 days, 9 Jan 2027 (not before 15 Dec 2026)"),
        ([2, -2], 20, "0 (-22 to +22)", "not before 27 Dec 2026"),
    ],
)
def test_uneven_days_give_a_span(steps: list[int], free: int, growth: str, text: str) -> None:
    counts = [100]
    for at in range(30):
        counts.append(counts[-1] + steps[at % 2])
    found = measure_growth(days(counts), today=TODAY)
    assert found is not None
    assert (found.text, foresee(found, free=free, today=TODAY).text) == (growth, text)


def test_days_before_the_last_thirty_and_days_to_come_say_nothing() -> None:
    old = {TODAY - dt.timedelta(days=31 + ago): 10_000 for ago in range(20)}
    found = measure_growth(days(range(31)) | old | {TODAY + dt.timedelta(days=1): 900}, today=TODAY)
    assert found is not None
    assert (found.per_day, found.margin, found.days) == (1, 0, 30)


def test_a_night_that_was_missed_is_a_longer_step_and_no_jump() -> None:
    known = days(range(30))
    for ago in (3, 4, 9, 17):
        del known[TODAY - dt.timedelta(days=ago)]
    found = measure_growth(known, today=TODAY)
    assert found is not None
    assert (found.text, found.margin) == ("+30", 0)


def test_the_span_holds_the_true_pace_about_nineteen_times_of_twenty() -> None:
    chance, held = random.Random(7), 0
    for _ in range(400):
        counts = [0]
        for _day in range(30):
            counts.append(counts[-1] + chance.choice([-1, 0, 0, 1, 1, 2]))
        found = measure_growth(days(counts), today=TODAY)
        assert found is not None
        held += abs(found.per_day - 0.5) <= found.margin
    assert 0.91 <= held / 400 <= 0.98
