"""What happens next: the dated list of what will change by itself, from the facts that `decide` reads. No Django, no I/O.

Each change is foreseen by asking `decide` about that moment, so a forecast and the policy can't disagree. It assumes that payments
succeed and that nobody does anything; a payment that is late already stays late.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from apps.access.policy import Decision, decide
from apps.access.policy_facts import Facts, SubscriptionFact
from apps.core.reasons import as_moment, as_text
from apps.core.states import AccessState, SubscriptionStatus

MOST = 12  # changes in a forecast; a person with more overrides than that sees the first


class Change(StrEnum):
    """What happens at a date. In the order in which changes of one moment are told."""

    PAYMENT_DUE = "payment_due"
    PAYMENT_ATTEMPT = "payment_attempt"
    TRIAL_ENDS = "trial_ends"
    RENEWS = "renews"
    PERIOD_ENDS = "period_ends"
    BILLING_RESUMES = "billing_resumes"
    SUBSCRIPTION_ENDS = "subscription_ends"
    GRACE_ENDS = "grace_ends"
    OVERRIDE_BEGINS = "override_begins"
    OVERRIDE_ENDS = "override_ends"
    RECOVERY_CLOSES = "recovery_closes"
    CHECKOUT_ENDS = "checkout_ends"
    KEPT_SEAT_ENDS = "kept_seat_ends"
    FINAL_EXPIRY = "final_expiry"
    FREEZE_ENDS = "freeze_ends"


@dataclass(frozen=True)
class Upcoming:
    """One change: `state` is what access is from then on. `about`: the subscription's id, or the kind of an override.

    `attempt`: which try to collect the payment it is, the first counts as 1; `attempts`: of how many, None when not known.
    `is_loss`: apps close, or everything is given up, at that moment.
    """

    at: dt.datetime
    change: Change
    state: AccessState
    about: str = ""
    attempt: int | None = None
    attempts: int | None = None
    is_loss: bool = False

    def as_json(self) -> dict[str, Any]:
        """For a JSON column; what is not set is left out."""
        return {name: as_text(value) for name, value in vars(self).items() if value}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self | None:
        """What `as_json` made; None for a change of another release."""
        at = as_moment(stored.get("at"))
        if at is None or stored.get("change") not in set(Change) or stored.get("state") not in set(AccessState):
            return None
        rest = {name: stored[name] for name in ("about", "attempt", "attempts", "is_loss") if name in stored}
        return cls(at, Change(stored["change"]), AccessState(stored["state"]), **rest)

    @property
    def sentence(self) -> str:
        """For the subscriber, without the date; empty for what only staff need to know."""
        if self.change == Change.SUBSCRIPTION_ENDS:
            return "Your subscription ends." + (" Your apps close, and your data is kept." if self.is_loss else "")
        if self.change == Change.OVERRIDE_ENDS:
            return self._override_ends()
        return SENTENCES[self.change].format(attempt=self._attempt())

    @property
    def label(self) -> str:
        """For staff, without the date."""
        what = LABELS[self.change].format(about=self.about.replace("_", " ").capitalize())
        return what + self._attempt()

    def _attempt(self) -> str:
        if not self.attempt:
            return ""
        return f" (attempt {self.attempt} of {self.attempts})" if self.attempts else f" (attempt {self.attempt})"

    def _override_ends(self) -> str:
        if self.about == "hold":
            return "The hold on your account ends."
        if self.about == "grant":
            return "The access that we gave you ends." + (" Your apps close." if self.is_loss else "")
        return ""


SENTENCES = {
    Change.PAYMENT_DUE: "Your invoice is due.",
    Change.PAYMENT_ATTEMPT: "We try to collect the open payment again{attempt}.",
    Change.TRIAL_ENDS: "Your trial ends, and your first payment is due.",
    Change.RENEWS: "Your subscription renews, and the next payment is due.",
    Change.PERIOD_ENDS: "A new billing period begins. As things stand, you aren't charged for it.",
    Change.BILLING_RESUMES: "Billing starts again.",
    Change.GRACE_ENDS: "If you haven't paid by then, your apps are paused. Your data is safe.",
    Change.OVERRIDE_BEGINS: "",
    Change.RECOVERY_CLOSES: "If you haven't paid by then, your account closes again. Your data is safe.",
    Change.CHECKOUT_ENDS: "Your open checkout ends.",
    Change.KEPT_SEAT_ENDS: "We remove the space and settings of your earlier subscription for good.",
    Change.FINAL_EXPIRY: "If you haven't come back by then, we remove your space and settings for good.",
    Change.FREEZE_ENDS: "",
}

LABELS = {
    Change.PAYMENT_DUE: "Invoice due",
    Change.PAYMENT_ATTEMPT: "Next payment attempt",
    Change.TRIAL_ENDS: "Trial ends, first payment",
    Change.RENEWS: "Renews",
    Change.PERIOD_ENDS: "New period, not charged",
    Change.BILLING_RESUMES: "Billing resumes",
    Change.SUBSCRIPTION_ENDS: "Subscription ends",
    Change.GRACE_ENDS: "Grace ends",
    Change.OVERRIDE_BEGINS: "{about} begins",
    Change.OVERRIDE_ENDS: "{about} ends",
    Change.RECOVERY_CLOSES: "Recovery closes",
    Change.CHECKOUT_ENDS: "Checkout ends",
    Change.KEPT_SEAT_ENDS: "Seat of an earlier subscription released",
    Change.FINAL_EXPIRY: "Final expiry, seat released",
    Change.FREEZE_ENDS: "Held back by incident mode until then",
}

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
        same_moment = any(one.at == soonest.at and one is not soonest for one in ahead)
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
            return replace(one, status=SubscriptionStatus.ACTIVE)
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
    for moment, change, about in _moments(facts, decision):
        if moment is not None:
            yield Upcoming(moment, change, decision.state, about)
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
    if trial and not _is_before(ends, trial):
        yield trial, Change.TRIAL_ENDS, one.id
    if period and period != trial and not _is_before(ends, period):
        is_charged = one.status.may_give_access and not (one.paused and not _is_before(one.paused_until, period))
        yield period, Change.RENEWS if is_charged else Change.PERIOD_ENDS, one.id


def _is_before(first: dt.datetime | None, second: dt.datetime | None) -> bool:
    """Whether `first` comes no later than `second`."""
    return first is not None and (second is None or first <= second)


def read_stored(stored: list[dict[str, Any]], *, now: dt.datetime) -> tuple[Upcoming, ...]:
    """A stored forecast for the subscriber, without what has passed since it was made."""
    return told(one for one in read_all(stored) if one.at > now)


def read_all(stored: list[dict[str, Any]]) -> tuple[Upcoming, ...]:
    """A stored forecast as it was made, without changes of another release."""
    return tuple(found for one in stored if (found := Upcoming.from_json(one)))


def told(changes: Iterable[Upcoming]) -> tuple[Upcoming, ...]:
    """Those that the subscriber is told; the others only staff need to know."""
    return tuple(one for one in changes if one.sentence)


def next_attempt(stored: list[dict[str, Any]], *, now: dt.datetime) -> Upcoming | None:
    """Of a stored forecast, the next attempt to collect a payment that failed."""
    return next((one for one in read_stored(stored, now=now) if one.change == Change.PAYMENT_ATTEMPT), None)
