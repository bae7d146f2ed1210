"""The Admin API of clients: their settings, what their mappers put into tokens, and their scopes.

https://www.keycloak.org/docs-api/latest/rest-api/index.html#_clients
"""

import uuid
from typing import Any

from django.http import HttpResponse, JsonResponse

from apps.sandbox.keycloak import admin_realm, realm, rights, users
from apps.sandbox.keycloak.answers import created, failed, nothing, refused
from apps.sandbox.keycloak.rights import Call, admin, listing

Row = dict[str, Any]
SEES = frozenset({"view-clients", "manage-clients"})
MANAGES = frozenset({"manage-clients"})
SCOPES = {"default": "defaultClientScopes", "optional": "optionalClientScopes"}
MAPPER = ("name", "protocol", "protocolMapper", "config")


def list_clients(call: Call) -> HttpResponse:
    """GET /clients, by `clientId` when it is given. Secrets are shown, as a real server does before 26.8."""
    wanted = call.query.get("clientId", "")
    names = [name for name in realm.state()["clients"] if not wanted or name == wanted]
    return listing(call.page([realm.client(name) for name in names]))


def create_client(call: Call) -> HttpResponse:
    """POST /clients: what is not sent is as Keycloak's defaults have it."""
    given, known = rights.body_object(call), realm.state()["clients"]
    name = str(given.get("clientId") or "")
    if not name:
        raise refused(400, "Client id missing")
    if name in known:
        raise refused(409, f"Client {name} already exists")
    known[name] = {
        "id": str(uuid.uuid4()), "clientId": name, "enabled": True, "publicClient": False, "standardFlowEnabled": True,
        "implicitFlowEnabled": False, "directAccessGrantsEnabled": False, "serviceAccountsEnabled": False,
        "frontchannelLogout": False, "fullScopeAllowed": True, "redirectUris": [], "attributes": {}, "protocolMappers": [],
        "secret": uuid.uuid4().hex, "defaultClientScopes": ["web-origins", "acr", "profile", "roles", "basic", "email"],
        "optionalClientScopes": ["address", "phone", "offline_access", "organization", "microprofile-jwt"],
    } | given | {"attributes": _texts(given.get("attributes") or {})}  # fmt: skip
    return created(f"{_address()}/{known[name]['id']}")


def _address() -> str:
    return f"{realm.base()}/admin/realms/{realm.name()}/clients"


def get_client(_call: Call, client_uuid: str) -> HttpResponse:
    return JsonResponse(realm.client(client_row(client_uuid)["clientId"]) or {})


def put_client(call: Call, client_uuid: str) -> HttpResponse:
    """PUT /clients/{uuid}: what is not sent stays, attributes one by one; mappers and scopes have addresses of their own."""
    row, given = client_row(client_uuid), rights.body_object(call)
    kept = {name: row[name] for name in ("id", "clientId", "protocolMappers", *SCOPES.values()) if name in row}
    row |= given | {"attributes": row["attributes"] | _texts(given.get("attributes") or {})} | kept
    return nothing()


def client_row(client_uuid: str) -> Row:
    """The client as it is kept. Raises RefusedError (404)."""
    for row in realm.state()["clients"].values():
        if row["id"] == client_uuid:
            found: Row = row
            return found
    raise failed(404, "Could not find client")


def service_account(_call: Call, client_uuid: str) -> HttpResponse:
    client = client_row(client_uuid)
    name = client["clientId"]
    if not client.get("serviceAccountsEnabled"):
        raise failed(400, f"Service account not enabled for the client '{name}'")
    user = next((row for row in users.every().values() if row["serviceAccountClientId"] == name), None)
    if user is None:
        raise failed(404, "Service account user not found")
    return JsonResponse(users.as_json(user, brief=False))


# --- mappers ----------------------------------------------------------------------------------------------------------


def list_mappers(_call: Call, client_uuid: str) -> HttpResponse:
    return listing([_mapper_json(row) for row in _mappers(client_uuid)])


