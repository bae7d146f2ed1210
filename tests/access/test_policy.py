"""The table of states, row by row and second by second, and what must hold for all facts."""

import datetime as dt
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.access.policy import (
    ROWS,
    Account,
    Decision,
    Facts,
    LineFact,
    OverrideFact,
    SeatDecision,
    SubscriptionFact,
    Terms,
    decide,
)
from apps.catalog.entitlements import NOTHING, Entitlements
from apps.core.reason_sentences import reason_sentence
from apps.core.states import AccessState, SubscriptionStatus

NOW = dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)
SECOND, HOUR, DAY = dt.timedelta(seconds=1), dt.timedelta(hours=1), dt.timedelta(days=1)
SPEC = Terms(grace=dt.timedelta(0), expiry=30 * DAY)
KIND = Terms(grace=7 * DAY, expiry=30 * DAY)
APP = Entitlements(frozenset({"nextcloud"}), frozenset({"nextcloud"}), {"storage_gb": 100})
MORE = Entitlements(grants={"storage_gb": 50})
OPEN = {AccessState.ACTIVE, AccessState.GRACE}


def gives(*entitlements: Entitlements) -> tuple[LineFact, ...]:
    """A line of a plan, product 1, for what has apps; of an add-on, product 2, for what has none."""
    return tuple(LineFact(1 if one.apps else 2, one) for one in entitlements)


def subscription(status: str = "active", **more: Any) -> SubscriptionFact:
    return SubscriptionFact(**{"id": "sub_1", "status": SubscriptionStatus(status), "lines": gives(APP)} | more)


def override(kind: str, **more: Any) -> OverrideFact:
    given = {"kind": kind, "starts_at": NOW - DAY, "ends_at": NOW + DAY, "reason": "because"}
    return OverrideFact(**given | more)


def facts(
    *about: SubscriptionFact | OverrideFact,
    now: dt.datetime = NOW,
    terms: Terms = SPEC,
    **more: Any,
) -> Facts:
    return Facts(
        now=now,
        terms=terms,
        subscriptions=tuple(one for one in about if isinstance(one, SubscriptionFact)),
        overrides=tuple(one for one in about if isinstance(one, OverrideFact)),
        **more,
    )


def outcome(found: Decision) -> tuple[AccessState, Account, SeatDecision, Entitlements]:
    return found.state, found.account, found.seats, found.entitlements


def every_part(found: Decision) -> tuple[object, ...]:
    return *outcome(found), found.kept


ACTIVE = (AccessState.ACTIVE, Account.ENABLED, SeatDecision.ASSIGNED, APP)
GRACE = (AccessState.GRACE, Account.ENABLED, SeatDecision.ASSIGNED, APP)
HELD = (AccessState.ON_HOLD, Account.DISABLED, SeatDecision.RETAINED, NOTHING)
RECOVERING = (AccessState.RECOVERING, Account.ENABLED, SeatDecision.RETAINED, NOTHING)
SUSPENDED = (AccessState.SUSPENDED, Account.DISABLED, SeatDecision.RETAINED, NOTHING)
CANCELED = (AccessState.CANCELED, Account.DISABLED, SeatDecision.RETAINED, NOTHING)
EXPIRED = (AccessState.EXPIRED, Account.DISABLED, SeatDecision.RELEASED, NOTHING)
NONE = (AccessState.NONE, Account.UNTOUCHED, SeatDecision.UNTOUCHED, NOTHING)

PAST_DUE = subscription("past_due", past_due_since=NOW - HOUR)
GONE = subscription("canceled", ended_at=NOW - DAY)
LONG_GONE = subscription("canceled", ended_at=NOW - 31 * DAY)
OPEN_WINDOW = {"recovering_until": NOW + HOUR}


BOOK = Entitlements(frozenset({"wiki"}), frozenset({"wiki"}))
OTHER = override("grant", entitlements=BOOK)
NEXTCLOUD, NOWHERE = frozenset({"nextcloud"}), frozenset[str]()


