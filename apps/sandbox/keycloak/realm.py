"""The realm: what the realm file says (settings, clients, groups, people, user profile), kept in the store.

`fill` reads the file once into the store; everything else reads and writes the store. The file's format is Keycloak's
own realm export: the same file serves a real server (`run/realm_file.py`).
"""

import json
import os
import secrets
import uuid
from typing import Any

from apps.sandbox import clock, settings
from apps.sandbox.keycloak import passwords
from apps.sandbox.run import realm_file
from apps.sandbox.store import store

Row = dict[str, Any]

PROFILE = "org.keycloak.userprofile.UserProfileProvider"
LISTS = ("clients", "groups", "users", "components", "localizationTexts")


def fill() -> None:
    """Build the realm from the file if the store has none yet. The caller holds the store's lock."""
    from apps.sandbox.keycloak import roles  # it needs the realm; the realm needs it here only

    if not store.data["keycloak"]:
        store.data["keycloak"] = _built(realm_file.read())
    roles.complete(state(), name())


def state() -> Row:
    """The whole state of the Keycloak stand-in."""
    found: Row = store.data["keycloak"]
    return found


def settings_of_realm() -> Row:
    """The realm's own settings (`accessTokenLifespan`, `passwordPolicy`, …) as in the file."""
    found: Row = state()["realm"]
    return found


def name() -> str:
    """The realm's name."""
    return str(settings_of_realm()["realm"])


def base() -> str:
    """The stand-in's address, like a real server's: what `KEYCLOAK_SERVER_URL` is set to."""
    return f"{settings.BASE_URL}/keycloak"


def url() -> str:
    """The realm's address, also the issuer of its tokens."""
    return f"{base()}/realms/{name()}"


def fixed_id(*parts: str) -> str:
    """An id that is the same after every start and reset."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("keycloak", *parts))))


def client(client_id: str) -> Row | None:
    """A client of the realm; its addresses are those of where everything runs now, whatever the kept state began with."""
    found: Row | None = state()["clients"].get(client_id)
    return realm_file.filled(found, _environment()) if found else None


def client_by_uuid(client_uuid: str) -> Row | None:
    """A client by its own id rather than its client id."""
    rows = state()["clients"].values()
    return next((client(row["clientId"]) for row in rows if row["id"] == client_uuid), None)


def texts(language: str) -> dict[str, str]:
    """What the realm says in its own words, by the keys of Keycloak's messages."""
    return realm_file.filled(state().get("texts", {}).get(language, {}), _environment())


def _environment() -> dict[str, str]:
    """What fills the realm file's placeholders: the application's address is the one the sandbox was told."""
    return {"FRONTDESK_BACKCHANNEL_URL": settings.APP_URL} | os.environ | {"FRONTDESK_URL": settings.APP_URL}


def _built(file: Row) -> Row:
    realm_name = file["realm"]
    profile = file["components"][PROFILE][0]["config"]["kc.user.profile.config"][0]
    groups: dict[str, Row] = {}
    for group in file["groups"]:
        _add_group(groups, group, realm_name, parent=None)
    built: Row = {
        "realm": realm_file.filled({key: value for key, value in file.items() if key not in LISTS}, os.environ)
        | {"id": fixed_id(realm_name), "notBefore": 0, "era": 0},
        "clients": {row["clientId"]: _client(row, realm_name) for row in file["clients"]},
        "groups": groups,
        "profile": json.loads(profile),
        "texts": file.get("localizationTexts", {}),
        "users": {},
        "born": {},
        "sessions": {},
        "offline": {},
        "logins": {},
        "codes": {},
        "spent": {},
        "keys": [],
        "secret": secrets.token_hex(64),
    }
    for user in file["users"]:
        row = _user(user, realm_name, groups)
        built["users"][row["id"]] = row
        built["born"][row["username"]] = 1
    return built


def _client(row: Row, realm_name: str) -> Row:
    return (
        {"redirectUris": [], "attributes": {}, "protocolMappers": []}
        | row
        | {"id": fixed_id(realm_name, "client", row["clientId"])}
    )


def _add_group(groups: dict[str, Row], given: Row, realm_name: str, parent: Row | None) -> None:
    path = f"{parent['path'] if parent else ''}/{given['name']}"
    row = {
        "id": given.get("id") or fixed_id(realm_name, "group", path),
        "name": given["name"],
        "path": path,
        "parentId": parent["id"] if parent else None,
        "attributes": given.get("attributes", {}),
    }
    groups[row["id"]] = row
    for child in given.get("subGroups", []):
        _add_group(groups, child, realm_name, row)


def _user(given: Row, realm_name: str, groups: dict[str, Row]) -> Row:
    by_path = {row["path"]: row["id"] for row in groups.values()}
    username = given["username"].lower()
    secret = next((c["value"] for c in given.get("credentials", []) if c["type"] == "password"), "")
    return {
        "id": fixed_id(realm_name, "user", username),
        "username": username,
        "email": given.get("email", ""),
        "emailVerified": given.get("emailVerified", False),
        "enabled": given.get("enabled", False),
        "firstName": given.get("firstName", ""),
        "lastName": given.get("lastName", ""),
        "attributes": given.get("attributes", {}),
        "requiredActions": given.get("requiredActions", []),
        "groups": [by_path[path] for path in given.get("groups", [])],
        "createdTimestamp": clock.now() * 1000,
        "notBefore": 0,
        "era": 0,
        "passwords": [passwords.hashed(secret)] if secret else [],
        "failures": {"count": 0, "until": 0},
        "serviceAccountClientId": given.get("serviceAccountClientId", ""),
        "clientRoles": given.get("clientRoles", {}),
    }
