"""Accounts of an existing realm join our parent group, by the login of an administrator: ours changes its members only.

Promises: no account of staff, of a program or with rights over the realm joins, because anybody who can change an account can take it
over; it can be repeated; without `write` nothing changes. Who joins is in the audit trail, by the id of the account.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.conf import settings
from django.db import transaction
from keycloak import KeycloakAdmin

from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.errors import NeedsOperator
from apps.identity import api_errors, groups
from apps.identity.admin_client import NOT_KNOWN, administrator
from apps.identity.doctor.expected import ADMIN_CLIENT

Account = dict[str, Any]  # as Keycloak shows it


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
    rights = api_errors.read("find the client of its rights", lambda: admin.get_client_id(ADMIN_CLIENT))
    for named in accounts:
        users = _find(admin, named)
        done = _check(admin, named, users, parent, rights or "")
        if write and done.outcome == JoinOutcome.JOINED:
            _write(admin, str(users[0]["id"]), parent, actor=f"keycloak:{username}")
        yield done


def _check(admin: KeycloakAdmin, named: Named, found: list[Account], parent: str, rights: str) -> Joining:
    """What is to become of an account that was found so."""
    if not found:
        return Joining(named, JoinOutcome.MISSING)
    if len(found) > 1:
        why = "Several accounts have this address; say which by its keycloak_id."
        return Joining(named, JoinOutcome.REFUSED, why)
    key = str(found[0]["id"])
    joined = api_errors.read(f"list the groups of account {key}", lambda: admin.get_user_groups(key))
    if any(one["id"] == parent for one in joined):
        return Joining(named, JoinOutcome.MEMBER)
    if why := _refuse(admin, found[0], {str(one["path"]) for one in joined}, rights):
        return Joining(named, JoinOutcome.REFUSED, why)
    return Joining(named, JoinOutcome.JOINED)


def _write(admin: KeycloakAdmin, key: str, parent: str, *, actor: str) -> None:
    api_errors.write(f"put account {key} into our group", lambda: admin.group_user_add(key, parent))
    with transaction.atomic():
        audit.record(
            subject=("account", key), action=AuditAction.GROUP_JOINED, actor=actor,
            after={"group": settings.KEYCLOAK_PARENT_GROUP},
        )  # fmt: skip


def _find(admin: KeycloakAdmin, named: Named) -> list[Account]:
    """The accounts that are named so; two at most."""
    if named.keycloak_id:
        try:
            return [api_errors.read("find an account", lambda: admin.get_user(named.keycloak_id), expect=(404,))]
        except api_errors.Refusal:
            return []
    asked = {"email": named.email, "exact": True, "first": 0, "max": 2}
    return api_errors.read("find an account", lambda: admin.get_users(asked))


def _refuse(admin: KeycloakAdmin, user: Account, paths: set[str], rights: str) -> str:
    """Why this account must not join; empty when it may."""
    staff = settings.KEYCLOAK_STAFF_GROUP
    if any(path == staff or path.startswith(f"{staff}/") for path in paths):
        return f"This is staff, a member of {staff}; take them out there first."
    if user.get("serviceAccountClientId") or str(user.get("username", "")).startswith("service-account-"):
        return "This is the account of a program, not a person's."
    key = str(user["id"])
    held = api_errors.read(
        f"list the rights of account {key}", lambda: admin.get_composite_client_roles_of_user(key, rights)
    )
    if held:
        names = ", ".join(sorted(str(one["name"]) for one in held)[:3])
        return f"This account has rights over the realm ({names}); anybody who manages it would have them too."
    return ""
