"""What somebody's access would be if one fact were another: for who is about to change it. Nothing is changed."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from apps.access.facts import read_facts
from apps.access.forecast import forecast, imagine
from apps.access.policy import Decision, Facts, SeatDecision, SubscriptionFact, decide
from apps.access.upcoming import Upcoming
from apps.accounts.models import UserProfile
from apps.catalog.entitlements import NOTHING, Entitlements
from apps.core.dates import day
from apps.core.states import SubscriptionStatus

type FactChange = Callable[[SubscriptionFact], SubscriptionFact]
PAID: dict[str, Any] = {"status": SubscriptionStatus.ACTIVE, "cancel_at": None, "money_returned": "", "paused": False}


@dataclass(frozen=True)
class WhatIf:
    """The decision as things are and as they would be, and what would happen next by itself."""

    before: Decision
    after: Decision
    upcoming: tuple[Upcoming, ...]

    @property
    def is_loss(self) -> bool:
        """Apps that are open would close at once."""
        return self.before.state.has_access and not self.after.state.has_access

    @property
    def seats(self) -> str:
        """What would become of the seats."""
        words = {"assigned": "kept, in use", "retained": "kept without access", "released": "given up"}
        said = words.get(self.after.seats.value, "as they are")
        if self.after.seats == SeatDecision.RETAINED:
            return said + _until(self.after.final_expiry_at)
        kept = self.after.kept
        return (
            f"{said}; on {', '.join(sorted(kept))} kept without access{_until(self.after.kept_until)}" if kept else said
        )


def _until(moment: dt.datetime | None) -> str:
    return f" until {day(moment)}" if moment else ""


def decide_what_if(profile: UserProfile, change: FactChange) -> WhatIf:
    """Decide with each subscription as `change` makes it."""
    facts = read_facts(profile)
    changed: Facts = replace(facts, subscriptions=tuple(map(change, facts.subscriptions)))
    return WhatIf(decide(facts), decide(changed), forecast(changed))


@dataclass(frozen=True)
class Loss:
    """What the end of one subscription takes away. `apps`: those that close, by slug; `is_any`: it takes something away at all."""

    apps: frozenset[str]
    is_any: bool


def foresee_loss(facts: Facts, subscription_id: str, *, ends_at: dt.datetime) -> Loss:
    """What is lost when this subscription ends then: not what a grant, another subscription or another payer gives as well.

    An end that has passed is now. Whether it takes something away is asked as if it were paid: one that gives nothing because its
    payment is late is not given in another way by that.
    """

    def decide_at_end(change: FactChange) -> Entitlements:
        changed = tuple(change(one) if one.id == subscription_id else one for one in facts.subscriptions)
        return decide(imagine(replace(facts, subscriptions=changed), max(ends_at, facts.now))).entitlements

    as_it_is = decide_at_end(lambda one: one)
    paid = decide_at_end(lambda one: replace(one, **PAID))
    without = decide_at_end(lambda one: replace(one, status=SubscriptionStatus.CANCELED, ended_at=ends_at))
    return Loss(as_it_is.apps - without.apps, paid != without or without == NOTHING)
