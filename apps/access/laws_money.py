"""The law of returned money: who has it back has no access, unless staff or the terms say so."""

import datetime as dt

from django.db.models import Exists, OuterRef, Q

from apps.access.models import AccessOverride, HeldBackLoss
from apps.access.terms import read_terms
from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.core.laws import MOST, Checked, Law, LawSeverity, LawViolation, Scope, register
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
    returned = people.filter(Exists(running.exclude(money_returned="")))
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
    lost = Subscription.objects.filter(
        customer_id=profile.stripe_customer_id, status__in=MAY_OPEN, money_returned=Returned.DISPUTE_LOST
    )
    own = UserProfile.objects.filter(pk=profile.pk)
    if own.filter(AccessOverride.in_force(Kind.NO_SUSPEND, Kind.WAIVE_DISPUTE, at=scope.moment)).exists():
        return lost.exists()
    book = read_terms(profile.pk)
    general = book.for_subscriber(profile.pk)
    for one in lost.prefetch_related("items"):
        terms = book.for_subscription([line.product_id for line in one.items.all()], profile.pk) or general
        if not terms.lost_dispute_closes:
            return True
    return False


def _violation(profile: UserProfile) -> LawViolation:
    words = f"Access is “{AccessState(profile.access_state).label}”, and the money for every running subscription went back."
    return LawViolation("profile", str(profile.pk), profile.pk, words)
