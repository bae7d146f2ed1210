"""Who loses access with a payer: the payer, and those for whom they pay. The safeguard counts people, and only payers are fetched."""

from collections.abc import Collection

from django.db.models import Q, QuerySet

from apps.accounts.models import Membership, UserProfile
from apps.core.states import SubscriptionStatus, values_where
from apps.operations.safeguard import HAS_ACCESS

GIVES_ACCESS = values_where(SubscriptionStatus, lambda one: one.gives_access)


def find_at_stake(customers: Collection[str], *, fewer: Collection[str] = ()) -> list[int]:
    """Those with access who would lose it, if that is true of these customers. `fewer`: whose members alone would.

    A member who has a running subscription of their own loses nothing.
    """
    paid = Membership.objects.filter(
        payer__stripe_customer_id__in={*customers, *fewer}, accepted_at__isnull=False, ended_at=None
    ).exclude(member__subscription_status__in=GIVES_ACCESS)
    payers = UserProfile.objects.filter(stripe_customer_id__in=customers)
    both = Q(pk__in=payers.values("pk")) | Q(pk__in=paid.values("member"))
    return list(
        UserProfile.objects.filter(both, access_state__in=HAS_ACCESS).order_by("pk").values_list("pk", flat=True)
    )


def find_payers(people: Collection[int]) -> QuerySet[UserProfile]:
    """Those of these who are Stripe's customers, and who pays for the others."""
    paid = Membership.objects.filter(member__in=people, accepted_at__isnull=False, ended_at=None)
    return UserProfile.objects.filter(
        Q(pk__in=people) | Q(pk__in=paid.values("payer")), stripe_customer_id__isnull=False
    )