@pytest.mark.parametrize(
    ("known", "kept", "until"),
    [
        (facts(OTHER, PAST_DUE), NEXTCLOUD, None),
        (facts(OTHER, GONE), NEXTCLOUD, NOW + 29 * DAY),
        (facts(OTHER, GONE, override("keep_seat", ends_at=NOW + 40 * DAY)), NEXTCLOUD, NOW + 40 * DAY),
        (facts(OTHER, LONG_GONE), NOWHERE, None),
        (facts(OTHER, PAST_DUE, replace(GONE, id="sub_2")), NEXTCLOUD, None),
        (facts(subscription(lines=gives(BOOK)), replace(GONE, id="sub_2")), NEXTCLOUD, NOW + 29 * DAY),
        (facts(replace(PAST_DUE, lines=gives(BOOK)), replace(GONE, id="sub_2"), terms=KIND), NEXTCLOUD, NOW + 29 * DAY),
        (facts(OTHER, subscription("active", money_returned="refunded")), NEXTCLOUD, None),
        # what is in use is not kept beside itself
        (facts(subscription(), replace(GONE, id="sub_2")), NOWHERE, None),
        (facts(override("grant", entitlements=APP), PAST_DUE), NOWHERE, None),
        # never paid is nothing to come back to
        (facts(OTHER, subscription("incomplete")), NOWHERE, None),
        # a hold keeps what is paid; who is suspended or canceled keeps what there is
        (facts(override("hold"), subscription()), NEXTCLOUD, None),
        (facts(override("hold"), PAST_DUE), NOWHERE, None),
        (facts(PAST_DUE), NOWHERE, None),
        (facts(GONE), NOWHERE, None),
        (facts(LONG_GONE), NOWHERE, None),
    ],
)
def test_it_says_whose_seat_waits(known: Facts, kept: frozenset[str], until: dt.datetime | None) -> None:
    found = decide(known)
    assert (found.kept, found.kept_until) == (kept, until)
    assert not kept & found.entitlements.seats
    assert until is None or (found.reconcile_at is not None and found.reconcile_at <= until)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        # 1. a hold wins over all else
        (facts(override("hold"), subscription()), HELD),
        (facts(override("hold"), override("grant", entitlements=APP)), HELD),
        (facts(override("hold"), PAST_DUE, **OPEN_WINDOW), HELD),
        (facts(override("hold", ends_at=None), LONG_GONE), HELD),
        (facts(override("hold")), HELD),
        # 2. paid
        (facts(subscription("active")), ACTIVE),
        (facts(subscription("trialing")), ACTIVE),
        (facts(subscription(cancel_at=NOW + DAY)), ACTIVE),
        (facts(subscription(), GONE, PAST_DUE), ACTIVE),
        (facts(subscription(), **OPEN_WINDOW), ACTIVE),
        # 3. granted
        (facts(override("grant", entitlements=APP)), ACTIVE),
        (facts(override("grant", entitlements=APP), PAST_DUE), ACTIVE),
        (facts(override("grant", entitlements=APP), LONG_GONE), ACTIVE),
        # 4. late, in grace or protected
        (facts(PAST_DUE, terms=KIND), GRACE),
        (facts(PAST_DUE, override("no_suspend")), GRACE),
        (facts(PAST_DUE, terms=KIND, **OPEN_WINDOW), GRACE),
        (facts(PAST_DUE, GONE, terms=KIND), GRACE),
        # 5. recovering
        (facts(PAST_DUE, **OPEN_WINDOW), RECOVERING),
        (facts(subscription("unpaid"), **OPEN_WINDOW), RECOVERING),
        (facts(GONE, **OPEN_WINDOW), RECOVERING),
        # 6. suspended
        (facts(PAST_DUE), SUSPENDED),
        (facts(subscription("unpaid")), SUSPENDED),
        (facts(subscription("paused")), SUSPENDED),
        (facts(subscription(money_returned="refunded")), SUSPENDED),
        (facts(subscription("trialing", money_returned="dispute_lost")), SUSPENDED),
        (facts(replace(PAST_DUE, money_returned="refunded"), terms=KIND), SUSPENDED),
        (facts(subscription("unpaid"), override("no_suspend")), SUSPENDED),
        (facts(PAST_DUE, GONE), SUSPENDED),
        # 7. canceled
        (facts(GONE), CANCELED),
        (facts(GONE, subscription("incomplete", id="sub_2")), CANCELED),
        (facts(GONE, replace(LONG_GONE, id="sub_0")), CANCELED),
        # 8. expired
        (facts(LONG_GONE), EXPIRED),
        (facts(LONG_GONE, **OPEN_WINDOW), EXPIRED),
        # 9. never paid
        (facts(), NONE),
        (facts(**OPEN_WINDOW), NONE),
        (facts(subscription("incomplete")), NONE),
        (facts(subscription("incomplete_expired")), NONE),
        (facts(override("no_suspend")), NONE),
    ],
)
def test_it_follows_the_table(known: Facts, expected: object) -> None:
    found = decide(known)
    assert outcome(found) == expected
    assert reason_sentence(found.reason)
    assert found.trace


