"""The impact of a catalog change: who holds what changes, who gains or loses what, and the seats it takes.

It decides nothing itself: each holder's facts go through `policy.decide` twice, with what the products give before and
after the change, and the decisions are compared. The number of queries does not depend on the number of holders.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import batched
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from apps.access import facts, memberships, reconcile, sharing
from apps.access.models import AccessOverride
from apps.access.policy import Facts, OverrideFact, decide
from apps.access.terms import TermsBook, read_terms
from apps.accounts.models import UserProfile
from apps.billing import prices
from apps.billing.subscriptions import SubscriptionState
from apps.catalog.entitlements import NOTHING, Entitlements
from apps.catalog.models import Product
from apps.core import clock
from apps.instances import capacity
from apps.instances.models import Seat
from apps.operations import bulk_facts, safeguard

BATCH = 1000
# What names a subscription, or says only what happens next: no decision depends on it.
UNREAD: dict[str, Any] = {
    "id": "", "current_period_end": None, "trial_end": None, "after_trial": "", "open_invoice_id": "", "open_invoice_url": "",
    "next_attempt_at": None, "attempts_made": 0, "payment_due_at": None, "paid_for_period": None, "left_of_period": None,
}  # fmt: skip
EntitlementsByProduct = Mapping[int, Entitlements]
Pair = tuple[Entitlements, Entitlements]


@dataclass(frozen=True)
class CatalogChange:
    """What each product gives before and after; `mapped`: prices that are mapped to another product from now on."""

    before: EntitlementsByProduct
    after: EntitlementsByProduct
    mapped: Mapping[str, int] = field(default_factory=dict)

    def products(self) -> set[int]:
        """The products that give something else afterwards."""
        every = {*self.before, *self.after}
        return {one for one in every if self.before.get(one, NOTHING) != self.after.get(one, NOTHING)}

    def is_for_others(self) -> bool:
        """Whether a product is for another number of people afterwards."""
        every = {*self.before, *self.after}
        return any(self.before.get(one, NOTHING).people != self.after.get(one, NOTHING).people for one in every)


@dataclass(frozen=True)
class ImpactLine:
    """How many get and how many lose an app, or have more and less of a number."""

    name: str
    gain: int
    lose: int


@dataclass(frozen=True)
class SeatDemand:
    """Of one app: seats that new people need, seats free for them, and seats given back."""

    app: str
    needed: int
    free: int
    given_back: int

    @property
    def short(self) -> int:
        """How many will have to wait."""
        return max(0, self.needed - self.free)


@dataclass(frozen=True)
class CatalogImpact:
    """What a change does. `holders` are all who hold something that changes; some have no access and neither gain nor lose.

    `leaving`: those for whom another one pays and who would no longer fit.
    """

    holders: tuple[int, ...] = ()
    gain: int = 0
    lose: int = 0
    apps: tuple[ImpactLine, ...] = ()
    numbers: tuple[ImpactLine, ...] = ()
    rooms: tuple[SeatDemand, ...] = ()
    subscribers: int = 0
    leaving: tuple[int, ...] = ()

    @property
    def limit(self) -> int:
        """How many may lose something without staff typing that they mean it: as many as the safeguard allows."""
        return safeguard.loss_limit(self.subscribers)

    @property
    def many(self) -> bool:
        """Whether more lose something than the limit."""
        return safeguard.exceeds_limit(self.lose, self.subscribers)


def measure_impact(change: CatalogChange) -> CatalogImpact:
    """What the change does to those who hold it now. Ten queries at most, twice as many where products are for other numbers of
    people; no call."""
    people = _holders(change)
    if people is None:
        return CatalogImpact()
    holders = tuple(people.order_by("pk").values_list("pk", flat=True))
    if not holders:
        return CatalogImpact()
    leaving = _read_leaving(people, change)
    found = count_impact(
        _pairs(people, change, leaving),
        holders=holders,
        subscribers=safeguard.count_with_access(),
        seats=_seats(people),
        free=_free(),
    )
    return replace(found, leaving=tuple(leaving))


def _read_leaving(people: QuerySet[UserProfile], change: CatalogChange) -> list[int]:
    """Members who would no longer fit, and did."""
    if not change.is_for_others():
        return []
    before = sharing.read_surplus(people, change.before)
    return [one for one in sharing.read_surplus(people, change.after) if one not in before]


def count_impact(
    pairs: Mapping[int, Pair],
    *,
    holders: tuple[int, ...],
    subscribers: int,
    seats: frozenset[tuple[int, str]],
    free: Mapping[str, int],
) -> CatalogImpact:
    """Count what differs between before and after, by profile id. Pure. `seats`: who has a live seat of which app."""
    apps, numbers, rooms = (Counter[tuple[str, str]]() for _ in range(3))
    gain = lose = 0
    for pk, (before, after) in pairs.items():
        mine = _counts(before, after)
        apps.update(mine["apps"])
        numbers.update(mine["numbers"])
        rooms.update(("needed", app) for app in after.seats - before.seats if (pk, app) not in seats)
        rooms.update(("given_back", app) for app in before.seats - after.seats if (pk, app) in seats)
        ways = {way for way, _ in [*mine["apps"], *mine["numbers"]]}
        gain += "gain" in ways
        lose += "lose" in ways
    return CatalogImpact(
        holders=holders,
        gain=gain,
        lose=lose,
        apps=_lines(apps),
        numbers=_lines(numbers),
        rooms=tuple(
            SeatDemand(app, rooms["needed", app], free.get(app, 0), rooms["given_back", app])
            for app in sorted({app for _, app in rooms})
        ),
        subscribers=subscribers,
    )


def _counts(before: Entitlements, after: Entitlements) -> dict[str, list[tuple[str, str]]]:
    """One person's gains and losses, as (way, name)."""
    names = {*before.grants, *after.grants}
    steps = {name: after.grants.get(name, 0) - before.grants.get(name, 0) for name in names}
    return {
        "apps": [
            *(("gain", app) for app in after.apps - before.apps),
            *(("lose", app) for app in before.apps - after.apps),
        ],
        "numbers": [("gain" if step > 0 else "lose", name) for name, step in steps.items() if step],
    }


