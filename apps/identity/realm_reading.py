"""Reads the realm for the doctor: some forty short calls that change nothing, each through the edge.

Promises: it reads with the read-only account where there is one, else with the account that manages users, and says what
neither may see; of clients and mail servers only the fields below are kept, so no secret leaves this module.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jwt
import requests
from django.conf import settings
from keycloak import KeycloakAdmin

from apps.core import clock
from apps.core.errors import DependencyDown
from apps.identity import edge
from apps.identity.checks import groups
from apps.identity.checks.snapshot import ADMIN_CLIENT, Bearer, House, Row, Snapshot
from apps.identity.connection import READ_SECONDS, account
from apps.identity.groups import find
from apps.login.oidc import TIMEOUT_SECONDS

SHOW_GROUPS = frozenset({"view-users", "manage-users", "query-groups"})
REFUSED = (400, 401, 403, 404)
OF_CLIENT = (
    "id", "clientId", "enabled", "publicClient", "standardFlowEnabled", "implicitFlowEnabled", "directAccessGrantsEnabled",
    "serviceAccountsEnabled", "fullScopeAllowed", "frontchannelLogout", "redirectUris", "defaultClientScopes",
)  # fmt: skip
OF_ATTRIBUTES = (
    "pkce.code.challenge.method", "backchannel.logout.url", "backchannel.logout.session.required",
    "post.logout.redirect.uris", "id.token.signed.response.alg",
)  # fmt: skip
OF_MAPPER, OF_SMTP = ("id", "name", "protocolMapper", "config"), ("host", "port", "from")


@dataclass
class Eye:
    """One of our accounts: what it may do by its own token, or why Keycloak does not let it in."""

    admin: KeycloakAdmin
    until: float
    rights: frozenset[str] = frozenset()
    refusal: str = ""
    skew: float = 0.0

    def seen[T](self, doing: str, call: Callable[[], T]) -> T | None:
        """What a call answers; None when the account may not see it. DependencyDown when the whole has taken too long."""
        if time.monotonic() > self.until:
            raise DependencyDown(edge.NAME, f"Keycloak answers so slowly that there was no time left to {doing}.")
        try:
            return edge.read(doing, call, expect=REFUSED)
        except edge.Refusal:
            return None


def read(house: House, *, patience: float = READ_SECONDS) -> Snapshot:
    """The realm now, without `mail`. `patience` is in seconds per answer, three times that for all of them.

    Raises DependencyDown and RetryLater.
    """
    until = time.monotonic() + 3 * patience
    sync = Eye(account(house.sync, settings.KEYCLOAK_ADMIN_CLIENT_SECRET, patience=patience), until)
    eyes = {house.sync: sync}
    if house.doctor:
        secret = settings.KEYCLOAK_DOCTOR_CLIENT_SECRET
        eyes[house.doctor] = Eye(account(house.doctor, secret, patience=patience), until)
    for name, one in eyes.items():
        _open(one, name)
    doctor = eyes.get(house.doctor)
    eye = doctor if doctor is not None and not doctor.refusal else sync
    clients = _clients(eye)
    return Snapshot(
        realm=_realm(eye, house) if "view-realm" in eye.rights else None,
        profile=eye.seen("show the user profile", eye.admin.get_realm_users_profile),
        clients=None if clients is None else _wanted(clients, house),
        scopes=_scopes(eye),
        rights={name: one.rights for name, one in eyes.items()},
        refusals={name: one.refusal for name, one in eyes.items() if one.refusal},
        given=None if clients is None else _given(eye, clients, eyes),
        bearers=None if clients is None else _bearers(eye, clients),
        groups=_groups(eye, house),
        canary=_canary(sync, house),
        version=_version(eye),
        skew=eye.skew,
        issuer=_issuer(house),
        blind=_blind(house, doctor),
    )


def _open(eye: Eye, client_id: str) -> None:
    """Log in as that client, and read its rights and Keycloak's time from its own token."""
    try:
        said = edge.write(f"log in {client_id}", lambda: _own_token(eye.admin), expect=REFUSED)
    except edge.Refusal as refusal:
        eye.refusal = str(refusal)
        return
    eye.rights = frozenset(said.get("resource_access", {}).get(ADMIN_CLIENT, {}).get("roles", []))
    eye.skew = said["iat"] - clock.timestamp()


