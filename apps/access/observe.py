"""Observes one subscriber: the Keycloak account and the seats, in the shape that the plan needs."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from django.contrib.auth.models import Group, User
from django.db.models import Value

from apps.access.observe_products import read_products
from apps.access.plan import Observed, ObservedAccount, ObservedSeat
from apps.access.policy import Account, Decision
from apps.accounts.models import UserProfile
from apps.catalog.entitlements import attribute_names
from apps.catalog.product_entitlements import CatalogEntitlements, read_catalog
from apps.core.errors import NeedsOperator
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser
from apps.instances.models import Seat


class AccountGone(NeedsOperator):
    """Somebody deleted the account in Keycloak, and it should be open. Silently creating a new one could hide that."""


def observe(profile: UserProfile, decision: Decision, owned: frozenset[str] | None = None) -> Observed:
    """Read the account from Keycloak and the seats from our rows. AccountGone when one that should be open is gone.

    `owned`: see `owned_attributes`.
    """
    found = account_of(profile)
    if found is None and profile.keycloak_id and decision.account == Account.ENABLED:
        raise AccountGone(
            f"Keycloak no longer has the user {profile.keycloak_id}. Restore it there, or fix the drift here."
        )
    return observed(profile, found, owned)


def owned_attributes(catalog: CatalogEntitlements | None = None) -> frozenset[str]:
    """The names of the attributes that are ours to set and to remove."""
    return attribute_names((catalog or read_catalog()).everything)


def account_of(profile: UserProfile) -> KeycloakUser | None:
    """The account as Keycloak has it now; None when there is none."""
    return client().get_user(profile.keycloak_id) if profile.keycloak_id else None


def observed(profile: UserProfile, account: KeycloakUser | None, owned: frozenset[str] | None = None) -> Observed:
    """Everything observed, around an account that was just read."""
    seats, local_groups = _rows_of(profile)
    return Observed(
        account=_seen(account) if account else None,
        seats=seats,
        local_groups=local_groups,
        owned_attributes=owned_attributes() if owned is None else owned,
        products=read_products(profile),
        proven=_find_proven(profile),
    )


def _find_proven(profile: UserProfile) -> str:
    """The account that they have proven to be theirs, unless it is linked by now or was deleted; one call where there is one."""
    proven = "" if profile.keycloak_id else profile.proven_keycloak_id
    return proven if proven and client().get_user(proven) is not None else ""


def _seen(account: KeycloakUser) -> ObservedAccount:
    return ObservedAccount(
        enabled=account.enabled,
        attributes=_values(account),
        groups=account.groups,
        sessions=0 if account.enabled else client().session_count(account.id),
    )


def _values(account: KeycloakUser) -> dict[str, str]:
    return {name: "##".join(values) for name, values in account.attributes.items()}


def _rows_of(profile: UserProfile) -> tuple[dict[str, ObservedSeat], frozenset[str]]:
    """The live seats by product, and the Django groups that belong to instances; one query."""
    live = Seat.objects.filter(profile=profile).exclude(state=Seat.State.RELEASED)
    links = Group.objects.filter(user=profile.user_id, instance__isnull=False)
    none = Value("")
    rows = live.values_list("product__slug", "instance__slug", "state", "instance__group__name").union(
        links.values_list(none, none, none, "name"), all=True
    )
    found = list(rows)
    seats = {product: ObservedSeat(instance, state, group) for product, instance, state, group in found if product}
    return seats, frozenset(group for product, _instance, _state, group in found if not product)


def _seats_of(people: Collection[UserProfile]) -> dict[int, dict[str, ObservedSeat]]:
    live = Seat.objects.filter(profile__in=people).exclude(state=Seat.State.RELEASED)
    found: dict[int, dict[str, ObservedSeat]] = defaultdict(dict)
    for seat in live.select_related("product", "instance__group"):
        found[seat.profile_id][seat.product.slug] = ObservedSeat(
            seat.instance.slug, seat.state, seat.instance.group.name
        )
    return found


def assume_groups(people: Collection[UserProfile], accounts: Mapping[str, KeycloakUser]) -> dict[int, Observed]:
    """What is observed of many with an account, by profile id, as if Keycloak had them in the groups they have here.

    Three queries and no call: who really is in each group is read by group. Sessions of disabled accounts count as ended.
    """
    named: dict[int, set[str]] = defaultdict(set)
    links = User.groups.through.objects.filter(user__in=[one.user_id for one in people], group__instance__isnull=False)
    for user_id, name in links.values_list("user_id", "group__name"):
        named[user_id].add(name)
    seats, owned = _seats_of(people), owned_attributes()
    found = {}
    for profile in people:
        if account := accounts.get(profile.keycloak_id or ""):
            local = frozenset(named[profile.user_id])
            seen = ObservedAccount(account.enabled, _values(account), local)
            found[profile.pk] = Observed(seen, seats[profile.pk], local, owned)
    return found
