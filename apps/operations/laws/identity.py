"""Laws of identity: one person, one Stripe customer, one Keycloak account."""

from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.core import laws
from apps.core.laws import Checked, Law, LawSeverity, Scope
from apps.core.states import SubscriptionStatus, values_where
from apps.operations.laws.confirm import HAS_ACCESS, judge_people

PAYS = values_where(SubscriptionStatus, lambda one: one.pays)


def register() -> None:
    """Add them."""
    laws.register(
        Law(
            "L7",
            "One person, one customer, one account",
            "Each subscriber has one Stripe customer and one Keycloak account, which nobody else has, and the login leads to that account."
            " Everybody with access has both, but for those to whom staff granted it.",
            LawSeverity.URGENT,
            check_identity,
        )
    )


def check_identity(scope: Scope) -> Checked:
    """L7."""
    people = scope.narrow(UserProfile.objects.all())
    active = people.filter(access_state__in=HAS_ACCESS, pending_since=None)
    links = SocialAccount.objects.filter(user=OuterRef("user"))
    linked = people.filter(keycloak_id__isnull=False, pending_since=None)
    own = links.filter(uid=OuterRef("keycloak_id"))
    wrong = links.exclude(uid=OuterRef("keycloak_id"))
    return laws.combine(
        people,
        judge_people(_repeated(people, "keycloak_id"), lambda one: f"Subscriber {one.pk} shares a Keycloak account."),
        judge_people(
            _repeated(people, "stripe_customer_id"), lambda one: f"Subscriber {one.pk} shares a Stripe customer."
        ),
        judge_people(active.filter(keycloak_id=None), lambda one: f"Subscriber {one.pk} has access and no account."),
        judge_people(
            people.filter(subscription_status__in=PAYS, stripe_customer_id=None),
            lambda one: f"Subscriber {one.pk} pays and has no Stripe customer.",
        ),
        judge_people(
            linked.filter(Q(Exists(wrong)) | ~Q(Exists(own))),
            lambda one: f"The login of subscriber {one.pk} does not lead to the Keycloak account.",
        ),
        judge_people(
            _of_another_customer(people), lambda one: f"The subscription of subscriber {one.pk} is another customer's."
        ),
    )


def _repeated(people: QuerySet[UserProfile], name: str) -> QuerySet[UserProfile]:
    twice: Any = UserProfile.objects.exclude(**{name: None}).values(name).annotate(count=Count("pk"))
    return people.filter(**{f"{name}__in": twice.filter(count__gt=1).values(name)})


def _of_another_customer(people: QuerySet[UserProfile]) -> QuerySet[UserProfile]:
    same = Subscription.objects.filter(
        stripe_id=OuterRef("stripe_subscription_id"), customer_id=OuterRef("stripe_customer_id")
    )
    theirs = Subscription.objects.filter(stripe_id=OuterRef("stripe_subscription_id"))
    return people.filter(stripe_customer_id__isnull=False).filter(Exists(theirs), ~Exists(same))
