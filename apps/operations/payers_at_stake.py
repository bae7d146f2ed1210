"""Who loses access with a payer: the payer, and those for whom they pay. The safeguard counts people, and only payers are fetched."""

from collections.abc import Collection, Mapping

from django.db.models import Q, QuerySet

from apps.access import sharing
from apps.accounts.models import Membership, UserProfile
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core.states import SubscriptionStatus, values_where
from apps.operations.safeguard import HAS_ACCESS

GIVES_ACCESS = values_where(SubscriptionStatus, lambda one: one.gives_access)


def find_at_stake(customers: Collection[str], *, fewer: Mapping[str, int] | None = None) -> list[int]:
    """Those with access who would lose it, if that is true of these customers.

    `fewer`: by customer, how many people fewer they would pay for: with them, only members who no longer fit lose access. A member
    who has a running subscription of their own loses nothing.
    """
    paid = Membership.objects.filter(payer__stripe_customer_id__in=customers, accepted_at__isnull=False, ended_at=None)
    surplus = Q(pk__in=_find_surplus(fewer)) if fewer else Q()
    payers = UserProfile.objects.filter(stripe_customer_id__in=customers)
    members = (Q(pk__in=paid.values("member")) | surplus) & ~Q(subscription_status__in=GIVES_ACCESS)
    return list(
        UserProfile.objects.filter(Q(pk__in=payers.values("pk")) | members, access_state__in=HAS_ACCESS)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def _find_surplus(fewer: Mapping[str, int]) -> list[int]:
    payers = UserProfile.objects.filter(stripe_customer_id__in=fewer)
    return sharing.read_surplus(payers, entitlements_by_product(), fewer=fewer)


def find_payers(people: Collection[int]) -> QuerySet[UserProfile]:
    """Those of these who are Stripe's customers, and who pays for the others."""
    paid = Membership.objects.filter(member__in=people, accepted_at__isnull=False, ended_at=None)
    return UserProfile.objects.filter(
        Q(pk__in=people) | Q(pk__in=paid.values("payer")), stripe_customer_id__isnull=False
    )
