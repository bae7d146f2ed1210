"""Every account of the realm, a page at a time, to find those of people who are customers already. Reads only.

Keycloak leaves out the accounts of services by itself.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from apps.core.addresses import ascii_email
from apps.identity import api_errors, groups
from apps.identity.admin_client import admin_client
from apps.identity.user_merge import Representation, attributes_of

PAGE = 500
MARK = "onboarding_id"  # the attribute that says whose account it is


@dataclass(frozen=True)
class ListedAccount:
    """An account as listed. `mark`: the signup whose it is, empty for none; `may_change`: whether our account reaches it."""

    id: str
    username: str
    email: str
    email_verified: bool
    enabled: bool
    first_name: str
    last_name: str
    mark: str
    is_staff: bool
    may_change: bool
    attributes: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """All of it, to be kept."""
        return dict(vars(self))


def list_page(first: int) -> tuple[ListedAccount, ...]:
    """The accounts from that position on, at most PAGE: fewer are the last. Some six calls; raises DependencyDown and RetryLater."""
    admin = admin_client(settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET)
    query = {"first": first, "max": PAGE, "briefRepresentation": False}
    rows: list[Representation] = api_errors.read("list accounts", lambda: admin.get_users(query))
    staff = list_staff() if rows else frozenset()
    return tuple(_listed(row, is_staff=str(row["id"]) in staff) for row in rows)


def list_staff() -> frozenset[str]:
    """The ids of the accounts in a staff group. Three calls and more, by the number of these groups and their members."""
    admin = admin_client(settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET)
    found = groups.list_below(admin, settings.KEYCLOAK_STAFF_GROUP)
    return frozenset(one for group in found.values() for one in groups.list_members(admin, group))


def _listed(row: Representation, *, is_staff: bool) -> ListedAccount:
    attributes = {name: "##".join(values) for name, values in attributes_of(row).items()}
    return ListedAccount(
        id=str(row["id"]),
        username=str(row.get("username") or ""),
        email=ascii_email(str(row.get("email") or "").lower()),
        email_verified=bool(row.get("emailVerified")),
        enabled=bool(row.get("enabled")),
        first_name=str(row.get("firstName") or ""),
        last_name=str(row.get("lastName") or ""),
        mark=attributes.get(MARK, ""),
        is_staff=is_staff,
        may_change=(row.get("access") or {}).get("manage") is not False,
        attributes=attributes,
    )
