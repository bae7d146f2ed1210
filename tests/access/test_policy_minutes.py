"""Ten thousand minutes around every border of the policy, and two thousand dates on which clocks and calendars are odd.

What is expected is written by hand, life by life, as stretches of time: it shares no rule with the policy.
"""

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pytest

from apps.access.policy import Facts, OverrideFact, SubscriptionFact, Terms, decide
from apps.core.states import SubscriptionStatus

BEGINS = dt.datetime(2027, 1, 31, 22, 30, tzinfo=dt.UTC)
DAY, HOUR, MINUTE = 86_400, 3_600, 60
TERMS = Terms(grace=dt.timedelta(days=7), expiry=dt.timedelta(days=30))
MINUTES = 10_000


def at(seconds: float) -> dt.datetime:
    return BEGINS + dt.timedelta(seconds=seconds)


def subscription(status: str, **more: object) -> SubscriptionFact:
    return SubscriptionFact("sub_1", SubscriptionStatus(status), **more)  # type: ignore[arg-type]


def override(kind: str, begins: float, ends: float | None) -> OverrideFact:
    return OverrideFact(kind, at(begins), None if ends is None else at(ends), reason="because")


@dataclass(frozen=True)
class Life:
    """What is known for good, and as which state each stretch of seconds ends: (until, state), the last one without end.

    `dates`: seconds at which Stripe is to do something, and nothing changes here before it says so.
    """

    name: str
    subscriptions: tuple[SubscriptionFact, ...]
    stretches: tuple[tuple[float, str], ...]
    overrides: tuple[OverrideFact, ...] = ()
    window_ends: float | None = None
    terms: Terms = field(default=TERMS)
    dates: tuple[float, ...] = ()

    def expected(self, seconds: float) -> str:
        return next(state for until, state in self.stretches if seconds < until)

    def facts(self, moment: dt.datetime) -> Facts:
        window = None if self.window_ends is None else at(self.window_ends)
        return Facts(moment, self.terms, self.subscriptions, self.overrides, recovering_until=window)


FOREVER = float("inf")
LATE = subscription("past_due", past_due_since=at(0))
GONE = subscription("canceled", ended_at=at(0))
LIVES = (
    Life("a week of grace", (LATE,), ((7 * DAY, "grace"), (FOREVER, "suspended"))),
    Life("no grace", (LATE,), ((FOREVER, "suspended"),), terms=Terms(grace=dt.timedelta(0), expiry=dt.timedelta(days=30))),
    Life("thirty days after a cancellation", (GONE,), ((30 * DAY, "canceled"), (FOREVER, "expired"))),
    Life("a recovery of three days", (GONE,), ((3 * DAY, "recovering"), (30 * DAY, "canceled"), (FOREVER, "expired")),
         window_ends=3 * DAY),
    Life("a recovery that would outlive what is kept", (GONE,), ((30 * DAY, "recovering"), (FOREVER, "expired")),
         window_ends=31 * DAY),
    Life("a recovery of who owes", (LATE,), ((7 * DAY, "grace"), (9 * DAY, "recovering"), (FOREVER, "suspended")),
         window_ends=9 * DAY),
    Life("a hold of two days", (subscription("active"),), ((DAY, "active"), (3 * DAY, "on_hold"), (FOREVER, "active")),
         (override("hold", DAY, 3 * DAY),)),
    Life("a hold over grace", (LATE,), ((DAY, "grace"), (10 * DAY, "on_hold"), (FOREVER, "suspended")),
         (override("hold", DAY, 10 * DAY),)),
    Life("a grant of a day to nobody", (), ((DAY, "none"), (2 * DAY, "active"), (FOREVER, "none")),
         (override("grant", DAY, 2 * DAY),)),
    Life("a grant over the end of grace", (LATE,), ((5 * DAY, "grace"), (9 * DAY, "active"), (FOREVER, "suspended")),
         (override("grant", 5 * DAY, 9 * DAY),)),
    Life("protected for longer than grace", (LATE,), ((12 * DAY, "grace"), (FOREVER, "suspended")),
         (override("no_suspend", 0, 12 * DAY),)),
    Life("protected for less than grace", (LATE,), ((7 * DAY, "grace"), (FOREVER, "suspended")),
         (override("no_suspend", 0, 2 * DAY),)),
    Life("a seat kept for longer", (GONE,), ((45 * DAY, "canceled"), (FOREVER, "expired")),
         (override("keep_seat", 0, 45 * DAY),)),
    Life("a trial that is canceled beside it", (subscription("trialing"), GONE), ((FOREVER, "active"),)),
    Life("a trial whose end Stripe has not told of yet", (subscription("trialing", trial_end=at(5 * DAY), current_period_end=at(5 * DAY)),),
         ((FOREVER, "active"),), dates=(5 * DAY,)),
    Life("a date of cancellation that Stripe has not told of yet", (subscription("active", cancel_at=at(9 * DAY)),),
         ((FOREVER, "active"),), dates=(9 * DAY,)),
    Life("a trial to be canceled at its end, with a hold over it", (subscription("trialing", trial_end=at(5 * DAY), cancel_at=at(5 * DAY)),),
         ((4 * DAY, "active"), (6 * DAY, "on_hold"), (FOREVER, "active")), (override("hold", 4 * DAY, 6 * DAY),), dates=(5 * DAY,)),
    Life("a date of cancellation within grace", (subscription("past_due", past_due_since=at(0), cancel_at=at(3 * DAY)),),
         ((7 * DAY, "grace"), (FOREVER, "suspended")), dates=(3 * DAY,)),
    Life("a window that closes at the second of the final expiry", (GONE,), ((30 * DAY, "recovering"), (FOREVER, "expired")),
         window_ends=30 * DAY),
    Life("a pause that closes, for five days", (subscription("active", paused=True, paused_until=at(5 * DAY)),),
         ((5 * DAY, "suspended"), (FOREVER, "active")), terms=Terms(dt.timedelta(0), dt.timedelta(days=30), paused_closes=True)),
    Life("a dispute that was lost and is forgiven for a week",
         (subscription("active", money_returned="dispute_lost", dispute_lost_at=at(0)),),
         ((DAY, "suspended"), (8 * DAY, "active"), (FOREVER, "suspended")), (override("waive_dispute", DAY, 8 * DAY),)),
)  # fmt: skip


