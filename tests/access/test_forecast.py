"""What happens next: each change with its date and what follows, and never anything that the policy would not do."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.access.forecast import forecast, imagine
from apps.access.policy import Facts, LineFact, OverrideFact, Span, SubscriptionFact, Terms, decide
from apps.access.upcoming import Change, Upcoming, read_stored
from apps.catalog.entitlements import Entitlements
from apps.core.reason_sentences import SENTENCES, reason_sentence
from apps.core.reasons import Reason, ReasonCode
from apps.core.states import AccessState, SubscriptionStatus

NOW = dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
TERMS = Terms(grace=7 * DAY, expiry=30 * DAY)
APP = Entitlements(frozenset({"nextcloud"}), frozenset({"nextcloud"}), {"storage_gb": 100})
ACTIVE, GRACE, SUSPENDED = AccessState.ACTIVE, AccessState.GRACE, AccessState.SUSPENDED
CANCELED, EXPIRED = AccessState.CANCELED, AccessState.EXPIRED


def subscription(status: str = "active", **more: Any) -> SubscriptionFact:
    period = {"current_period_end": NOW + 20 * DAY}
    return SubscriptionFact(
        **{"id": "sub_1", "status": SubscriptionStatus(status), "lines": (LineFact(1, APP),)} | period | more
    )


def override(kind: str, ends: dt.timedelta, begins: dt.timedelta = -DAY) -> OverrideFact:
    return OverrideFact(kind, NOW + begins, NOW + ends, APP if kind == "grant" else Entitlements(), "because")


def facts(*about: SubscriptionFact | OverrideFact, **more: Any) -> Facts:
    found = Facts(
        now=NOW,
        terms=TERMS,
        subscriptions=tuple(one for one in about if isinstance(one, SubscriptionFact)),
        overrides=tuple(one for one in about if isinstance(one, OverrideFact)),
    )
    return replace(found, **more)


LATE = subscription("past_due", past_due_since=NOW - DAY, next_attempt_at=NOW + 2 * DAY, attempts_made=2)
GONE = subscription("canceled", ended_at=NOW - DAY)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (facts(), []),
        (facts(subscription()), [(20 * DAY, Change.RENEWS, ACTIVE)]),
        (
            facts(subscription(cancel_at=NOW + 20 * DAY)),
            [(20 * DAY, Change.SUBSCRIPTION_ENDS, CANCELED), (50 * DAY, Change.FINAL_EXPIRY, EXPIRED)],
        ),
        (
            facts(subscription("trialing", trial_end=NOW + 20 * DAY)),
            [(20 * DAY, Change.TRIAL_ENDS, ACTIVE)],
        ),
        (
            facts(subscription("trialing", trial_end=NOW + 20 * DAY, after_trial="cancel")),
            [(20 * DAY, Change.TRIAL_LAPSES, CANCELED), (50 * DAY, Change.FINAL_EXPIRY, EXPIRED)],
        ),
        (
            facts(subscription("trialing", trial_end=NOW + 20 * DAY, after_trial="pause")),
            [(20 * DAY, Change.TRIAL_LAPSES, SUSPENDED)],
        ),
        (
            facts(subscription("trialing", trial_end=NOW + 20 * DAY, cancel_at=NOW + 20 * DAY)),
            [(20 * DAY, Change.SUBSCRIPTION_ENDS, CANCELED), (50 * DAY, Change.FINAL_EXPIRY, EXPIRED)],
        ),
        (
            facts(LATE),
            [
                (2 * DAY, Change.PAYMENT_ATTEMPT, GRACE),
                (6 * DAY, Change.GRACE_ENDS, SUSPENDED),
                (20 * DAY, Change.RENEWS, SUSPENDED),
            ],
        ),
        (
            facts(LATE, override("no_suspend", 10 * DAY)),
            [
                (2 * DAY, Change.PAYMENT_ATTEMPT, GRACE),
                (10 * DAY, Change.GRACE_ENDS, SUSPENDED),
                (10 * DAY, Change.OVERRIDE_ENDS, SUSPENDED),
                (20 * DAY, Change.RENEWS, SUSPENDED),
            ],
        ),
        (facts(subscription("unpaid")), [(20 * DAY, Change.PERIOD_ENDS, SUSPENDED)]),
        (
            facts(subscription(paused=True, paused_until=NOW + 25 * DAY)),
            [(20 * DAY, Change.PERIOD_ENDS, ACTIVE), (25 * DAY, Change.BILLING_RESUMES, ACTIVE)],
        ),
        (
            facts(subscription(payment_due_at=NOW + 9 * DAY)),
            [(9 * DAY, Change.PAYMENT_DUE, ACTIVE), (20 * DAY, Change.RENEWS, ACTIVE)],
        ),
        (facts(override("grant", DAY)), [(DAY, Change.OVERRIDE_ENDS, AccessState.NONE)]),
        (
            facts(subscription(), override("hold", 5 * DAY, begins=3 * DAY)),
            [
                (3 * DAY, Change.OVERRIDE_BEGINS, AccessState.ON_HOLD),
                (5 * DAY, Change.OVERRIDE_ENDS, ACTIVE),
                (20 * DAY, Change.RENEWS, ACTIVE),
            ],
        ),
        (
            facts(override("grant", DAY), override("grant", 3 * DAY)),
            [(DAY, Change.OVERRIDE_ENDS, ACTIVE), (3 * DAY, Change.OVERRIDE_ENDS, AccessState.NONE)],
        ),
        (facts(GONE), [(29 * DAY, Change.FINAL_EXPIRY, EXPIRED)]),
        (
            facts(GONE, override("grant", DAY), override("grant", DAY)),  # what ends twice at one moment is told once
            [(DAY, Change.OVERRIDE_ENDS, CANCELED), (29 * DAY, Change.FINAL_EXPIRY, EXPIRED)],
        ),
        (
            facts(GONE, recovering_until=NOW + HOUR),
            [(HOUR, Change.RECOVERY_CLOSES, CANCELED), (29 * DAY, Change.FINAL_EXPIRY, EXPIRED)],
        ),
        (
            facts(GONE, paying=Span(NOW, NOW + HOUR)),
            [(HOUR, Change.CHECKOUT_ENDS, CANCELED), (29 * DAY, Change.FINAL_EXPIRY, EXPIRED)],
        ),
        (facts(replace(GONE, ended_at=NOW - 40 * DAY)), []),
        (facts(subscription("brand_new")), [(20 * DAY, Change.PERIOD_ENDS, AccessState.NONE)]),
    ],
)
def test_each_change_has_its_date_and_what_follows(known: Facts, expected: list[tuple[Any, ...]]) -> None:
    assert [(one.at - NOW, one.change, one.state) for one in forecast(known)] == expected


def test_it_says_which_attempt_is_next_and_of_how_many() -> None:
    assert forecast(facts(LATE))[0].sentence == "We try to collect the open payment again (attempt 3)."
    told = forecast(facts(LATE, terms=replace(TERMS, payment_attempts=4)))[0]
    assert told.label == "Next payment attempt (attempt 3 of 4)"


def test_what_is_lost_is_marked() -> None:
    lost = {one.change for one in forecast(facts(LATE, override("hold", 2 * DAY, begins=DAY))) if one.is_loss}
    assert lost == {Change.OVERRIDE_BEGINS, Change.GRACE_ENDS}
    assert not forecast(facts(subscription(cancel_at=NOW + DAY), subscription(id="sub_2")))[0].is_loss


def test_a_trial_without_a_card_closes_only_what_nothing_else_opens() -> None:
    lapsing = subscription("trialing", trial_end=NOW + DAY, after_trial="cancel")
    alone, beside = forecast(facts(lapsing))[0], forecast(facts(lapsing, subscription(id="sub_2")))[0]
    assert alone.change == beside.change == Change.TRIAL_LAPSES
    assert (alone.is_loss, beside.is_loss) == (True, False)
    assert alone.sentence.startswith("Your trial ends. If you haven't added a card by then, your apps close.")
    assert beside.sentence == "Your trial ends."


def test_it_is_stored_and_read_again_without_what_has_passed_or_what_only_staff_need() -> None:
    told = forecast(facts(LATE, override("no_suspend", 5 * DAY)))
    stored = [one.as_json() for one in told]
    assert tuple(Upcoming.from_json(one) for one in stored) == told
    shown = read_stored(stored, now=NOW + 2 * DAY)
    assert [one.change for one in shown] == [Change.GRACE_ENDS, Change.RENEWS]
    assert read_stored([{"at": NOW.isoformat(), "change": "of another release", "state": "active"}], now=NOW) == ()


@pytest.mark.parametrize("code", ReasonCode)
def test_each_reason_has_a_sentence_and_is_stored_as_a_code_with_its_dates(code: ReasonCode) -> None:
    reason = Reason(code, NOW, is_paused=True, paused_until=NOW + DAY)
    assert Reason.from_json(reason.as_json()) == reason
    assert code in SENTENCES
    assert reason_sentence(reason).endswith(".")
    assert Reason.from_json({}) is Reason.from_json({"code": "of another release"}) is None


MOMENTS = st.integers(-60, 60).map(lambda days: NOW + days * DAY)
STATUSES = [one.value for one in SubscriptionStatus]
SUBSCRIPTIONS = st.builds(
    subscription,
    st.sampled_from(STATUSES),
    id=st.sampled_from(["sub_1", "sub_2"]),
    ended_at=st.none() | MOMENTS,
    past_due_since=st.none() | MOMENTS,
    cancel_at=st.none() | MOMENTS,
    trial_end=st.none() | MOMENTS,
    after_trial=st.sampled_from(["", "", "cancel", "pause"]),
    paused=st.booleans(),
    paused_until=st.none() | MOMENTS,
    next_attempt_at=st.none() | MOMENTS,
    money_returned=st.sampled_from(["", "", "refunded", "dispute_lost"]),
)
OVERRIDES = st.builds(
    OverrideFact, st.sampled_from(["hold", "grant", "no_suspend", "keep_seat"]), MOMENTS, MOMENTS, st.just(APP)
)
ANY = st.builds(
    lambda some, more, window: facts(*some, *more, recovering_until=window),
    st.lists(SUBSCRIPTIONS, max_size=2, unique_by=lambda one: one.id),
    st.lists(OVERRIDES, max_size=2),
    st.none() | MOMENTS,
)


@given(known=ANY, hours=st.lists(st.integers(1, 60 * 24), min_size=3, max_size=3))
@settings(max_examples=200, deadline=None)
def test_between_two_dates_of_the_forecast_access_stays_as_it_is(known: Facts, hours: list[int]) -> None:
    """Any hour of the next two months: the policy says what the last foreseen change before it says."""
    told = forecast(known)
    assert [one.at for one in told] == sorted(one.at for one in told)
    if len(told) == 12:
        return
    for moment in (NOW + hour * HOUR for hour in hours):
        past = [one for one in told if one.at <= moment]
        expected = past[-1].state if past else decide(known).state
        then = known
        for each in (*(one.at for one in past), moment):
            then = imagine(then, each)
        assert decide(then).state == expected, moment


@given(known=ANY)
@settings(max_examples=100, deadline=None)
def test_it_is_never_empty_while_stripe_has_a_date(known: Facts) -> None:
    dates = [
        date
        for one in known.subscriptions
        if one.status.may_charge
        for date in (one.current_period_end, one.cancel_at, one.next_attempt_at if one.status.owes else None)
    ]
    if any(date > NOW for date in dates if date):
        assert forecast(known)