@pytest.mark.parametrize(
    ("about", "edge", "before", "after"),
    [
        ((override("hold", starts_at=NOW), subscription()), NOW, ACTIVE, HELD),
        ((override("hold", ends_at=NOW), subscription()), NOW, HELD, ACTIVE),
        ((override("grant", starts_at=NOW, entitlements=APP),), NOW, NONE, ACTIVE),
        ((override("grant", ends_at=NOW, entitlements=APP),), NOW, ACTIVE, NONE),
        ((override("no_suspend", ends_at=NOW), PAST_DUE), NOW, GRACE, SUSPENDED),
        ((PAST_DUE, KIND), NOW - HOUR + 7 * DAY, GRACE, SUSPENDED),
        (
            (PAST_DUE, override("no_suspend", ends_at=NOW + 9 * DAY), KIND),
            NOW + 9 * DAY,
            GRACE,
            SUSPENDED,
        ),
        (
            (PAST_DUE, override("no_suspend", ends_at=NOW + DAY), KIND),
            NOW - HOUR + 7 * DAY,
            GRACE,
            SUSPENDED,
        ),
        ((PAST_DUE, NOW), NOW, RECOVERING, SUSPENDED),
        ((GONE, NOW), NOW, RECOVERING, CANCELED),
        ((GONE,), NOW - DAY + 30 * DAY, CANCELED, EXPIRED),
        ((GONE, NOW + 60 * DAY), NOW - DAY + 30 * DAY, RECOVERING, EXPIRED),
    ],
)
def test_it_changes_at_the_very_second(
    about: tuple[Any, ...], edge: dt.datetime, before: object, after: object
) -> None:
    rows = [one for one in about if isinstance(one, (SubscriptionFact, OverrideFact))]
    terms = next((one for one in about if isinstance(one, Terms)), SPEC)
    window = next((one for one in about if isinstance(one, dt.datetime)), None)
    for moment, expected in ((edge - SECOND, before), (edge, after), (edge + SECOND, after)):
        found = decide(facts(*rows, now=moment, terms=terms, recovering_until=window))
        assert outcome(found) == expected, moment
        if moment < edge:
            assert found.reconcile_at == edge


def test_entitlements_of_several_sources_add_up() -> None:
    found = decide(
        facts(
            subscription(),
            subscription(id="sub_2", lines=(LineFact(2, MORE),)),
            subscription("past_due", id="sub_3", lines=(LineFact(3, MORE),), past_due_since=NOW),
            subscription("canceled", id="sub_4", lines=(LineFact(4, MORE),), ended_at=NOW),
            override("grant", entitlements=MORE),
            terms=KIND,
        )
    )
    assert found.entitlements.grants == {"storage_gb": 250}


BIG = Entitlements(APP.apps, APP.seats, {"storage_gb": 500})
FIRST = subscription(id="sub_1", lines=(LineFact(1, APP),), amount=500)
SECOND_ONE = subscription(id="sub_2", lines=(LineFact(2, BIG),), amount=900)
LOST = replace(SECOND_ONE, money_returned="dispute_lost", dispute_lost_at=NOW - DAY)
ADD_ON = subscription(id="sub_3", lines=(LineFact(3, MORE),), amount=2_000)


