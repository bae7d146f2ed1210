"""Incident mode in the policy: what billing demands is decided as ever, and what it would take is held back. No Django, no I/O.

A fact and not a filter of the plan: the state, its sentence, the emails, the pages, the drift and the laws all follow from the
decision, so that one that was held back only while it was applied would still tell people that they have lost something.
"""

import datetime as dt
from dataclasses import replace

from apps.access.policy_decision import Account, Decision, SeatDecision
from apps.access.policy_facts import Facts
from apps.core.reasons import Reason, ReasonCode
from apps.core.states import AccessState

HELD = "incident mode holds it back"


def hold_back(facts: Facts, demanded: Decision) -> Decision:
    """`demanded`, or, while a freeze covers the subscriber, the same without what it takes; it is then in `demanded` of the result.

    A hold is a decision of staff, and is never held back.
    """
    if not is_frozen(facts, facts.now) or demanded.state == AccessState.ON_HOLD or demanded.account == Account.AS_IS:
        return demanded
    kept = _keep(facts.state, demanded)
    return demanded if kept is None else replace(kept, demanded=demanded)


def is_frozen(facts: Facts, at: dt.datetime) -> bool:
    """Whether a freeze covers the subscriber at that moment, as far as is known now."""
    return facts.freeze is not None and facts.freeze.holds_at(at)


def _keep(before: AccessState, demanded: Decision) -> Decision | None:
    """What somebody who is in `before` keeps; None when nothing is taken. Where apps stay open, the plan takes none away."""
    if demanded.state.has_access:
        return replace(demanded, partial=True)
    if before.has_access:
        return _stay(before, demanded, Account.ENABLED, SeatDecision.ASSIGNED, partial=True)
    if before == AccessState.RECOVERING and demanded.state != before:
        return _stay(before, demanded, Account.ENABLED, SeatDecision.RETAINED)
    if demanded.seats == SeatDecision.RELEASED and before not in {AccessState.EXPIRED, AccessState.NONE}:
        return _stay(AccessState.CANCELED, demanded, Account.DISABLED, SeatDecision.RETAINED)
    if demanded.account == Account.UNTOUCHED and before != AccessState.NONE:
        return replace(demanded, account=Account.AS_IS)
    return None


def _stay(
    state: AccessState, demanded: Decision, account: Account, seats: SeatDecision, *, partial: bool = False
) -> Decision:
    return Decision(
        state=state,
        account=account,
        seats=seats,
        reason=Reason(REASONS.get(state, ReasonCode.HELD_BACK), is_shared=demanded.reason.is_shared),
        partial=partial,
        trace=(*demanded.trace, HELD),
        reconcile_at=demanded.reconcile_at,
        subscription_id=demanded.subscription_id,
    )


# What the subscriber reads, without a date: the one that was told has passed. Of the others only that nothing changes.
REASONS = {
    AccessState.GRACE: ReasonCode.PAYMENT_LATE,
    AccessState.RECOVERING: ReasonCode.RECOVERING,
    AccessState.CANCELED: ReasonCode.CANCELED,
}
