"""What happens next: the dated list of what will change by itself, from the facts that `decide` reads. No Django, no I/O.

Each change is foreseen by asking `decide` about that moment, so a forecast and the policy can't disagree. It assumes that payments
succeed and that nobody does anything; a payment that is late already stays late.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import replace

from apps.access.policy import Decision, decide
from apps.access.policy_facts import Facts, SubscriptionFact
from apps.access.upcoming import Change, Upcoming
from apps.core.states import AccessState, SubscriptionStatus

MOST = 12  # changes in a forecast; a person with more overrides than that sees the first
AFTER_TRIAL = {"cancel": SubscriptionStatus.CANCELED, "pause": SubscriptionStatus.PAUSED}
ORDER = {change: position for position, change in enumerate(Change)}


def forecast(facts: Facts) -> tuple[Upcoming, ...]:
    """What will change by itself, soonest first. Depends only on `facts`."""
    found: list[Upcoming] = []
    told: set[tuple[object, ...]] = set()
    while len(found) < MOST:
        decision = decide(facts)
        ahead = [one for one in _changes(facts, decision) if one.at > facts.now and _key(one) not in told]
        if not ahead:
            break
        soonest = min(ahead, key=lambda one: (one.at, ORDER[one.change], one.about))
        after = decide(imagine(facts, soonest.at))
        found.append(replace(soonest, state=after.state, is_loss=_is_loss(decision.state, after, soonest)))
        told.add(_key(soonest))
        same_moment = any(one.at == soonest.at and _key(one) not in told for one in ahead)
        facts = facts if same_moment else imagine(facts, soonest.at)
    return tuple(found)


def imagine(facts: Facts, at: dt.datetime) -> Facts:
    """The facts at a later moment if Stripe does what it has announced, payments succeed and nobody does anything.

    A date that has passed is left alone: what Stripe did at that moment is in the facts already, or on its way.
    """

    def comes(date: dt.datetime | None) -> bool:
        return date is not None and facts.now < date <= at

    def later(one: SubscriptionFact) -> SubscriptionFact:
        if one.is_live and comes(one.cancel_at):
            return replace(one, status=SubscriptionStatus.CANCELED, ended_at=one.cancel_at)
        if one.status == SubscriptionStatus.TRIALING and comes(one.trial_end):
            status = AFTER_TRIAL.get(one.after_trial, SubscriptionStatus.ACTIVE)
            return replace(one, status=status, ended_at=one.trial_end if status.ended else None)
        return one

    return replace(facts, now=at, subscriptions=tuple(map(later, facts.subscriptions)), state=decide(facts).state)


def _key(one: Upcoming) -> tuple[object, ...]:
    """What is told once: of a subscription each kind of change, of overrides each date."""
    return one.change, one.about, one.at if one.change in {Change.OVERRIDE_BEGINS, Change.OVERRIDE_ENDS} else None


def _is_loss(before: AccessState, then: Decision, upcoming: Upcoming) -> bool:
    after = then.state
    shut_out = after.is_closed and not before.is_closed
    # What incident mode will hold back is not lost at that date, so that nobody is warned of it.
    given_up = upcoming.change == Change.FINAL_EXPIRY and not then.is_held_back
    return shut_out or (before.has_access and not after.has_access) or given_up


def _changes(facts: Facts, decision: Decision) -> Iterator[Upcoming]:
    """Everything with a date that may be ahead, in no order; `state` is filled in later."""
    shared = {one.id for one in facts.subscriptions if one.shared}
    for moment, change, about in _moments(facts, decision):
        if moment is not None:
            yield Upcoming(moment, change, decision.state, about, is_shared=about in shared)
    for one in facts.subscriptions:
        if one.next_attempt_at and one.status.owes:
            attempt, last = one.attempts_made + 1, (one.terms or facts.terms).payment_attempts
            of = max(last, attempt) if last else None
            yield Upcoming(one.next_attempt_at, Change.PAYMENT_ATTEMPT, decision.state, one.id, attempt, of)


def _moments(facts: Facts, decision: Decision) -> Iterator[tuple[dt.datetime | None, Change, str]]:
    for one in facts.subscriptions:
        yield from _moments_of(one, facts.now)
    for late, until in decision.grace_ends:
        yield until, Change.GRACE_ENDS, late
    for each in facts.overrides:
        yield each.starts_at, Change.OVERRIDE_BEGINS, each.kind
        yield each.ends_at, Change.OVERRIDE_ENDS, each.kind
    if decision.state == AccessState.RECOVERING:
        yield facts.recovering_until, Change.RECOVERY_CLOSES, ""
    if facts.paying:
        yield facts.paying.ends, Change.CHECKOUT_ENDS, ""
    if decision.is_held_back and facts.freeze:
        yield facts.freeze.until, Change.FREEZE_ENDS, ""
    yield decision.kept_until, Change.KEPT_SEAT_ENDS, ""
    yield decision.final_expiry_at, Change.FINAL_EXPIRY, ""


def _moments_of(one: SubscriptionFact, now: dt.datetime) -> Iterable[tuple[dt.datetime | None, Change, str]]:
    """The dates of one subscription that is alive."""
    if not one.is_live:
        return
    ends = one.cancel_at if one.cancel_at and one.cancel_at > now else None
    period = one.current_period_end
    yield ends, Change.SUBSCRIPTION_ENDS, one.id
    yield one.paused_until, Change.BILLING_RESUMES, one.id
    yield one.payment_due_at, Change.PAYMENT_DUE, one.id
    trial = one.trial_end if one.status == SubscriptionStatus.TRIALING else None
    if trial and not _is_before(ends, trial) and (one.after_trial or not one.shared):
        yield trial, Change.TRIAL_LAPSES if one.after_trial else Change.TRIAL_ENDS, one.id
    if period and period != trial and not _is_before(ends, period):
        is_charged = one.status.may_give_access and not (one.paused and not _is_before(one.paused_until, period))
        yield period, Change.RENEWS if is_charged else Change.PERIOD_ENDS, one.id


def _is_before(first: dt.datetime | None, second: dt.datetime | None) -> bool:
    """Whether `first` comes no later than `second`."""
    return first is not None and (second is None or first <= second)