@pytest.mark.parametrize(
    ("known", "storage"),
    [
        (facts(FIRST, SECOND_ONE), 500),  # the dearer counts
        (facts(FIRST, LOST), 100),
        (facts(FIRST, LOST, override("waive_dispute", starts_at=NOW)), 500),  # forgiven: it counts like any other
        (facts(FIRST, LOST, override("no_suspend")), 500),
        (facts(FIRST, LOST, terms=replace(SPEC, lost_dispute_closes=False)), 500),
        (facts(FIRST, replace(SECOND_ONE, status=SubscriptionStatus.PAST_DUE, past_due_since=NOW - DAY)), 100),
        (facts(FIRST, ADD_ON), 150),  # an add-on gives no plan's number, however dear
        (facts(FIRST, replace(FIRST, id="sub_4")), 100),
        (facts(ADD_ON, replace(ADD_ON, id="sub_4")), 50),
    ],
)
def test_two_subscriptions_give_no_number_twice_and_the_one_that_counts_is_the_dearer(
    known: Facts, storage: int
) -> None:
    for order in (known.subscriptions, known.subscriptions[::-1]):
        assert decide(replace(known, subscriptions=order)).entitlements.grants == {"storage_gb": storage}


@pytest.mark.parametrize(
    ("known", "until"),
    [
        (facts(subscription()), None),
        (facts(subscription(cancel_at=NOW + DAY)), NOW + DAY),
        (facts(subscription(cancel_at=NOW + DAY), subscription(id="sub_2")), None),
        (
            facts(subscription(cancel_at=NOW + DAY), subscription(id="sub_2", cancel_at=NOW + 2 * DAY)),
            NOW + 2 * DAY,
        ),
        (facts(override("hold"), override("hold", ends_at=None)), None),
        (facts(override("hold"), override("hold", ends_at=NOW + 3 * DAY)), NOW + 3 * DAY),
        (facts(GONE), NOW + 29 * DAY),
        (facts(GONE, recovering_until=NOW + HOUR), NOW + HOUR),
        (facts(GONE, recovering_until=NOW + 90 * DAY), NOW + 29 * DAY),
        (facts(LONG_GONE), None),
    ],
)
def test_it_says_until_when(known: Facts, until: dt.datetime | None) -> None:
    assert decide(known).until == until


@pytest.mark.parametrize(
    "known",
    [
        facts(PAST_DUE, replace(LONG_GONE, id="sub_0")),
        facts(PAST_DUE, replace(GONE, id="sub_0")),
        facts(PAST_DUE, replace(GONE, id="sub_0"), **OPEN_WINDOW),
        facts(subscription(), replace(LONG_GONE, id="sub_0"), override("hold")),
        facts(subscription(money_returned="refunded"), replace(LONG_GONE, id="sub_0")),
    ],
    ids=["suspended, the earlier one is over", "suspended", "recovering", "on hold", "refunded"],
)
def test_nothing_is_given_up_at_a_date_while_a_subscription_may_come_back(known: Facts) -> None:
    """A simulated year showed three people a final expiry that had passed, of a subscription before their present one."""
    assert decide(known).final_expiry_at is None
    over = replace(known, subscriptions=tuple(one for one in known.subscriptions if one.id == "sub_0"))
    assert decide(over).final_expiry_at is not None


def test_the_sentence_names_the_day() -> None:
    assert "until 2 March 2027" in reason_sentence(decide(facts(subscription(cancel_at=NOW + DAY))).reason)
    assert "until 30 March 2027" in reason_sentence(decide(facts(GONE)).reason)


# --- what holds for all facts ------------------------------------------------------------------------------------------

MOMENTS = st.integers(-40 * 24, 40 * 24).map(lambda hours: NOW + hours * HOUR)
STATUSES = (
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
    "incomplete",
    "incomplete_expired",
)


