"""What a change of terms would do: the policy decides with the terms before and after, for everybody whom terms can concern."""

from dataclasses import dataclass, fields
from itertools import batched
from typing import Any

from apps.access.models import TermsChange
from apps.access.policy_facts import Terms
from apps.access.terms import TermsBook, read_terms
from apps.accounts.models import UserProfile
from apps.billing.subscriptions import customers_under_terms
from apps.core import clock
from apps.core.states import AccessState
from apps.operations import bulk_facts, safeguard

BATCH = 1000


@dataclass(frozen=True)
class TermsImpact:
    """Profile ids: who gets access, who loses it, whose kept seats are given up, and for whom a date moves."""

    gain: tuple[int, ...] = ()
    lose: tuple[int, ...] = ()
    give_up: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()
    subscribers: int = 0

    @property
    def concerned(self) -> tuple[int, ...]:
        """Everybody for whom something changes."""
        return (*self.gain, *self.lose, *self.give_up, *self.moved)

    @property
    def losses(self) -> int:
        """How many lose access or what was kept for them."""
        return len(self.lose) + len(self.give_up)

    @property
    def limit(self) -> int:
        """How many may lose something without staff typing that they mean it: as many as the safeguard allows."""
        return safeguard.loss_limit(self.subscribers)

    @property
    def many(self) -> bool:
        """Whether more lose something than the limit."""
        return safeguard.exceeds_limit(self.losses, self.subscribers)


def measure_terms_impact(change: TermsChange) -> TermsImpact:
    """What the change would do right now; nothing is saved. Eleven queries for each thousand people whom the change can concern.

    These are people whose subscription is late, paused, disputed or over: for all others no term decides anything. Of them, a change
    for everybody concerns only those about whom a term decides that it changes, and who is late only until the longest grace is over.
    """
    before = read_terms()
    after = before.with_change(change)
    found: dict[str, list[int]] = {"gain": [], "lose": [], "give_up": [], "moved": []}
    for batch in batched(_concerned(change, before, after), BATCH, strict=False):
        people = UserProfile.objects.filter(pk__in=batch)
        old, new = bulk_facts.decide_by_each(people, (before, after))
        for pk in batch:
            one, other = old[pk], new[pk]
            if one.state.has_access != other.state.has_access:
                found["gain" if other.state.has_access else "lose"].append(pk)
            elif other.state == AccessState.EXPIRED != one.state:
                found["give_up"].append(pk)
            elif (one.state, one.until, one.final_expiry_at) != (other.state, other.until, other.final_expiry_at):
                found["moved"].append(pk)
    return TermsImpact(**{name: tuple(ids) for name, ids in found.items()}, subscribers=safeguard.count_with_access())


def _concerned(change: TermsChange, before: TermsBook, after: TermsBook) -> list[int]:
    narrow: dict[str, Any] = {}
    if change.product_id is None and change.profile_id is None:
        terms = [
            one.name for one in fields(Terms) if getattr(before.general, one.name) != getattr(after.general, one.name)
        ]
        if not terms:
            return []
        narrow = {"terms": terms, "since": clock.now() - max(before.longest_grace, after.longest_grace)}
    people = UserProfile.objects.filter(stripe_customer_id__in=customers_under_terms(change.product_id, **narrow))
    if change.profile_id:
        people = people.filter(pk=change.profile_id)
    return list(people.order_by("pk").values_list("pk", flat=True))
