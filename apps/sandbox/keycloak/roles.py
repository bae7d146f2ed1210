"""Roles: the rights over the realm, the realm's plain roles and its default role; who has them, directly or by way of others.

The ids are fixed. Composite roles are as on 26.7.3.
"""

import secrets
from typing import Any

from apps.sandbox.keycloak import groups, realm
from apps.sandbox.keycloak.answers import failed

Row = dict[str, Any]

CLIENT = "realm-management"
PLAIN = ("offline_access", "uma_authorization")
VIEWING = {
    "view-users": ("query-groups", "query-users"),
    "view-clients": ("query-clients",),
    "view-organizations": ("query-organizations",),
}
SINGLE = (
    "query-groups", "query-users", "query-clients", "query-organizations", "query-realms", "view-realm", "view-events",
    "view-identity-providers", "view-authorization", "manage-users", "manage-realm", "manage-clients", "manage-events",
    "manage-identity-providers", "manage-authorization", "manage-organizations", "create-client", "impersonation",
)  # fmt: skip
RIGHTS: dict[str, tuple[str, ...]] = dict.fromkeys(SINGLE, ()) | VIEWING
RIGHTS["realm-admin"] = tuple(RIGHTS)
SCOPES = (
    "acr", "address", "basic", "email", "microprofile-jwt", "offline_access", "organization", "phone", "profile", "roles",
    "service_account", "web-origins",
)  # fmt: skip


def complete(state: Row, realm_name: str) -> None:
    """Add what every realm has and the realm file does not name; also to a state kept from an earlier version."""
    client_id = realm.fixed_id(realm_name, "client", CLIENT)
    flags = {"enabled": True, "bearerOnly": True, "publicClient": False, "standardFlowEnabled": True}
    state["clients"].setdefault(
        CLIENT,
        {"id": client_id, "clientId": CLIENT, "protocol": "openid-connect", "secret": secrets.token_hex(16)}
        | {"redirectUris": [], "attributes": {"realm_client": "true"}, "protocolMappers": [], "fullScopeAllowed": False}
        | flags,
    )
    state.setdefault("default_role", {"realm": list(PLAIN), CLIENT: []})
    state.setdefault("scopes", {name: realm.fixed_id(realm_name, "scope", name) for name in SCOPES})


def default_name() -> str:
    """The role everybody has."""
    return f"default-roles-{realm.name()}"


def client_uuid() -> str:
    """The id of the client whose roles are rights."""
    return realm.fixed_id(realm.name(), "client", CLIENT)


def right(name: str) -> Row:
    """A right over the realm as the Admin API shows it. Raises RefusedError (404)."""
    if name not in RIGHTS:
        raise failed(404, "Could not find role")
    return _shown("right", name, composite=bool(RIGHTS[name]), container=client_uuid())


def plain(name: str) -> Row:
    """A role of the realm, the default one too. Raises RefusedError (404)."""
    if name not in (*PLAIN, default_name()):
        raise failed(404, "Could not find role")
    container = realm.settings_of_realm()["id"]
    return _shown("role", name, composite=name == default_name(), container=container)


def _shown(kind: str, name: str, *, composite: bool, container: str) -> Row:
    return {
        "id": realm.fixed_id(realm.name(), kind, name),
        "name": name,
        "description": f"${{role_{name}}}",
        "composite": composite,
        "clientRole": kind == "right",
        "containerId": container,
    }


def composites(role_id: str) -> list[Row]:
    """The roles a role of the realm brings. Raises RefusedError (404)."""
    if role_id == plain(default_name())["id"]:
        held = realm.state()["default_role"]
        return [plain(name) for name in held["realm"]] + [right(name) for name in held[CLIENT]]
    if role_id in {plain(name)["id"] for name in PLAIN}:
        return []
    raise failed(404, "Could not find role with id")


def of_account(user: Row, client: Row) -> frozenset[str]:
    """The rights in the token of a service account. It has not the role of users."""
    if client.get("fullScopeAllowed") is False or "roles" not in client.get("defaultClientScopes", ["roles"]):
        return frozenset()
    return held_by(user)


def held_by(user: Row) -> frozenset[str]:
    """The rights that an account has: given directly or by its groups, with those which they bring."""
    found = set(user["clientRoles"].get(CLIENT, []))
    for group_id in user["groups"]:
        found |= _of_group(groups.find(group_id))
    return frozenset(found.union(*(RIGHTS.get(name, ()) for name in found)))


def _of_group(group: Row) -> set[str]:
    """Its own, and those of the groups above it."""
    above = _of_group(groups.find(group["parentId"])) if group["parentId"] else set()
    return set(group.get("clientRoles", {}).get(CLIENT, [])) | above


def groups_with(name: str) -> list[Row]:
    """The groups a right was given to."""
    right(name)
    return [row for row in groups.every().values() if name in row.get("clientRoles", {}).get(CLIENT, [])]


def change(held: list[str], rows: list[Any], *, add: bool) -> None:
    """Give or take the rights named in `rows`. Raises RefusedError (404) for one that is none."""
    for row in rows:
        name = right(str(row.get("name") if isinstance(row, dict) else ""))["name"]
        if add and name not in held:
            held.append(name)
        if not add and name in held:
            held.remove(name)