@st.composite
def some_subscription(draw: st.DrawFn) -> SubscriptionFact:
    status = draw(st.sampled_from(STATUSES))
    return SubscriptionFact(
        id=f"sub_{draw(st.integers(0, 10**6))}",
        status=SubscriptionStatus(status),
        lines=draw(st.sampled_from([gives(APP), gives(MORE), gives(APP, MORE), ()])),
        amount=draw(st.integers(0, 3)),
        cancel_at=draw(st.none() | MOMENTS),
        ended_at=draw(MOMENTS) if status == "canceled" else None,
        past_due_since=draw(MOMENTS) if status == "past_due" else None,
        money_returned=draw(st.sampled_from(["", "", "refunded", "dispute_lost"])),
    )


@st.composite
def some_override(draw: st.DrawFn) -> OverrideFact:
    kind = draw(st.sampled_from(["hold", "grant", "no_suspend"]))
    start = draw(MOMENTS)
    end = start + draw(st.integers(1, 400)) * HOUR
    if kind == "hold" and draw(st.booleans()):
        return OverrideFact(kind, start, None, reason="r")
    return OverrideFact(kind, start, end, draw(st.sampled_from([APP, MORE])) if kind == "grant" else NOTHING, "r")


@st.composite
def some_facts(draw: st.DrawFn) -> Facts:
    return Facts(
        now=draw(MOMENTS),
        terms=draw(st.sampled_from([SPEC, KIND])),
        subscriptions=tuple(draw(st.lists(some_subscription(), max_size=4, unique_by=lambda one: one.id))),
        overrides=tuple(draw(st.lists(some_override(), max_size=3))),
        recovering_until=draw(st.none() | MOMENTS),
    )


@given(some_facts(), st.integers())
@settings(max_examples=150)
def test_the_order_of_facts_is_irrelevant(known: Facts, seed: int) -> None:
    order = random.Random(seed)
    subscriptions, overrides = list(known.subscriptions), list(known.overrides)
    order.shuffle(subscriptions)
    order.shuffle(overrides)
    found = decide(replace(known, subscriptions=tuple(subscriptions), overrides=tuple(overrides)))
    expected = decide(known)
    assert replace(found, trace=()) == replace(expected, trace=())
    assert sorted(found.trace) == sorted(expected.trace)


@given(some_facts(), st.floats(0, 1))
@settings(max_examples=150)
def test_time_alone_changes_nothing_before_the_moment_to_look_again(known: Facts, part: float) -> None:
    found = decide(known)
    end = found.reconcile_at or known.now + 1000 * DAY
    assert end > known.now
    for moment in (known.now + (end - SECOND - known.now) * part, end - SECOND):
        assert every_part(decide(replace(known, now=moment))) == every_part(found)


@given(some_facts())
@settings(max_examples=150)
def test_who_pays_is_never_shut_out_but_by_a_hold(known: Facts) -> None:
    found = decide(known)
    paid = [one for one in known.subscriptions if one.status in {"active", "trialing"} and not one.money_returned]
    held = any(
        one.kind == "hold" and one.starts_at <= known.now and (one.ends_at is None or known.now < one.ends_at)
        for one in known.overrides
    )
    if held:
        assert outcome(found) == HELD
    elif paid:
        assert (found.state, found.account) == (AccessState.ACTIVE, Account.ENABLED)
        for one in paid:
            assert one.entitlements.apps <= found.entitlements.apps
            assert all(found.entitlements.grants[name] >= n for name, n in one.entitlements.grants.items())


@given(some_facts())
@settings(max_examples=150)
def test_nothing_is_given_without_payment_grace_or_grant(known: Facts) -> None:
    found = decide(known)
    if found.state not in OPEN:
        assert found.entitlements == NOTHING
        assert found.seats != SeatDecision.ASSIGNED
    if found.account == Account.ENABLED:
        assert found.state in {*OPEN, AccessState.RECOVERING}
    assert decide(known) == found  # the same facts, the same answer
    assert len(ROWS) == 10


@given(some_facts())
@settings(max_examples=200)
def test_every_wait_ends(known: Facts) -> None:
    """Following the moments to look again comes to an end, in a handful of steps."""
    for _ in range(40):
        found = decide(known)
        if found.reconcile_at is None:
            return
        known = replace(known, now=found.reconcile_at)
    raise AssertionError(found)
