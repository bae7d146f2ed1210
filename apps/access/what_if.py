"""What somebody's access would be if one fact were another: for staff, before they change it. Nothing is changed."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from apps.access.facts import read_facts
from apps.access.forecast import Upcoming, forecast
from apps.access.policy import Decision, Facts, SubscriptionFact, decide
from apps.accounts.models import UserProfile

type FactChange = Callable[[SubscriptionFact], SubscriptionFact]


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
        until = self.after.final_expiry_at
        return {"assigned": "kept, in use", "retained": "kept without access", "released": "given up"}.get(
            self.after.seats.value, "as they are"
        ) + (f" until {until:%-d %B %Y}" if until and self.after.seats.value == "retained" else "")


def decide_what_if(profile: UserProfile, change: FactChange) -> WhatIf:
    """Decide with each subscription as `change` makes it."""
    facts = read_facts(profile)
    changed: Facts = replace(facts, subscriptions=tuple(map(change, facts.subscriptions)))
    return WhatIf(decide(facts), decide(changed), forecast(changed))
