"""All that the policy may know about a subscriber: typed facts. No Django, no I/O."""

import datetime as dt
from dataclasses import dataclass

from apps.catalog.entitlements import NOTHING, Entitlements, total
from apps.core.states import AccessState, SubscriptionStatus


@dataclass(frozen=True)
class Terms:
    """The operator's terms: grace after a failed payment, how long seats are kept after a cancellation, the recovery window.

    `paused_closes`: no access while payment collection is paused. `lost_dispute_closes`: no access after a lost dispute.
    `payment_attempts`: how often Stripe tries to collect a payment, as the account is set up; None when the operator doesn't say.
    """

    grace: dt.timedelta
    expiry: dt.timedelta
    recovery: dt.timedelta = dt.timedelta(hours=72)
    paused_closes: bool = False
    lost_dispute_closes: bool = True
    payment_attempts: int | None = None


@dataclass(frozen=True)
class LineFact:
    """What one line of a subscription gives, all of its quantity; `product`: of our catalog."""

    product: int
    entitlements: Entitlements


@dataclass(frozen=True)
class SubscriptionFact:
    """One Stripe subscription as last fetched. `unmapped`: it has lines of which we do not know what they give.

    `payment_pending`: it is past due, and nothing is late: a bank debit is on its way. `dispute_lost_at`: when the newest of
    its lost disputes was opened. `paused_until`: None while `paused` has no end. Only for what happens next, never for the
    decision: `trial_end`, `after_trial` (what Stripe does then for want of a card), `current_period_end`, and of the open invoice
    `next_attempt_at`, `attempts_made`, `payment_due_at`.
    `terms`: its own, where what it pays for has some; else those of `Facts`. `amount`: of a period, in minor units: which of two
    is the dearer. `shared`: another subscriber pays for it.
    """

    id: str
    status: SubscriptionStatus
    lines: tuple[LineFact, ...] = ()
    amount: int = 0
    unmapped: bool = False
    cancel_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    past_due_since: dt.datetime | None = None
    money_returned: str = ""
    payment_pending: bool = False
    dispute_lost_at: dt.datetime | None = None
    paused: bool = False
    paused_until: dt.datetime | None = None
    trial_end: dt.datetime | None = None
    after_trial: str = ""
    current_period_end: dt.datetime | None = None
    next_attempt_at: dt.datetime | None = None
    attempts_made: int = 0
    payment_due_at: dt.datetime | None = None
    terms: Terms | None = None
    shared: bool = False

    @property
    def entitlements(self) -> Entitlements:
        """What it gives where it is the only one."""
        return total(one.entitlements for one in self.lines)

    @property
    def is_live(self) -> bool:
        """It runs, or may: Stripe goes on with it by itself."""
        return self.status.may_charge


@dataclass(frozen=True)
class OverrideFact:
    """One staff decision that has not been ended; in force from `starts_at` until `ends_at` (None: until ended)."""

    kind: str
    starts_at: dt.datetime
    ends_at: dt.datetime | None
    entitlements: Entitlements = NOTHING
    reason: str = ""


@dataclass(frozen=True)
class Span:
    begins: dt.datetime
    ends: dt.datetime


@dataclass(frozen=True)
class Freeze:
    """Incident mode covers this subscriber: billing takes nothing until then (None: until it was decided about again)."""

    until: dt.datetime | None = None

    def holds_at(self, moment: dt.datetime) -> bool:
        """Whether it still holds then, as far as is known now."""
        return self.until is None or moment < self.until


@dataclass(frozen=True)
class Facts:
    """All that `decide` may know."""

    now: dt.datetime
    terms: Terms
    subscriptions: tuple[SubscriptionFact, ...] = ()
    overrides: tuple[OverrideFact, ...] = ()
    recovering_until: dt.datetime | None = None
    paying: Span | None = None  # while a returning subscriber's Checkout is open, nothing that was kept is released
    state: AccessState = AccessState.NONE  # as last decided; it stays while a fact that decides is not known
    freeze: Freeze | None = None

    @property
    def recovery_window(self) -> dt.timedelta:
        """For how long a verified code lets this person in to pay: the longest of what counts for their subscriptions."""
        return max(((one.terms or self.terms).recovery for one in self.subscriptions), default=self.terms.recovery)
