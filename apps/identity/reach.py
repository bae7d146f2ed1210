"""How far our account reaches: with fine-grained permissions it changes the members of our parent group, and nobody else.

A right that is missing altogether makes the work wait; one that is missing for this account alone never comes back by itself.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from keycloak import KeycloakAdmin

from apps.core.errors import NeedsOperator, WorkError
from apps.identity import api_errors, groups
from apps.identity.admin_client import admin_client


class OutOfReach(NeedsOperator):
    """Our account may change others, but not this account, or not who is in this group."""


@contextmanager
def within_reach(admin: KeycloakAdmin, keycloak_id: str, *, group: str = "") -> Iterator[None]:
    """OutOfReach when Keycloak refuses to let us change this account, or the members of `group`, but not others."""
    try:
        yield
    except api_errors.RightMissing as missing:
        try:
            reason = _explain(admin, keycloak_id, group)
        except (WorkError, api_errors.Refusal):
            reason = ""
        if reason:
            raise OutOfReach(reason) from missing
        raise


def _explain(admin: KeycloakAdmin, keycloak_id: str, group: str) -> str:
    """Why this account or group is out of our reach; empty when our rights are gone altogether."""
    parent = settings.KEYCLOAK_PARENT_GROUP
    if not _may(admin, parent, "manageMembers"):
        return ""
    user = api_errors.read(f"show account {keycloak_id}", lambda: admin.get_user(keycloak_id))
    if not user.get("access", {}).get("manage"):
        return (
            f"Our Keycloak account may not change account {keycloak_id}, only members of {parent} who are in no staff group. "
            f"If it is a customer's, add it to {parent} in Keycloak."
        )
    if group and not _may(admin, group, "manageMembership"):
        return f"Our Keycloak account may not change who is in {group}; permit it in Keycloak, as the manual says under Keycloak."
    return ""


def _may(admin: KeycloakAdmin, path: str, right: str) -> bool:
    key = groups.find_group(admin, path)
    found = api_errors.read(f"show the group {path}", lambda: admin.get_group(key)) if key else {}
    return bool(found.get("access", {}).get(right))


def join_parent_group(keycloak_ids: Iterable[str]) -> list[str]:
    """Put accounts into our parent group; returns those that Keycloak refused, as they are gone or out of reach."""
    admin = admin_client(settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET)
    parent, refused = groups.find_parent(admin), []
    for key in keycloak_ids:
        try:
            join = partial(admin.group_user_add, key, parent)
            api_errors.write(f"put account {key} into our group", join, expect=(403, 404))
        except api_errors.Refusal:
            refused.append(key)
    return refused
