"""Bulk version of `facts.read_facts`, for pages and sweeps: the facts of many subscribers, and the decision for each.

The number of queries does not depend on how many subscribers there are; no call.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from apps.access import facts, freezes, sharing
from apps.access.models import AccessOverride
from apps.access.policy import Decision, Facts, Span, decide
from apps.access.terms import TermsBook, read_terms
from apps.accounts.models import Signup, UserProfile
from apps.billing import prices
from apps.billing.subscriptions import SubscriptionState
from apps.catalog.entitlements import Entitlements
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core import clock
from apps.core.states import AccessState


@dataclass(frozen=True)
class SubscriberFacts:
    """One subscriber: subscriptions, with what another one shares, and active overrides. `payer`: who that is."""

    subscriptions: tuple[SubscriptionState, ...] = ()
    overrides: tuple[AccessOverride, ...] = ()
    payer: int | None = None


def active_overrides() -> QuerySet[AccessOverride]:
    """Overrides that are neither ended nor over."""
    active = AccessOverride.objects.filter(lifted_at=None)
    return active.filter(Q(ends_at=None) | Q(ends_at__gt=clock.now()))


def read_many(
    people: QuerySet[UserProfile],
    catalog: Mapping[int, Entitlements] | None = None,
    *,
    as_if_ended: Collection[int] = (),
) -> dict[int, SubscriberFacts]:
    """By profile id. Five queries, and where somebody pays for another one up to seven more. `as_if_ended`: see read_sharing."""
    rows = list(people.values_list("pk", "stripe_customer_id", "membership_id"))
    members = [pk for pk, _, membership in rows if membership]
    known = (catalog or entitlements_by_product()) if members else {}
    shared = sharing.read_sharing(members, known, as_if_ended=as_if_ended)
    states = prices.subscriptions_of_customers(people.values("stripe_customer_id"))
    overrides: dict[int, list[AccessOverride]] = defaultdict(list)
    for row in active_overrides().filter(profile__in=people.values("pk")).prefetch_related("products"):
        overrides[row.profile_id].append(row)
    about_money = _about_money(shared)
    return {
        pk: SubscriberFacts(
            (*states.get(str(customer), ()), *shared.states.get(pk, ())),
            (*overrides.get(pk, ()), *about_money.get(shared.payers.get(pk, 0), ())),
            shared.payers.get(pk),
        )
        for pk, customer, _ in rows
    }


def _about_money(shared: sharing.Sharing) -> dict[int, list[AccessOverride]]:
    """What staff decided about the money of those who pay for others, by the payer."""
    found = defaultdict[int, list[AccessOverride]](list)
    if shared.payers:
        rows = active_overrides().filter(profile__in=shared.payers.values(), kind__in=sharing.ABOUT_MONEY)
        for row in rows.prefetch_related("products"):
            found[row.profile_id].append(row)
    return found


def payers_of(read: Mapping[int, SubscriberFacts]) -> dict[int, int]:
    """Who pays for each of those for whom somebody does."""
    return {pk: one.payer for pk, one in read.items() if one.payer}


def decide_many(people: QuerySet[UserProfile]) -> dict[int, Decision]:
    """The policy's decision for each right now, by profile id. Thirteen queries."""
    return decide_by_each(people, [read_terms()])[0]


def decide_by_each(people: QuerySet[UserProfile], books: Sequence[TermsBook]) -> list[dict[int, Decision]]:
    """The same by each of these terms, from one reading of the facts. Twelve queries."""
    return [{pk: decide(known) for pk, known in each.items()} for each in facts_by_each(people, books)]


def facts_by_each(people: QuerySet[UserProfile], books: Sequence[TermsBook]) -> list[dict[int, Facts]]:
    """The facts of each right now under each of these terms, by profile id. Twelve queries."""
    catalog, now = entitlements_by_product(), clock.now()
    windows, paying = dict(people.values_list("pk", "recovering_until")), _paying(people)
    decided = dict(people.values_list("pk", "access_state"))
    read = read_many(people, catalog)
    payers = payers_of(read)
    frozen = freezes.read_freezes(read.keys())
    return [
        {
            pk: Facts(
                now=now,
                terms=book.for_subscriber(pk),
                subscriptions=facts.subscription_facts(one.subscriptions, catalog, book, pk),
                overrides=tuple(facts.override_fact(row, catalog) for row in one.overrides),
                recovering_until=windows.get(pk),
                paying=paying.get(pk),
                state=AccessState(decided.get(pk, AccessState.NONE)),
                freeze=frozen.get(pk),
            )
            for pk, one in read.items()
        }
        for book in (each.with_payers(payers) for each in books)
    ]


def _paying(people: QuerySet[UserProfile]) -> dict[int, Span]:
    """When an open Checkout can end in a payment, for those who have one."""
    rows = Signup.objects.filter(profile__in=people.values("pk"), state=Signup.State.CHECKOUT).order_by("created_at")
    spans = ((row.profile_id, facts.paying_span(row)) for row in rows)
    return {pk: span for pk, span in spans if pk is not None and span is not None}
