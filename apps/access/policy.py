"""What a subscriber should have: one pure function over facts. No Django, no I/O.

`decide` is the table of states; the first match wins. Everything else in Frontdesk only asks it or applies its answer.
It also says why (a reason for the subscriber, a trace for staff) and when time alone may change the answer.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from apps.access.policy_decision import Account, Decision, SeatDecision
from apps.access.policy_facts import Facts, Freeze, LineFact, OverrideFact, Span, SubscriptionFact, Terms
from apps.access.policy_freeze import hold_back
from apps.access.policy_sums import are_shared, ended_last, entitlements_together
from apps.catalog.entitlements import Entitlements, total
from apps.core.reasons import Reason, ReasonCode
from apps.core.states import AccessState, SubscriptionStatus

__all__ = [
    "Account",
    "Decision",
    "Facts",
    "Freeze",
    "LineFact",
    "OverrideFact",
    "SeatDecision",
    "Span",
    "SubscriptionFact",
    "Terms",
    "decide",
]


def decide(facts: Facts) -> Decision:
    """Decide for one subscriber by the rows below; in incident mode, without its losses. Depends only on `facts`, not on their order."""
    view = _View(facts)
    for row in ROWS:
        decision = row(view)
        if decision is not None:
            return hold_back(facts, view.finish(decision))
    raise AssertionError("the last row always matches")


class _View:
    """The facts, sorted by what the rows need."""

    def __init__(self, facts: Facts) -> None:
        self.now = facts.now
        self.facts = facts
        self.holds = self._in_force("hold")
        self.grants = self._in_force("grant")
        self.no_suspend = self._in_force("no_suspend")
        subscriptions = sorted(facts.subscriptions, key=lambda one: one.id)
        kept = [one for one in subscriptions if one.status.may_give_access and not self.closes(one)]
        self.paid = [one for one in kept if one.status.gives_access or one.payment_pending]
        self.late = [one for one in kept if one not in self.paid]
        self.in_grace = [one for one in self.late if self.now < self.grace_until(one)]
        self.withheld = [
            one
            for one in subscriptions
            if one.status.withholds_access or (one.status.gives_access and self.closes(one))
        ]
        self.canceled = [one for one in subscriptions if one.status == SubscriptionStatus.CANCELED]
        self.unknown = [one for one in subscriptions if one.status == SubscriptionStatus.UNKNOWN]
        self.final_expiry = self._final_expiry()
        self.recovering = facts.recovering_until is not None and self.now < facts.recovering_until

    def _in_force(self, kind: str) -> list[OverrideFact]:
        return [
            one
            for one in self.facts.overrides
            if one.kind == kind and one.starts_at <= self.now and (one.ends_at is None or self.now < one.ends_at)
        ]

    def closes(self, one: SubscriptionFact) -> str:
        """Why a subscription that runs gives no access: its money went back, or a pause that closes; empty: it does."""
        if one.money_returned == "dispute_lost":
            return "" if self._is_waived(one) else "dispute_lost"
        if one.money_returned:
            return one.money_returned
        return "collection_paused" if self.terms_of(one).paused_closes and self.is_paused(one) else ""

    def terms_of(self, one: SubscriptionFact) -> Terms:
        return one.terms or self.facts.terms

    def is_paused(self, one: SubscriptionFact) -> bool:
        """Whether its payments are not collected now."""
        return one.paused and (one.paused_until is None or self.now < one.paused_until)

    def _is_waived(self, one: SubscriptionFact) -> bool:
        """Whether the terms or staff forgive the lost dispute; a waiver covers what was disputed before it."""
        waivers = [each.starts_at for each in self._in_force("waive_dispute")]
        newest = one.dispute_lost_at
        covered = any(newest is None or newest <= start for start in waivers)
        return covered or bool(self.no_suspend) or not self.terms_of(one).lost_dispute_closes

    def _final_expiry(self) -> dt.datetime | None:
        """The end of the last subscription plus the terms; later if staff keep the seat or a Checkout is open."""
        ends = [one.ended_at + self.terms_of(one).expiry for one in self.canceled if one.ended_at]
        kept_open = any(one.shared and one.ended_at is None for one in self.canceled)  # who pays may share again
        if not ends or kept_open:
            return None
        kept = [one.ends_at for one in self._in_force("keep_seat") if one.ends_at]
        expiry = max([*ends, *kept])
        paying = self.facts.paying
        return max(expiry, paying.ends) if paying and paying.begins < expiry else expiry

    @property
    def given_up_at(self) -> dt.datetime | None:
        """The final expiry, or None while a subscription may come back: then nothing is given up at a date."""
        return None if self.withheld or self.paid or self.late else self.final_expiry

    def grace_until(self, late: SubscriptionFact) -> dt.datetime:
        """The end of grace of a late subscription: by the terms, or by a no-suspend if that is later."""
        since = late.past_due_since or self.now
        return max([since + self.terms_of(late).grace, *(one.ends_at for one in self.no_suspend if one.ends_at)])

    def due(self) -> Entitlements:
        """The sum of everything that gives access now."""
        paid = entitlements_together(self.paid, self.in_grace)
        return total([paid, *[one.entitlements for one in self.grants]])

    def _kept(self, decision: Decision) -> tuple[frozenset[str], dt.datetime | None]:
        """Apps whose seat waits without access, and until when if that is by the clock alone."""
        if decision.state == AccessState.ON_HOLD:
            return self.due().seats, None
        if decision.seats != SeatDecision.ASSIGNED:
            return frozenset(), None
        withheld = _seats_of(self.withheld) - decision.entitlements.seats
        is_over = self.final_expiry is not None and self.now >= self.final_expiry
        canceled = frozenset() if is_over else _seats_of(self.canceled) - decision.entitlements.seats
        return withheld | canceled, self.final_expiry if canceled - withheld else None

    def finish(self, decision: Decision) -> Decision:
        """Add what is kept, the final expiry and when to reconcile again."""
        kept, kept_until = self._kept(decision)
        moments: list[dt.datetime | None] = [self.facts.recovering_until, self.final_expiry]
        moments += [moment for one in self.facts.overrides for moment in (one.starts_at, one.ends_at)]
        moments += [self.grace_until(one) for one in self.late]
        moments += [one.cancel_at for one in [*self.paid, *self.late]]
        moments += [one.paused_until for one in self.facts.subscriptions]
        return replace(
            decision,
            kept=kept,
            kept_until=kept_until,
            trace=(*decision.trace, *_trace_kept(decision, kept)),
            partial=bool(self.unknown) or any(one.unmapped for one in [*self.paid, *self.in_grace]),
            reconcile_at=earliest(self.now, moments),
            final_expiry_at=self.given_up_at if decision.state.has_final_expiry else None,
            grace_ends=tuple((one.id, self.grace_until(one)) for one in self.in_grace),
        )


def _seats_of(subscriptions: Iterable[SubscriptionFact]) -> frozenset[str]:
    return frozenset(app for one in subscriptions for app in one.entitlements.seats)


def _trace_kept(decision: Decision, kept: frozenset[str]) -> tuple[str, ...]:
    """What staff read about seats that wait beside those in use; a hold says so itself."""
    shown = kept and decision.seats == SeatDecision.ASSIGNED
    return (f"a subscription that may come back keeps a seat on {', '.join(sorted(kept))}",) if shown else ()


def earliest(now: dt.datetime, moments: Iterable[dt.datetime | None]) -> dt.datetime | None:
    """The first of the moments that is still ahead, if any."""
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


CLOSED = {
    "refunded": ReasonCode.REFUNDED,
    "dispute_lost": ReasonCode.DISPUTE_LOST,
    "collection_paused": ReasonCode.COLLECTION_PAUSED,
}


# --- the rows, in order ------------------------------------------------------------------------------------------------


def _held(view: _View) -> Decision | None:
    """1. A staff hold is in force."""
    if not view.holds:
        return None
    ends = [one.ends_at for one in view.holds]
    until = None if None in ends else max(end for end in ends if end)
    return Decision(
        state=AccessState.ON_HOLD,
        account=Account.DISABLED,
        seats=SeatDecision.RETAINED,
        reason=Reason(ReasonCode.ON_HOLD, until),
        trace=tuple(f"hold in force: {one.reason}" for one in view.holds),
        until=until,
    )


def _paid(view: _View) -> Decision | None:
    """2. A subscription is trialing or active, or its payment is on its way, and its money did not go back."""
    if not view.paid:
        return None
    ends = [one.cancel_at for one in view.paid]
    until = None if None in ends else max(end for end in ends if end)
    paused = [one.paused_until for one in view.paid if view.is_paused(one)]
    resumes = None if None in paused else max((end for end in paused if end), default=None)
    return Decision(
        state=AccessState.ACTIVE,
        account=Account.ENABLED,
        seats=SeatDecision.ASSIGNED,
        reason=Reason(ReasonCode.PAID, until, bool(paused), resumes, are_shared(view.paid)),
        entitlements=view.due(),
        trace=tuple(_trace(view, one) for one in view.paid),
        until=until,
        subscription_id=view.paid[0].id,
    )


def _trace(view: _View, one: SubscriptionFact) -> str:
    """Why staff see a subscription give access."""
    pending = ", a bank debit is on its way" if one.payment_pending else ""
    paused = ", its collection is paused" if view.is_paused(one) else ""
    waived = ", a lost dispute is waived" if one.money_returned else ""
    return f"subscription {one.id} is {one.status}{pending}{paused}{waived}"


def _granted(view: _View) -> Decision | None:
    """3. A staff grant is in force."""
    if not view.grants:
        return None
    until = max((one.ends_at for one in view.grants if one.ends_at), default=None)
    return Decision(
        state=AccessState.ACTIVE,
        account=Account.ENABLED,
        seats=SeatDecision.ASSIGNED,
        reason=Reason(ReasonCode.GRANTED, until),
        entitlements=view.due(),
        trace=tuple(f"grant in force: {one.reason}" for one in view.grants),
        until=until,
    )


def _in_grace(view: _View) -> Decision | None:
    """4. A payment is late, within the days of grace or under a no-suspend."""
    if not view.in_grace:
        return None
    until = max(view.grace_until(one) for one in view.in_grace)
    return Decision(
        state=AccessState.GRACE,
        account=Account.ENABLED,
        seats=SeatDecision.ASSIGNED,
        reason=Reason(ReasonCode.PAYMENT_LATE, until, is_shared=are_shared(view.in_grace)),
        entitlements=view.due(),
        trace=tuple(f"subscription {one.id} is past due, in grace" for one in view.in_grace),
        until=until,
        subscription_id=view.in_grace[0].id,
    )


def _unknown(view: _View) -> Decision | None:
    """A subscription has a status that we cannot interpret, and nothing else gives access: it stays as it is."""
    if not view.unknown:
        return None
    return Decision(
        state=view.facts.state,
        account=Account.AS_IS,
        seats=SeatDecision.UNTOUCHED,
        reason=Reason(ReasonCode.UNKNOWN_STATUS),
        trace=tuple(f"subscription {one.id} has a status that we do not know" for one in view.unknown),
        subscription_id=view.unknown[0].id,
    )


def _recovering(view: _View) -> Decision | None:
    """5. A recovery code was verified and its window is open; never past the final expiry."""
    recoverable = view.withheld or (view.canceled and view.final_expiry and view.now < view.final_expiry)
    if not (view.recovering and recoverable):
        return None
    until = earliest(view.now, [view.facts.recovering_until, view.given_up_at])
    return Decision(
        state=AccessState.RECOVERING,
        account=Account.ENABLED,
        seats=SeatDecision.RETAINED,
        reason=Reason(ReasonCode.RECOVERING, until),
        trace=("the recovery window is open",),
        until=until,
    )


def _suspended(view: _View) -> Decision | None:
    """6. Past due after grace, unpaid, paused, dispute lost or current period refunded."""
    if not view.withheld:
        return None
    first = min(view.withheld, key=lambda one: (one.shared, one.id))  # their own first: that they can pay
    stopped = ReasonCode.SUBSCRIPTION_PAUSED if first.status == SubscriptionStatus.PAUSED else ReasonCode.UNPAID
    return Decision(
        state=AccessState.SUSPENDED,
        account=Account.DISABLED,
        seats=SeatDecision.RETAINED,
        reason=Reason(CLOSED.get(view.closes(first), stopped), paused_until=first.paused_until, is_shared=first.shared),
        trace=tuple(f"subscription {one.id} is {view.closes(one) or one.status}" for one in view.withheld),
        subscription_id=first.id,
    )


def _canceled(view: _View) -> Decision | None:
    """7. Canceled, before the final expiry."""
    if not view.canceled or (view.final_expiry and view.now >= view.final_expiry):
        return None
    last = ended_last(view.canceled)
    return Decision(
        state=AccessState.CANCELED,
        account=Account.DISABLED,
        seats=SeatDecision.RETAINED,
        reason=Reason(ReasonCode.CANCELED, view.final_expiry, is_shared=last.shared),
        trace=tuple(f"subscription {one.id} is canceled" for one in view.canceled),
        until=view.final_expiry,
        subscription_id=last.id,
    )


def _expired(view: _View) -> Decision | None:
    """8. Canceled, at or after the final expiry."""
    if not view.canceled:
        return None
    return Decision(
        state=AccessState.EXPIRED,
        account=Account.DISABLED,
        seats=SeatDecision.RELEASED,
        reason=Reason(ReasonCode.EXPIRED, view.final_expiry, is_shared=ended_last(view.canceled).shared),
        trace=tuple(f"subscription {one.id} is canceled, final expiry has passed" for one in view.canceled),
    )


def _never_paid(_view: _View) -> Decision:
    return Decision(
        state=AccessState.NONE,
        account=Account.UNTOUCHED,
        seats=SeatDecision.UNTOUCHED,
        reason=Reason(ReasonCode.NEVER_PAID),
        trace=("no subscription has ever been paid",),
    )


ROWS = (_held, _paid, _granted, _in_grace, _unknown, _recovering, _suspended, _canceled, _expired, _never_paid)
