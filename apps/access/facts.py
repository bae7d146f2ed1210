"""The facts about one subscriber, read from our own rows: the only code that builds `policy.Facts` from the database."""

import datetime as dt
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import Q, Value
from django.db.models.functions import Coalesce

from apps.access import freezes, sharing
from apps.access.models import AccessOverride
from apps.access.policy import Facts, LineFact, OverrideFact, Span, SubscriptionFact, Terms
from apps.access.terms import TermsBook, read_terms
from apps.accounts.models import Signup, UserProfile
from apps.billing import subscriptions
from apps.catalog.entitlements import Entitlements, total
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core import clock
from apps.core.states import AccessState, SubscriptionStatus
from apps.instances.capacity import RESERVATION_MARGIN

LONGEST_DEBIT = dt.timedelta(days=30)  # no bank takes longer to answer


def read_facts(
    profile: UserProfile,
    catalog: dict[int, Entitlements] | None = None,
    states: Iterable[subscriptions.SubscriptionState] | None = None,
) -> Facts:
    """Everything `decide` may know about `profile`, as of now. Nine queries, two for `catalog` and two for `states`; no call.

    `states`: their own subscriptions. Three queries more for somebody for whom another one pays, or did.
    """
    catalog = entitlements_by_product() if catalog is None else catalog
    shared = sharing.read_sharing([profile.pk] if profile.membership_id else [], catalog)
    book = read_terms(profile.pk, *shared.payers.values()).with_payers(shared.payers)
    states = subscriptions.read_subscriptions(profile.stripe_customer_id) if states is None else states
    states = (*states, *shared.states.get(profile.pk, ()))
    of_payer = Q(profile__in=shared.payers.values(), kind__in=sharing.ABOUT_MONEY) if shared.payers else Q()
    overrides = AccessOverride.objects.filter(Q(profile=profile) | of_payer, lifted_at=None).prefetch_related(
        "products"
    )
    freeze = freezes.read_freeze(profile)
    return Facts(
        now=clock.now(),
        terms=book.for_subscriber(profile.pk),
        subscriptions=subscription_facts(states, catalog, book, profile.pk),
        overrides=tuple(override_fact(row, catalog) for row in overrides),
        recovering_until=profile.recovering_until,
        paying=_paying(profile),
        state=freezes.applied_state(profile) if freeze else AccessState(profile.access_state),
        freeze=freeze,
    )


def _paying(profile: UserProfile) -> Span | None:
    """When the subscriber's open Checkout, if any, can end in a payment."""
    signup = Signup.objects.filter(profile=profile, state=Signup.State.CHECKOUT).order_by("-created_at").first()
    return paying_span(signup) if signup else None


def paying_span(signup: Signup) -> Span | None:
    """When the Checkout of `signup` can end in a payment; None while it has no end yet.

    A signup that is still at the checkout after its session has ended waits for the bank to answer.
    """
    if signup.checkout_expires_at is None:
        return None
    ends = signup.checkout_expires_at + RESERVATION_MARGIN
    return Span(signup.created_at, ends if clock.now() < ends else signup.checkout_expires_at + LONGEST_DEBIT)


def subscription_facts(
    states: Iterable[subscriptions.SubscriptionState],
    catalog: dict[int, Entitlements],
    book: TermsBook,
    profile_id: int | None = None,
) -> tuple[SubscriptionFact, ...]:
    """One person's subscriptions, with what their lines give by `catalog` (product id to entitlements) and their terms by `book`."""
    return tuple(
        _subscription_fact(state, catalog, book.for_subscription([line.product_id for line in state.lines], profile_id))
        for state in sorted(states, key=lambda one: one.id)
    )


def _subscription_fact(
    state: subscriptions.SubscriptionState, catalog: dict[int, Entitlements], terms: Terms | None
) -> SubscriptionFact:
    return SubscriptionFact(
        id=state.id,
        status=SubscriptionStatus(state.status),
        lines=tuple(
            LineFact(line.product_id, catalog[line.product_id].times(line.quantity))
            for line in state.lines
            if line.product_id in catalog
        ),
        amount=sum((line.unit_amount or 0) * line.quantity for line in state.lines),
        unmapped=any(line.product_id is None and line.quantity for line in state.lines),
        cancel_at=state.cancel_at,
        ended_at=state.ended_at,
        past_due_since=state.past_due_since,
        money_returned=state.money_returned,
        payment_pending=state.is_payment_pending,
        dispute_lost_at=state.dispute_lost_at,
        paused=bool(state.pause),
        paused_until=state.pause_ends_at,
        trial_end=state.trial_end,
        after_trial=state.after_trial,
        current_period_end=state.current_period_end,
        next_attempt_at=state.next_attempt_at,
        attempts_made=state.attempts_made,
        payment_due_at=state.payment_due_at,
        terms=terms,
        shared=state.is_shared,
    )


def facts_of_newcomer(
    states: Iterable[subscriptions.SubscriptionState],
    catalog: dict[int, Entitlements],
    book: TermsBook,
    *,
    granted: Collection[int] = (),
    until: dt.datetime | None = None,
) -> Facts:
    """The facts about somebody who is no subscriber yet, with these subscriptions and products granted. No query."""
    now = clock.now()
    grant = OverrideFact("grant", now, until, total(catalog[one] for one in granted), "")
    return Facts(
        now=now,
        terms=book.for_subscriber(None),
        subscriptions=subscription_facts(states, catalog, book),
        overrides=(grant,) if until else (),
        recovering_until=None,
        paying=None,
        state=AccessState.NONE,
    )


def override_fact(row: AccessOverride, catalog: dict[int, Entitlements]) -> OverrideFact:
    """One decision of staff, with what its products give by `catalog`."""
    return OverrideFact(
        kind=row.kind,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        entitlements=total(catalog[product.pk] for product in row.products.all()),
        reason=row.reason,
    )


def first_of(column: Any, moment: dt.datetime) -> Coalesce:
    """SQL: the column if it is set, else `moment`."""
    return Coalesce(column, Value(moment))