def create_mapper(call: Call, client_uuid: str) -> HttpResponse:
    """POST …/models: the answer has no body."""
    made, rows = _mapper_from(call), _mappers(client_uuid)
    if any(row["name"] == made["name"] for row in rows):
        raise refused(409, "Protocol mapper exists with same name")
    rows.append(made | {"id": str(uuid.uuid4())})
    return created(f"{_address()}/{client_uuid}/protocol-mappers/models/{rows[-1]['id']}")


def get_mapper(_call: Call, client_uuid: str, mapper_id: str) -> HttpResponse:
    return JsonResponse(_mapper_json(_mapper(client_uuid, mapper_id)))


def put_mapper(call: Call, client_uuid: str, mapper_id: str) -> HttpResponse:
    """PUT …/models/{id}: the whole of it."""
    row = _mapper(client_uuid, mapper_id)
    row |= _mapper_from(call)
    return nothing()


def delete_mapper(_call: Call, client_uuid: str, mapper_id: str) -> HttpResponse:
    _mappers(client_uuid).remove(_mapper(client_uuid, mapper_id))
    return nothing()


def _mapper_from(call: Call) -> Row:
    """The mapper sent; values of its configuration are texts, whatever is sent."""
    given = rights.body_object(call)
    return {name: given.get(name, "") for name in MAPPER} | {"config": _texts(given.get("config") or {})}


def _texts(given: Row) -> dict[str, str]:
    """Maps of Keycloak's hold texts; `true` becomes one."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}


def _mappers(client_uuid: str) -> list[Row]:
    """The client's mappers; those of the realm file get their ids here."""
    row = client_row(client_uuid)
    for mapper in row["protocolMappers"]:
        mapper.setdefault("id", realm.fixed_id(realm.name(), "mapper", row["clientId"], mapper["name"]))
    rows: list[Row] = row["protocolMappers"]
    return rows


def _mapper(client_uuid: str, mapper_id: str) -> Row:
    for row in _mappers(client_uuid):
        if row["id"] == mapper_id:
            return row
    raise failed(404, "Model not found")


def _mapper_json(row: Row) -> Row:
    return {"consentRequired": False} | row


# --- scopes -----------------------------------------------------------------------------------------------------------


def list_scopes(_call: Call) -> HttpResponse:
    scopes = realm.state()["scopes"].items()
    return listing(
        [{"id": key, "name": name, "protocol": "openid-connect", "protocolMappers": []} for name, key in scopes]
    )


def put_scope(_call: Call, client_uuid: str, kind: str, scope_id: str) -> HttpResponse:
    name, names = _scope(scope_id), client_row(client_uuid).setdefault(SCOPES[kind], [])
    if name not in names:
        names.append(name)
    return nothing()


def delete_scope(_call: Call, client_uuid: str, kind: str, scope_id: str) -> HttpResponse:
    name, names = _scope(scope_id), client_row(client_uuid).setdefault(SCOPES[kind], [])
    if name in names:
        names.remove(name)
    return nothing()


def _scope(scope_id: str) -> str:
    for name, key in realm.state()["scopes"].items():
        if key == scope_id:
            return str(name)
    raise failed(404, "Client scope not found")


NO = (admin_realm.refuse, rights.ANYBODY)
clients = admin(GET=(list_clients, SEES), POST=(create_client, MANAGES))
client = admin(GET=(get_client, SEES), PUT=(put_client, MANAGES), DELETE=NO)
account = admin(GET=(service_account, SEES))
mappers = admin(GET=(list_mappers, SEES), POST=(create_mapper, MANAGES))
mapper = admin(GET=(get_mapper, SEES), PUT=(put_mapper, MANAGES), DELETE=(delete_mapper, MANAGES))
scopes = admin(GET=(list_scopes, SEES | {"view-realm"}), POST=NO)
client_scope = admin(PUT=(put_scope, MANAGES), DELETE=(delete_scope, MANAGES))
