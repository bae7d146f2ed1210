"""The states of a subscriber's access and of a Stripe subscription, each with what it means. No Django in here.

Every rule that asks for a set of states asks a property here; nobody else lists states.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import override


class Tone(StrEnum):
    """What a state asks of staff, from nothing to act now; the console's badges have a colour for each."""

    CALM = "calm"
    GOOD = "good"
    BUSY = "busy"
    WARN = "warn"
    BAD = "bad"


class AccessState(StrEnum):
    """A subscriber's access; the table in access/policy.py says when it is which."""

    NONE = "none"
    ACTIVE = "active"
    GRACE = "grace"
    SUSPENDED = "suspended"
    RECOVERING = "recovering"
    CANCELED = "canceled"
    EXPIRED = "expired"
    ON_HOLD = "on_hold"

    @property
    def label(self) -> str:
        return LABELS[self]

    @property
    def tone(self) -> Tone:
        return TONES.get(self, Tone.CALM)

    @property
    def has_access(self) -> bool:
        """The apps are open."""
        return self in {AccessState.ACTIVE, AccessState.GRACE}

    @property
    def is_closed(self) -> bool:
        """Nobody can log in to Frontdesk either."""
        return self in {AccessState.ON_HOLD, AccessState.SUSPENDED, AccessState.CANCELED, AccessState.EXPIRED}

    @property
    def awaits_expiry(self) -> bool:
        """The subscription has ended, and the seat is kept until the final expiry."""
        return self in {AccessState.CANCELED, AccessState.RECOVERING}

    @property
    def has_final_expiry(self) -> bool:
        """There may be a date at which seat and entitlements are removed for good."""
        return self.awaits_expiry or self in {AccessState.EXPIRED, AccessState.ON_HOLD}

    @property
    def waits_for_seat(self) -> bool:
        """A missing seat is owed: to those with access, and to those who are paying for the first time."""
        return self.has_access or self == AccessState.NONE

    @property
    def is_recoverable(self) -> bool:
        """A recovery code can open the account."""
        return self.awaits_expiry or self == AccessState.SUSPENDED

    @property
    def retains_seats(self) -> bool:
        """Seats are kept without access, for the day that it returns."""
        return self.is_recoverable or self == AccessState.ON_HOLD

    @property
    def is_told_of_cancellation(self) -> bool:
        """The end of the subscription is news to somebody in this state."""
        return self.has_access or self in {AccessState.SUSPENDED, AccessState.RECOVERING}

    def may_become(self, other: "AccessState") -> bool:
        """Whether the policy can lead from this state to the other one in a single step, however much happened in between."""
        return (self, other) in POSSIBLE_CHANGES


LABELS = {
    AccessState.NONE: "Never paid",
    AccessState.ACTIVE: "Active",
    AccessState.GRACE: "Payment late",
    AccessState.SUSPENDED: "Suspended",
    AccessState.RECOVERING: "Recovering",
    AccessState.CANCELED: "Canceled",
    AccessState.EXPIRED: "Expired",
    AccessState.ON_HOLD: "On hold",
}


TONES = {
    AccessState.ACTIVE: Tone.GOOD,
    AccessState.GRACE: Tone.WARN,
    AccessState.SUSPENDED: Tone.BAD,
    AccessState.RECOVERING: Tone.BUSY,
    AccessState.ON_HOLD: Tone.BAD,
}


# Reconciles may be missed, so nearly every state may follow every other. Two things are never undone: who has paid once has
# paid, so that only a grant or a hold of somebody who never did ends in "never paid"; and a recovery window opens only after access
# has ended.
ANY_BUT_NONE = frozenset(AccessState) - {AccessState.NONE}
NEXT_STATES = {
    AccessState.NONE: ANY_BUT_NONE - {AccessState.RECOVERING},
    AccessState.ACTIVE: frozenset(AccessState),
    AccessState.GRACE: ANY_BUT_NONE,
    AccessState.SUSPENDED: ANY_BUT_NONE,
    AccessState.RECOVERING: ANY_BUT_NONE,
    AccessState.CANCELED: ANY_BUT_NONE,
    AccessState.EXPIRED: ANY_BUT_NONE,
    AccessState.ON_HOLD: frozenset(AccessState),
}
POSSIBLE_CHANGES = frozenset((one, other) for one, others in NEXT_STATES.items() for other in others - {one})


class SubscriptionStatus(StrEnum):
    """Stripe's statuses, docs.stripe.com/api/subscriptions/object. One that is new to us is UNKNOWN: access stays as it is."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"
    UNKNOWN = "unknown"

    @classmethod
    @override
    def _missing_(cls, _value: object) -> "SubscriptionStatus":
        return cls.UNKNOWN

    @property
    def label(self) -> str:
        return STATUS_LABELS[self]

    @property
    def tone(self) -> Tone:
        if self.ended:
            return Tone.CALM
        return Tone.GOOD if self.gives_access else Tone.BAD if self == SubscriptionStatus.UNPAID else Tone.WARN

    @property
    def gives_access(self) -> bool:
        """Paid, or in a trial."""
        return self in {SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE}

    @property
    def earns(self) -> bool:
        """Its price comes in each period: paid, or late and still being collected. A trial earns nothing yet."""
        return self in {SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE}

    @property
    def may_give_access(self) -> bool:
        """Gives access, or may still do so within the grace days."""
        return self.gives_access or self == SubscriptionStatus.PAST_DUE

    @property
    def withholds_access(self) -> bool:
        """Runs, and is not paid."""
        return self.is_late or self == SubscriptionStatus.PAUSED

    @property
    def is_late(self) -> bool:
        """A renewal is not paid."""
        return self in {SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID}

    @property
    def owes(self) -> bool:
        """An invoice is open: of a renewal, or the first one."""
        return self.is_late or self == SubscriptionStatus.INCOMPLETE

    @property
    def pays(self) -> bool:
        """Has paid at least once and still runs."""
        return self.gives_access or self.withholds_access

    @property
    def was_paid(self) -> bool:
        """Has paid at least once, whether it runs or has ended."""
        return self.pays or self == SubscriptionStatus.CANCELED

    @property
    def may_charge(self) -> bool:
        """Takes money now, or may: beside one in a state that is new to us, no second one is sold."""
        return self.pays or self == SubscriptionStatus.UNKNOWN

    @property
    def ended(self) -> bool:
        """Nothing will come of it any more."""
        return self in {SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED}


STATUS_LABELS = {
    SubscriptionStatus.INCOMPLETE: "Incomplete",
    SubscriptionStatus.INCOMPLETE_EXPIRED: "Incomplete, expired",
    SubscriptionStatus.TRIALING: "Trial",
    SubscriptionStatus.ACTIVE: "Active",
    SubscriptionStatus.PAST_DUE: "Past due",
    SubscriptionStatus.UNPAID: "Unpaid",
    SubscriptionStatus.PAUSED: "Paused",
    SubscriptionStatus.CANCELED: "Canceled",
    SubscriptionStatus.UNKNOWN: "Unknown",
}


def values_where[State: StrEnum](states: type[State], test: Callable[[State], bool]) -> list[str]:
    """The stored values of the states for which `test` holds, for queries: `values_where(AccessState, lambda one: one.has_access)`."""
    return [one.value for one in states if test(one)]
