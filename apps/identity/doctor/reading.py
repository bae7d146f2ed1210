"""Reads the realm for the doctor: some forty short calls that change nothing, each through `api_errors`.

Promises: it reads with the read-only account if there is one, else with the account that manages users, and says what
neither can see; of clients and mail servers only the fields below are kept, so no secret leaves this module.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import requests
from django.conf import settings
from keycloak import KeycloakAdmin

from apps.core import clock
from apps.core.errors import DependencyDown
from apps.identity import api_errors
from apps.identity.admin_client import READ_SECONDS, admin_client
from apps.identity.doctor.expected import ADMIN_CLIENT, PERMISSIONS_CLIENT, Expected, Row
from apps.identity.doctor.fresh_logins import read_actions
from apps.identity.doctor.reach import Reach, read_reach
from apps.identity.doctor.recovery_link import read_texts
from apps.identity.doctor.registration import read_policies_of_strangers
from apps.identity.doctor.second_factor import OVERRIDES, LoginFlows, read_flows
from apps.identity.groups import find_group
from apps.identity.realm_test_email import EmailOutcome
from apps.login.oidc import TIMEOUT_SECONDS

SHOW_GROUPS = frozenset({"view-users", "manage-users", "query-groups"})
REFUSED = (400, 401, 403, 404)
CLIENT_FIELDS = (
    "id", "clientId", "enabled", "publicClient", "standardFlowEnabled", "implicitFlowEnabled", "directAccessGrantsEnabled",
    "serviceAccountsEnabled", "fullScopeAllowed", "frontchannelLogout", "redirectUris", "defaultClientScopes",
    "optionalClientScopes", OVERRIDES,
)  # fmt: skip
ATTRIBUTES = (
    "pkce.code.challenge.method", "backchannel.logout.url", "backchannel.logout.session.required",
    "post.logout.redirect.uris", "id.token.signed.response.alg", "acr.loa.map",
)  # fmt: skip
MAPPER_FIELDS, SMTP_FIELDS = ("id", "name", "protocolMapper", "config"), ("host", "port", "from")


@dataclass(frozen=True, kw_only=True)
class RoleGrant:
    """What grants rights over the realm to everyone in it: a `group` by its path, or a `role` that everyone has."""

    kind: str
    id: str
    name: str
    roles: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The realm at one moment, in Keycloak's own representations. None: not visible to our accounts (`not_visible`: why).

    `rights` are the roles of realm-management in our accounts' own tokens, by client id; `granted` those granted
    to them directly; `refusals` say why one of them was not let in. `groups` maps the paths we need to ids; `policies` are the names
    of the realm's policies and permissions; `strangers` are what clients registered without a token have to fulfil; `texts` the realm's own, by language.
    `clock_skew` is Keycloak's clock minus ours, in seconds. `test_email` is None when none was sent lately.
    """

    realm: Row | None = None
    profile: Row | None = None
    clients: Mapping[str, Row] | None = None
    scopes: Mapping[str, Row] | None = None
    rights: Mapping[str, frozenset[str]] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)
    granted: Mapping[str, frozenset[str]] | None = None
    role_grants: tuple[RoleGrant, ...] | None = None
    groups: Mapping[str, str | None] | None = None
    reach: Reach | None = None
    flows: LoginFlows | None = None
    actions: Mapping[str, Row] | None = None
    strangers: tuple[Row, ...] | None = None
    texts: Mapping[str, Row] | None = None
    policies: frozenset[str] = frozenset()
    canary_found: bool | None = None
    version: str = ""
    clock_skew: float = 0.0
    issuer: str = ""
    test_email: EmailOutcome | None = None
    not_visible: str = ""


@dataclass
class AdminSession:
    """One of our accounts: the rights in its own token, or why Keycloak does not let it in."""

    admin: KeycloakAdmin
    until: float
    rights: frozenset[str] = frozenset()
    refusal: str = ""
    skew: float = 0.0

    def log_in(self, client_id: str) -> None:
        """Log in as that client, and read its rights and Keycloak's time from its own token."""
        try:
            token = api_errors.write(f"log in {client_id}", self._own_token, expect=REFUSED)
        except api_errors.Refusal as refusal:
            self.refusal = str(refusal)
            return
        self.rights = frozenset(token.get("resource_access", {}).get(ADMIN_CLIENT, {}).get("roles", []))
        self.skew = token["iat"] - clock.timestamp()

    def _own_token(self) -> dict[str, Any]:
        """The claims of a new token. It was issued to us for ourselves, so its signature does not matter."""
        self.admin.connection.get_token()
        issued: dict[str, Any] = self.admin.connection.token or {}
        try:
            claims: dict[str, Any] = jwt.decode(issued["access_token"], options={"verify_signature": False})
        except jwt.PyJWTError as error:
            raise ValueError("not a token we can read") from error
        return claims

    def ask[T](self, doing: str, call: Callable[[], T]) -> T | None:
        """What a call answers; None when the account may not see it. DependencyDown when the whole has taken too long."""
        if time.monotonic() > self.until:
            raise DependencyDown(
                api_errors.DEPENDENCY, f"Keycloak answers so slowly that there was no time left to {doing}."
            )
        try:
            return api_errors.read(doing, call, expect=REFUSED)
        except api_errors.Refusal:
            return None


