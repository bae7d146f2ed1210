"""Accounts of an existing realm join our parent group, by the login of an administrator: ours changes its members only.

Promises: no account of staff, of a program or with rights over the realm joins, because anybody who can change an account can take it
over; it can be repeated; without `write` nothing changes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from django.conf import settings
from keycloak import KeycloakAdmin

from apps.core.errors import NeedsOperator
from apps.identity import api_errors, groups
from apps.identity.admin_client import NOT_KNOWN, administrator

RIGHTS_CLIENT = "realm-management"  # whose roles are the rights over a realm


class JoinOutcome(Enum):
    JOINED = "joined"
    MEMBER = "in the group already"
    MISSING = "no such account"
    REFUSED = "refused"


@dataclass(frozen=True)
class Named:
    """An account by its id, or without one by its address, as an import finds it."""

    keycloak_id: str = ""
    email: str = ""


@dataclass(frozen=True)
class Joining:
    """What became of one account, or would. `why`: for refused ones, a sentence."""

    named: Named
    outcome: JoinOutcome
    why: str = ""


def join(username: str, password: str, accounts: Iterable[Named], *, write: bool) -> Iterator[Joining]:
    """Put each into our parent group, or say what would happen. NeedsOperator for a wrong password or a realm that lacks the group."""
    admin = api_errors.read("let the administrator log in", lambda: administrator(username, password))
    if admin is None:
        raise NeedsOperator(NOT_KNOWN)
    admin.change_current_realm(settings.KEYCLOAK_REALM)
    parent = groups.find_parent(admin)
    rights = api_errors.read("find the client of its rights", lambda: admin.get_client_id(RIGHTS_CLIENT))
    for named in accounts:
        yield _join(admin, named, parent, rights or "", write=write)


def _join(admin: KeycloakAdmin, named: Named, parent: str, rights: str, *, write: bool) -> Joining:
    found = _find(admin, named)
    if not found:
        return Joining(named, JoinOutcome.MISSING)
    if len(found) > 1:
        why = "Several accounts have this address; say which by its keycloak_id."
        return Joining(named, JoinOutcome.REFUSED, why)
    (key,) = found
    joined = api_errors.read(f"list the groups of account {key}", lambda: admin.get_user_groups(key))
    if any(one["id"] == parent for one in joined):
        return Joining(named, JoinOutcome.MEMBER)
    if why := _refuse(admin, key, {str(one["path"]) for one in joined}, rights):
        return Joining(named, JoinOutcome.REFUSED, why)
    if write:
        api_errors.write(f"put account {key} into our group", lambda: admin.group_user_add(key, parent))
    return Joining(named, JoinOutcome.JOINED)


def _find(admin: KeycloakAdmin, named: Named) -> list[str]:
    """The ids of the accounts that are named so."""
    if named.keycloak_id:
        try:
            user = api_errors.read("find an account", lambda: admin.get_user(named.keycloak_id), expect=(404,))
        except api_errors.Refusal:
            return []
        return [str(user["id"])]
    asked = {"email": named.email, "exact": True, "first": 0, "max": 2}
    rows = api_errors.read("find an account", lambda: admin.get_users(asked))
    return [str(one["id"]) for one in rows]


def _refuse(admin: KeycloakAdmin, key: str, paths: set[str], rights: str) -> str:
    """Why this account must not join; empty when it may."""
    staff = settings.KEYCLOAK_STAFF_GROUP
    if any(path == staff or path.startswith(f"{staff}/") for path in paths):
        return f"This is staff, a member of {staff}; take them out there first."
    user = api_errors.read(f"show account {key}", lambda: admin.get_user(key))
    if user.get("serviceAccountClientId") or str(user.get("username", "")).startswith("service-account-"):
        return "This is the account of a program, not a person's."
    held = api_errors.read(
        f"list the rights of account {key}", lambda: admin.get_composite_client_roles_of_user(key, rights)
    )
    if held:
        names = ", ".join(sorted(str(one["name"]) for one in held)[:3])
        return f"This account has rights over the realm ({names}); anybody who manages it would have them too."
    return ""
