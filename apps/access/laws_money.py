"""The law of returned money: who has it back has no access, unless staff or the terms say so."""

import datetime as dt

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.access.models import AccessOverride, HeldBackLoss
from apps.access.terms import read_terms
from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.core.laws import MOST, Checked, Law, LawSeverity, LawViolation, Scope, combine, register
from apps.core.states import AccessState, SubscriptionStatus, values_where

ALLOWANCE = dt.timedelta(minutes=10)
HAS_ACCESS = values_where(AccessState, lambda one: one.has_access)
MAY_OPEN = values_where(SubscriptionStatus, lambda one: one.may_give_access)
Kind = AccessOverride.Kind
Returned = Subscription.MoneyReturned


def register_laws() -> None:
    """Make the law of this module known."""
    register(
        Law(
            number="L5",
            title="No access on returned money",
            sentence="Nobody has access whose only subscriptions were refunded in full or lost a dispute, unless staff, the terms or incident mode allow it.",
            severity=LawSeverity.URGENT,
            check=check_returned_money,
            allowance_seconds=int(ALLOWANCE.total_seconds()),
        )
    )


def check_returned_money(scope: Scope) -> Checked:
    """L5, read from the rows and not by the policy. Few have their money back, so their terms are compared one by one."""
    people = scope.narrow(UserProfile.objects.exclude(stripe_customer_id=None))
    running = Subscription.objects.filter(customer_id=OuterRef("stripe_customer_id"), status__in=MAY_OPEN)
    paid_for = scope.narrow(UserProfile.objects.filter(membership__isnull=False, membership__ended_at=None))
    shared = Subscription.objects.filter(
        customer_id=OuterRef("membership__payer__stripe_customer_id"), status__in=MAY_OPEN
    )
    own = _judge(people.filter(Exists(running.exclude(money_returned="")), ~_open_to_members()), running, scope)
    others = paid_for.filter(Exists(shared.exclude(money_returned="")), ~Exists(running.filter(money_returned="")))
    return combine(0, own, _judge(others, shared, scope))


def _open_to_members() -> Q:
    """Those for whom somebody else's money is there."""
    shared = Subscription.objects.filter(
        customer_id=OuterRef("membership__payer__stripe_customer_id"), status__in=MAY_OPEN, money_returned=""
    )
    return Q(membership__isnull=False, membership__ended_at=None) & Q(Exists(shared))


def _judge(returned: QuerySet[UserProfile], running: QuerySet[Subscription], scope: Scope) -> Checked:
    """Those of `returned`, of whom some money went back, who have access although nothing else of `running` is paid."""
    broken = returned.filter(
        ~Exists(running.filter(money_returned="")),
        ~AccessOverride.in_force(Kind.GRANT, at=scope.moment),
        ~Exists(HeldBackLoss.objects.filter(profile=OuterRef("pk"))),
        Q(pending_since=None) | Q(pending_since__lt=scope.moment - ALLOWANCE),
        access_state__in=HAS_ACCESS,
    )
    found = [_violation(profile) for profile in broken.order_by("pk") if not _is_allowed(profile, scope)]
    return Checked(returned.count(), found[:MOST], len(found))


def _is_allowed(profile: UserProfile, scope: Scope) -> bool:
    """Whether a lost dispute of theirs is forgiven: by a waiver that covers it, under a protection, or by the terms."""
    payer = profile.membership.payer if profile.membership and profile.membership.is_open else profile
    customers = [profile.stripe_customer_id, payer.stripe_customer_id]
    lost = Subscription.objects.filter(
        customer_id__in=customers, status__in=MAY_OPEN, money_returned=Returned.DISPUTE_LOST
    )
    own = UserProfile.objects.filter(pk__in=[profile.pk, payer.pk])
    if own.filter(AccessOverride.in_force(Kind.NO_SUSPEND, Kind.WAIVE_DISPUTE, at=scope.moment)).exists():
        return lost.exists()
    book = read_terms(profile.pk, payer.pk).with_payers({profile.pk: payer.pk} if payer != profile else {})
    general = book.for_subscriber(profile.pk)
    for one in lost.prefetch_related("items"):
        terms = book.for_subscription([line.product_id for line in one.items.all()], profile.pk) or general
        if not terms.lost_dispute_closes:
            return True
    return False


def _violation(profile: UserProfile) -> LawViolation:
    words = f"Access is “{AccessState(profile.access_state).label}”, and the money for every running subscription went back."
    return LawViolation("profile", str(profile.pk), profile.pk, words)
