"""Observes one subscriber: the Keycloak account and the seats, in the shape that the plan needs."""

from django.contrib.auth.models import Group

from apps.access.plan import Observed, ObservedAccount, ObservedSeat
from apps.accounts.models import UserProfile
from apps.catalog.entitlements import attribute_names
from apps.catalog.product_entitlements import all_entitlements
from apps.core.errors import NeedsOperator
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser
from apps.instances.models import Instance, Seat


def observe(profile: UserProfile) -> Observed:
    """Read the account from Keycloak and the seats from our rows. NeedsOperator when the account no longer exists in Keycloak."""
    found = account_of(profile)
    if found is None and profile.keycloak_id:
        # Somebody deleted the account in Keycloak. Silently creating a new one could hide that.
        raise NeedsOperator(
            f"Keycloak no longer has the user {profile.keycloak_id}. Restore it there, or fix the drift here."
        )
    return observed(profile, found)


def account_of(profile: UserProfile) -> KeycloakUser | None:
    """The account as Keycloak has it now; None when there is none."""
    return client().get_user(profile.keycloak_id) if profile.keycloak_id else None


def observed(profile: UserProfile, account: KeycloakUser | None) -> Observed:
    """Everything observed, around an account that was just read."""
    return Observed(
        account=_seen(account) if account else None,
        seats=_seats(profile),
        local_groups=_local_groups(profile),
        owned_attributes=attribute_names(all_entitlements()),
    )


def _seen(account: KeycloakUser) -> ObservedAccount:
    return ObservedAccount(
        enabled=account.enabled,
        attributes={name: "##".join(values) for name, values in account.attributes.items()},
        groups=account.groups,
        sessions=0 if account.enabled else client().session_count(account.id),
    )


def _seats(profile: UserProfile) -> dict[str, ObservedSeat]:
    live = (
        Seat.objects.filter(profile=profile)
        .exclude(state=Seat.State.RELEASED)
        .select_related("product", "instance__group")
    )
    return {seat.product.slug: ObservedSeat(seat.instance.slug, seat.state, seat.instance.group.name) for seat in live}


def _local_groups(profile: UserProfile) -> frozenset[str]:
    of_instances = Instance.objects.values("group_id")
    return frozenset(Group.objects.filter(user=profile.user_id, pk__in=of_instances).values_list("name", flat=True))
