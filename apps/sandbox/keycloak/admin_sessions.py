"""The Admin API for user sessions: listing and ending them, and the offline tokens clients hold."""

from typing import Any

from django.http import HttpResponse

from apps.sandbox import clock
from apps.sandbox.keycloak import realm, rights, sessions, users
from apps.sandbox.keycloak.admin_clients import SEES, client_row
from apps.sandbox.keycloak.admin_users import managed_user, user_or_refuse
from apps.sandbox.keycloak.answers import failed, nothing, unknown_error
from apps.sandbox.keycloak.rights import Call, admin, listing

Row = dict[str, Any]


def logout_user(call: Call, user_id: str) -> HttpResponse:
    """POST /users/{id}/logout: every session ends, tokens made before are void, clients are told."""
    user = managed_user(call, user_id)
    if call.fault == "logout_fails":
        raise unknown_error()
    user["notBefore"] = clock.now()
    user["era"] += 1
    sessions.end(sessions.of_user(user_id))
    return nothing()


def list_sessions(call: Call, user_id: str) -> HttpResponse:
    user = user_or_refuse(call, user_id)
    rows = sessions.of_user(user_id)
    return listing([sessions.as_json(row, user["username"]) for row in rows])


def count_by_client(_call: Call) -> HttpResponse:
    """GET /client-session-stats: the clients that have sessions, with how many, as texts."""
    kept: dict[str, list[Row]] = {"active": sessions.every(), "offline": list(realm.state()["offline"].values())}
    names = sorted({name for rows in kept.values() for row in rows for name in row["clients"]})
    found = [(client, client["clientId"]) for name in names if (client := realm.client(name))]
    return listing(
        [
            {"id": client["id"], "clientId": name}
            | {kind: str(sum(name in row["clients"] for row in rows)) for kind, rows in kept.items()}
            for client, name in found
        ]
    )


def list_of_client(call: Call, client_uuid: str) -> HttpResponse:
    """GET /clients/{uuid}/user-sessions: of everybody who is logged in to the client, page by page."""
    name = client_row(client_uuid)["clientId"]
    rows = [row for row in sessions.every() if name in row["clients"]]
    known = {row["id"]: row for row in map(users.find, {row["user"] for row in rows}) if row}
    shown = [sessions.as_json(row, known[row["user"]]["username"]) for row in rows if row["user"] in known]
    return listing(call.page(shown))


def list_consents(call: Call, user_id: str) -> HttpResponse:
    """GET /users/{id}/consents: one row for each client that holds an offline token."""
    user = user_or_refuse(call, user_id)
    held = {name: realm.client(name) for row in _offline_of(user["id"]) for name in row["clients"]}
    return listing(
        [
            {
                "clientId": client_id,
                "grantedClientScopes": [],
                "additionalGrants": [{"client": client["id"], "key": "Offline Token"}],
            }
            for client_id, client in sorted(held.items())
            if client
        ]
    )


def delete_consent(call: Call, user_id: str, client_id: str) -> HttpResponse:
    """DELETE /users/{id}/consents/{client}: ends the client's offline sessions."""
    user = managed_user(call, user_id)
    if realm.client(client_id) is None:
        raise failed(404, "Client not found")
    held = _offline_of(user["id"], client_id)
    if not held:
        raise failed(404, "Consent nor offline token not found")
    for session in held:
        del session["clients"][client_id]
        if not session["clients"]:
            del realm.state()["offline"][session["id"]]
    return nothing()


def _offline_of(user_id: str, client_id: str = "") -> list[Row]:
    rows = realm.state()["offline"].values()
    return [row for row in rows if row["user"] == user_id and (not client_id or client_id in row["clients"])]


logout = admin(POST=(logout_user, rights.QUERY))
user_sessions = admin(GET=(list_sessions, rights.VIEW))
consents = admin(GET=(list_consents, rights.VIEW))
consent = admin(DELETE=(delete_consent, rights.QUERY))
session_counts = admin(GET=(count_by_client, frozenset({"view-realm"})))
client_sessions = admin(GET=(list_of_client, SEES))