def _lines(counts: Counter[tuple[str, str]]) -> tuple[ImpactLine, ...]:
    return tuple(
        ImpactLine(name, counts["gain", name], counts["lose", name]) for name in sorted({name for _, name in counts})
    )


# --- reading ---------------------------------------------------------------------------------------------------------


def _holders(change: CatalogChange) -> QuerySet[UserProfile] | None:
    """Who pays for, shares, or was granted, something that changes; None when nothing does."""
    products = change.products()
    if not products and not change.mapped:
        return None
    paying = prices.paying_profiles(products, set(change.mapped))
    granted = bulk_facts.active_overrides().filter(products__in=products).values("profile_id")
    shared = Q(membership__ended_at=None, membership__payer__in=paying)
    return UserProfile.objects.filter(Q(pk__in=paying) | Q(pk__in=granted) | shared)


def _pairs(people: QuerySet[UserProfile], change: CatalogChange, leaving: Collection[int]) -> dict[int, Pair]:
    """What the policy gives each person before and after; people who pay for the same in the same way are decided once."""
    read, now = bulk_facts.read_many(people, change.before), clock.now()
    later = bulk_facts.read_many(people, change.after, as_if_ended=leaving) if change.is_for_others() else read
    book = read_terms().with_payers(bulk_facts.payers_of(read))
    decided: dict[Any, Pair] = {}
    found: dict[int, Pair] = {}
    for pk, one in read.items():
        mine, mine_too = [_nameless(state) for state in one.subscriptions], one.overrides
        mine_later = [_moved(_nameless(state), change.mapped) for state in later[pk].subscriptions]
        alike = (tuple(mine), tuple(mine_later), pk if mine_too or pk in book.people else None)
        bare = Facts(now=now, terms=book.for_subscriber(pk))
        if alike not in decided:
            before = _with(bare, mine, mine_too, change.before, book, pk)
            after = _with(bare, mine_later, mine_too, change.after, book, pk)
            decided[alike] = (decide(before).entitlements, decide(after).entitlements)
        found[pk] = decided[alike]
    return found


def _nameless(state: SubscriptionState) -> SubscriptionState:
    """A subscription without what names it or only pages read; equal for people who pay for the same in the same way."""
    return replace(state, **UNREAD)


def _moved(state: SubscriptionState, mapped: Mapping[str, int]) -> SubscriptionState:
    """The subscription with its lines mapped to their new products."""
    if not mapped:
        return state
    lines = (replace(one, product_id=mapped.get(one.price_id, one.product_id)) for one in state.lines)
    return replace(state, lines=tuple(lines))


def _with(
    bare: Facts,
    states: list[SubscriptionState],
    rows: tuple[AccessOverride, ...],
    given: EntitlementsByProduct,
    book: TermsBook,
    pk: int,
) -> Facts:
    catalog = dict(given)
    overrides: tuple[OverrideFact, ...] = tuple(facts.override_fact(row, catalog) for row in rows)
    return replace(bare, subscriptions=facts.subscription_facts(states, catalog, book, pk), overrides=overrides)


def _seats(people: QuerySet[UserProfile]) -> frozenset[tuple[int, str]]:
    live = Seat.objects.filter(profile__in=people.values("pk")).exclude(state=Seat.State.RELEASED)
    return frozenset(live.values_list("profile_id", "product__slug"))


def _free() -> dict[str, int]:
    """Free seats by app, without those owed to subscribers who wait already."""
    slugs = dict(Product.objects.filter(needs_instance=True).values_list("pk", "slug"))
    return {slugs[pk]: free for pk, free in capacity.free_seats(list(slugs)).items()}


# --- asking ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def reconcile_holders(profile_ids: tuple[int, ...], *, reason: str) -> None:
    """Queue a reconcile of these subscribers, and of who shares their subscriptions, in batches, in the caller's transaction."""
    for batch in batched(profile_ids, BATCH, strict=False):
        reconcile.enqueue_many(list(batch), reason=reason)
        memberships.sync_many_later(batch, reason=reason)