def read_realm(expected: Expected, *, patience: float = READ_SECONDS) -> Snapshot:
    """The realm now, without `test_email`. `patience` is in seconds per answer, three times that for all of them.

    Raises DependencyDown and RetryLater.
    """
    until = time.monotonic() + 3 * patience
    secrets = {expected.sync: settings.KEYCLOAK_ADMIN_CLIENT_SECRET}
    if expected.doctor:
        secrets[expected.doctor] = settings.KEYCLOAK_DOCTOR_CLIENT_SECRET
    sessions = {
        name: AdminSession(admin_client(name, secret, patience=patience), until) for name, secret in secrets.items()
    }
    for name, one in sessions.items():
        one.log_in(name)
    sync, doctor = sessions[expected.sync], sessions.get(expected.doctor)
    session = doctor if doctor is not None and not doctor.refusal else sync
    clients = _read_clients(session)
    wanted = (expected.web, expected.sync, expected.doctor, *expected.catalog.apps)
    realm = _read_settings(session, expected.realm) if "view-realm" in session.rights else None
    return Snapshot(
        realm=realm,
        profile=session.ask("show the user profile", session.admin.get_realm_users_profile),
        clients=None if clients is None else _only(wanted, clients),
        scopes=_read_scopes(session),
        rights={name: one.rights for name, one in sessions.items()},
        refusals={name: one.refusal for name, one in sessions.items() if one.refusal},
        granted=None if clients is None else _read_granted(session, clients, sessions),
        role_grants=None if clients is None else _read_role_grants(session, str(clients[ADMIN_CLIENT]["id"])),
        groups=_read_groups(session, expected.groups) if session.rights & SHOW_GROUPS else None,
        reach=None if sync.refusal else read_reach(sync, expected),
        flows=read_flows(session, realm, (clients or {}).get(expected.web)) if expected.staff_acr else None,
        actions=read_actions(session) if expected.is_public or expected.passkeys else None,
        strangers=read_policies_of_strangers(session) if expected.is_public else None,
        texts=read_texts(session, realm),
        policies=_read_policies(session, (clients or {}).get(PERMISSIONS_CLIENT)),
        canary_found=None if not expected.canary or sync.refusal else _find_canary(sync, expected.canary),
        version=_read_version(session),
        clock_skew=session.skew,
        issuer=_read_issuer(expected.issuer),
        not_visible=_why_not_visible(expected.doctor, doctor),
    )


def _why_not_visible(client_id: str, doctor: AdminSession | None) -> str:
    """What would let us see more; said wherever something is not visible."""
    if doctor is None:
        return "Seeing this takes the read-only account of KEYCLOAK_DOCTOR_CLIENT_ID."
    if doctor.refusal:
        return f"Keycloak does not let {client_id} in; check its client and KEYCLOAK_DOCTOR_CLIENT_SECRET."
    return f"Give the account of {client_id} the rights view-realm, view-users and view-clients."


def _read_settings(session: AdminSession, realm: str) -> Row | None:
    found = session.ask("show the realm", lambda: session.admin.get_realm(realm))
    return found and {**found, "smtpServer": _only(SMTP_FIELDS, found.get("smtpServer") or {})}


def _only(names: Iterable[str], row: Row) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


def _read_clients(session: AdminSession) -> dict[str, Row] | None:
    """All clients by their client ids, without their secrets."""
    rows = session.ask("list the clients", session.admin.get_clients)
    return None if rows is None else {
        str(row["clientId"]): _only(CLIENT_FIELDS, row) | _mappers_in(row)
        | {"attributes": _only(ATTRIBUTES, row.get("attributes") or {})}
        for row in rows
    }  # fmt: skip


def _read_scopes(session: AdminSession) -> dict[str, Row] | None:
    rows = session.ask("list the client scopes", session.admin.get_client_scopes)
    return None if rows is None else {str(row["name"]): {"id": row["id"], **_mappers_in(row)} for row in rows}


def _mappers_in(row: Row) -> dict[str, Any]:
    return {"protocolMappers": [_only(MAPPER_FIELDS, mapper) for mapper in row.get("protocolMappers") or ()]}