def _own_token(admin: KeycloakAdmin) -> dict[str, Any]:
    """What a new token says. It was given to us for ourselves, so its signature does not matter."""
    admin.connection.get_token()
    given: dict[str, Any] = admin.connection.token or {}
    try:
        said: dict[str, Any] = jwt.decode(given["access_token"], options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise ValueError("not a token we can read") from error
    return said


def _blind(house: House, doctor: Eye | None) -> str:
    """What would let us see more; said wherever something cannot be seen."""
    if doctor is None:
        return "It takes the read-only account of KEYCLOAK_DOCTOR_CLIENT_ID to see that."
    if doctor.refusal:
        return f"Keycloak does not let {house.doctor} in; check its client and KEYCLOAK_DOCTOR_CLIENT_SECRET."
    return f"Give the account of {house.doctor} the rights view-realm, view-users and view-clients."


def _realm(eye: Eye, house: House) -> Row | None:
    found = eye.seen("show the realm", lambda: eye.admin.get_realm(house.realm))
    if found is None:
        return None
    return {**found, "smtpServer": _only(OF_SMTP, found.get("smtpServer") or {})}


def _only(names: Iterable[str], row: Row) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


def _clients(eye: Eye) -> dict[str, Row] | None:
    rows = eye.seen("list the clients", eye.admin.get_clients)
    if rows is None:
        return None
    return {str(row["clientId"]): _kept(row) for row in rows}


def _kept(row: Row) -> dict[str, Any]:
    """A client without its secret."""
    return _only(OF_CLIENT, row) | _mappers(row) | {"attributes": _only(OF_ATTRIBUTES, row.get("attributes") or {})}


def _wanted(clients: dict[str, Row], house: House) -> dict[str, Row]:
    return _only((house.web, house.sync, house.doctor, *house.sold.apps), clients)


def _scopes(eye: Eye) -> dict[str, Row] | None:
    rows = eye.seen("list the client scopes", eye.admin.get_client_scopes)
    return None if rows is None else {str(row["name"]): {"id": row["id"], **_mappers(row)} for row in rows}


def _mappers(row: Row) -> dict[str, Any]:
    return {"protocolMappers": [_only(OF_MAPPER, mapper) for mapper in row.get("protocolMappers") or ()]}


def _given(eye: Eye, clients: dict[str, Row], eyes: Iterable[str]) -> dict[str, frozenset[str]]:
    """The rights each of our accounts was given directly."""
    found = {}
    for name in eyes:
        if name not in clients:
            continue
        doing, key = f"show the account of {name}", clients[name]["id"]
        user = eye.seen(doing, lambda key=key: eye.admin.get_client_service_account_user(key))  # type: ignore[misc]
        if user is not None:
            roles = eye.seen(doing, lambda key=user["id"]: eye.admin.get_all_roles_of_user(key)) or {}  # type: ignore[misc]
            rows = roles.get("clientMappings", {}).get(ADMIN_CLIENT, {}).get("mappings", [])
            found[name] = frozenset(str(row["name"]) for row in rows)
    return found


def _bearers(eye: Eye, clients: dict[str, Row]) -> tuple[Bearer, ...] | None:
    """The groups that have a right over the realm, and the realm's roles that bring one and that everybody or a group has."""
    key = str(clients[ADMIN_CLIENT]["id"])
    rights = eye.seen("list the rights over the realm", lambda: eye.admin.get_client_roles(key))
    roles = eye.seen("list the realm's roles", eye.admin.get_realm_roles)
    if rights is None or roles is None:
        return None
    by_group: dict[tuple[str, str], set[str]] = {}
    for name in (str(right["name"]) for right in rights):
        if name.startswith("query-"):  # shows what else one may see, and nothing by itself
            continue
        rows = eye.seen(f"list who has {name}", lambda name=name: eye.admin.get_client_role_groups(key, name))  # type: ignore[misc]
        for group in rows or ():
            by_group.setdefault((str(group["id"]), str(group["path"])), set()).add(name)
    groups_of = [Bearer(kind="group", id=one, name=path, roles=frozenset(has)) for (one, path), has in by_group.items()]
    return tuple(groups_of + [bearer for role in roles if (bearer := _carrier(eye, role, key)) is not None])


def _carrier(eye: Eye, role: Row, rights_client: str) -> Bearer | None:
    """A role of the realm that brings rights over it, if everybody has it or a group hands it out."""
    if not role.get("composite"):
        return None
    name, doing = str(role["name"]), f"show the role {role['name']}"
    parts = eye.seen(doing, lambda: eye.admin.get_role_composites_by_id(role["id"])) or []
    brought = frozenset(str(part["name"]) for part in parts if part.get("containerId") == rights_client)
    if not brought:
        return None
    default = name == f"default-roles-{settings.KEYCLOAK_REALM.lower()}"
    held_by = [] if default else eye.seen(doing, lambda: eye.admin.get_realm_role_groups(name))
    return Bearer(kind="role", id=str(role["id"]), name=name, roles=brought) if default or held_by else None


def _groups(eye: Eye, house: House) -> dict[str, str | None] | None:
    """The ids of the groups we need by their paths."""
    if not eye.rights & SHOW_GROUPS:
        return None
    return {path: find(eye.admin, path) for path in groups.needed(house)}


def _canary(sync: Eye, house: House) -> bool | None:
    """Whether the account that must always be found is found, by the account that asks about names all day."""
    if not house.canary or sync.refusal:
        return None
    query = {"username": house.canary, "exact": True, "max": 1, "briefRepresentation": True}
    rows = sync.seen("search the canary", lambda: sync.admin.get_users(dict(query)))
    return None if rows is None else bool(rows)


def _version(eye: Eye) -> str:
    """Empty for our accounts on 26.7.3: shown only to administrators of the whole server."""
    info = eye.seen("show the server", eye.admin.get_server_info) or {}
    return str(info.get("systemInfo", {}).get("version", ""))


def _issuer(house: House) -> str:
    """The address Keycloak gives itself in its discovery document, as any program may read it."""
    url, began = f"{house.issuer}/.well-known/openid-configuration", time.monotonic()
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        return str(answer.json().get("issuer", "")) if answer.status_code == 200 else ""
    except requests.ConnectionError as error:
        raise DependencyDown(edge.NAME, "Keycloak could not be reached to show its discovery document.") from error
    except (requests.RequestException, ValueError, AttributeError) as error:
        took = time.monotonic() - began
        raise DependencyDown(edge.NAME, f"Keycloak's discovery document cannot be read ({took:.0f} s).") from error