def moments(life: Life, count: int) -> list[float]:
    """Seconds of a life: the border itself and the seconds beside it, then minutes around each border, then any."""
    order = random.Random(life.name)
    borders = [until for until, _ in life.stretches if until != FOREVER] + [*life.dates] or [0.0]
    found = [border + beside for border in borders for beside in (-1, 0, 1)]
    while len(found) < count:
        near = order.random() < 0.8
        found.append(order.choice(borders) + order.randint(-90, 90) * MINUTE if near else order.uniform(0, 50 * DAY))
    return [max(one, 0.0) for one in found]


@pytest.mark.fault("F24")
def test_at_each_of_ten_thousand_minutes_access_is_as_the_table_says(figure: Callable[[str], None]) -> None:
    each = -(-MINUTES // len(LIVES))
    wrong, asked = [], 0
    for life in LIVES:
        for seconds in moments(life, each):
            asked += 1
            if (found := decide(life.facts(at(seconds))).state) != life.expected(seconds):
                wrong.append((life.name, seconds, found))
    figure(f"{asked:,} minutes around the borders of {len(LIVES)} lives, {len(wrong)} wrong")
    assert asked >= MINUTES
    assert wrong == []


@pytest.mark.mutant
@pytest.mark.fault("F24")
def test_a_border_that_is_off_by_a_second_would_be_seen() -> None:
    wrong = 0
    for life in LIVES:
        for seconds in moments(life, 40):
            wrong += decide(life.facts(at(seconds - 1))).state != life.expected(seconds)
    assert wrong >= 20


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "UTC")
ODD_DAYS = (
    (2027, 3, 28), (2027, 10, 31), (2027, 3, 14), (2027, 11, 7),  # clocks change in Berlin and New York
    (2027, 4, 4), (2027, 10, 3),  # and south of the equator
    (2028, 2, 28), (2028, 2, 29), (2027, 2, 28), (2100, 2, 28),  # a leap year, and years without
    (2027, 1, 31), (2027, 12, 31), (2027, 4, 30),  # months of other lengths
)  # fmt: skip


@pytest.mark.fault("F62")
def test_dates_are_right_on_days_when_clocks_and_calendars_are_odd(figure: Callable[[str], None]) -> None:
    """A term is a span of time: a day of grace has 24 hours also on the day that has 23, and in any zone of the reader."""
    order, dates = random.Random(62), 0
    for year, month, day in ODD_DAYS:
        for zone in ZONES:
            for _ in range(16):
                local = dt.datetime(year, month, day, order.randrange(24), order.randrange(60), tzinfo=ZoneInfo(zone))
                since = local.astimezone(dt.UTC)
                grace, kept = order.randint(1, 40), order.randint(1, 60)
                terms = Terms(grace=dt.timedelta(days=grace), expiry=dt.timedelta(days=kept))
                for status, key, days, before, after in (
                    ("past_due", "past_due_since", grace, "grace", "suspended"),
                    ("canceled", "ended_at", kept, "canceled", "expired"),
                ):
                    ends = since.timestamp() + days * DAY
                    one = subscription(status, **{key: since})
                    found = [
                        decide(Facts(dt.datetime.fromtimestamp(ends + beside, dt.UTC), terms, (one,))).state
                        for beside in (-1, 0)
                    ]
                    assert found == [before, after], (local, days)
                    dates += 1
    figure(f"{dates:,} dates in {len(ZONES)} zones on {len(ODD_DAYS)} odd days, 0 wrong")
    assert dates >= 2_000