def _read_granted(session: AdminSession, clients: dict[str, Row], names: Iterable[str]) -> dict[str, frozenset[str]]:
    """The rights each of our accounts was granted directly."""
    admin, found = session.admin, {}
    for name in names:
        if name not in clients:
            continue
        doing, key = f"show the account of {name}", clients[name]["id"]
        user = session.ask(doing, lambda key=key: admin.get_client_service_account_user(key))  # type: ignore[misc]
        if user is not None:
            roles = session.ask(doing, lambda key=user["id"]: admin.get_all_roles_of_user(key)) or {}  # type: ignore[misc]
            rows = roles.get("clientMappings", {}).get(ADMIN_CLIENT, {}).get("mappings", [])
            found[name] = frozenset(str(row["name"]) for row in rows)
    return found


def _read_role_grants(session: AdminSession, key: str) -> tuple[RoleGrant, ...] | None:
    """The groups that have a right over the realm, and the realm's roles that bring one and that everyone or a group has.

    `key` is the id of the client whose roles are these rights.
    """
    admin = session.admin
    rights = session.ask("list the rights over the realm", lambda: admin.get_client_roles(key))
    roles = session.ask("list the realm's roles", admin.get_realm_roles)
    if rights is None or roles is None:
        return None
    by_group: dict[tuple[str, str], set[str]] = {}
    for name in (str(right["name"]) for right in rights):
        if name.startswith("query-"):  # allows searching what another right shows, and nothing alone
            continue
        rows = session.ask(f"list who has {name}", lambda name=name: admin.get_client_role_groups(key, name))  # type: ignore[misc]
        for group in rows or ():
            by_group.setdefault((str(group["id"]), str(group["path"])), set()).add(name)
    grants = [RoleGrant(kind="group", id=id_, name=path, roles=frozenset(has)) for (id_, path), has in by_group.items()]
    return (*grants, *(grant for role in roles if (grant := _read_role(session, role, key)) is not None))


def _read_role(session: AdminSession, role: Row, key: str) -> RoleGrant | None:
    """A role of the realm that brings rights over it, if everyone has it or a group grants it."""
    if not role.get("composite"):
        return None
    name, doing = str(role["name"]), f"show the role {role['name']}"
    parts = session.ask(doing, lambda: session.admin.get_role_composites_by_id(role["id"])) or []
    brought = frozenset(str(part["name"]) for part in parts if part.get("containerId") == key)
    if not brought:
        return None
    default = name == f"default-roles-{settings.KEYCLOAK_REALM.lower()}"
    groups = [] if default else session.ask(doing, lambda: session.admin.get_realm_role_groups(name))
    return RoleGrant(kind="role", id=str(role["id"]), name=name, roles=brought) if default or groups else None


def _read_policies(session: AdminSession, client: Row | None) -> frozenset[str]:
    """The names of the realm's policies and permissions, once it has any."""
    if client is None:
        return frozenset()
    admin, key, doing = session.admin, str(client["id"]), "list the permissions"
    lists = (admin.get_client_authz_policies, admin.get_client_authz_permissions)
    rows = [row for call in lists for row in session.ask(doing, lambda call=call: call(key)) or ()]  # type: ignore[misc]
    return frozenset(str(row["name"]) for row in rows)


def _read_groups(session: AdminSession, paths: Iterable[str]) -> dict[str, str | None]:
    return {path: find_group(session.admin, path) for path in paths}


def _find_canary(sync: AdminSession, username: str) -> bool | None:
    """Whether the account that must always be found is found, by the account that searches for names all day."""
    query = {"username": username, "exact": True, "max": 1, "briefRepresentation": True}
    rows = sync.ask("search the canary", lambda: sync.admin.get_users(dict(query)))
    return None if rows is None else bool(rows)


def _read_version(session: AdminSession) -> str:
    """Empty for our accounts on 26.7.3: shown only to administrators of the whole server."""
    info = session.ask("show the server", session.admin.get_server_info) or {}
    return str(info.get("systemInfo", {}).get("version", ""))


def _read_issuer(issuer: str) -> str:
    """The address Keycloak gives itself in its discovery document, as any program can read it."""
    url, began = f"{issuer}/.well-known/openid-configuration", time.monotonic()
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        return str(answer.json().get("issuer", "")) if answer.status_code == 200 else ""
    except requests.ConnectionError as error:
        raise DependencyDown(
            api_errors.DEPENDENCY, "Keycloak could not be reached to show its discovery document."
        ) from error
    except (requests.RequestException, ValueError, AttributeError) as error:
        took = time.monotonic() - began
        raise DependencyDown(
            api_errors.DEPENDENCY, f"Keycloak's discovery document cannot be read ({took:.0f} s)."
        ) from error
