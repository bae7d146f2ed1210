"""The realm file, as each server has understood it: nothing in it was dropped, renamed or filled in otherwise."""

from typing import Any

import pytest

from apps.sandbox.run import realm_file
from tests.contract import servers
from tests.contract.servers import Server

FILE = realm_file.read()
DOCTOR = {"client": "frontdesk-doctor"}
CLIENTS = [client["clientId"] for client in FILE["clients"]]
SERVICES = [user for user in FILE["users"] if "serviceAccountClientId" in user]


def asked(server: Server, part: Any) -> Any:
    """A part of the file with this server's addresses in it. The mails' port differs from run to run: left out."""
    given = servers.values(server.told, 0)
    return realm_file.filled(part, {name: value for name, value in given.items() if name != "KC_SMTP_PORT"})


def one_client(server: Server, name: str) -> dict[str, Any]:
    (found,) = server.call("GET", f"/clients?clientId={name}", **DOCTOR).json()
    return dict(found)


def test_every_setting(server: Server) -> None:
    there = server.call("GET", "", **DOCTOR).json()
    wanted = {name: value for name, value in asked(server, FILE).items() if not isinstance(value, (list, dict))}
    wanted["realm"] = server.realm
    assert {name: there.get(name) for name in wanted} == wanted
    assert there["smtpServer"]["from"] == FILE["smtpServer"]["from"]
    assert there["smtpServer"]["host"] == "127.0.0.1"


@pytest.mark.parametrize("name", CLIENTS)
def test_every_client(server: Server, name: str) -> None:
    there = one_client(server, name)
    wanted = next(asked(server, client) for client in FILE["clients"] if client["clientId"] == name)
    for key, value in wanted.items():
        if key == "attributes":
            assert {which: there[key].get(which) for which in value} == value
        elif key == "protocolMappers":
            found = {row["name"]: row["config"] for row in there[key]}
            for mapper in value:
                assert found[mapper["name"]] | mapper["config"] == found[mapper["name"]]
        elif key not in {"secret", "authorizationSettings"}:  # of these test_least_rights tells
            same = sorted if isinstance(value, list) else lambda one: one
            assert same(there[key]) == same(value), key


@pytest.mark.parametrize("user", SERVICES, ids=lambda user: str(user["serviceAccountClientId"]))
def test_service_accounts_have_the_rights_of_the_file_and_no_others(server: Server, user: dict[str, Any]) -> None:
    (found,) = server.call("GET", "/users", params={"username": user["username"], "exact": "true"}).json()
    there = server.call("GET", f"/users/{found['id']}/role-mappings", **DOCTOR).json()
    given = {name: sorted(one["name"] for one in rows["mappings"]) for name, rows in there["clientMappings"].items()}
    assert given == {name: sorted(roles) for name, roles in user["clientRoles"].items()}
    assert {row["name"] for row in there.get("realmMappings", [])} <= {f"default-roles-{server.realm}"}
    assert server.call("GET", f"/users/{found['id']}/groups").json() == []


def test_every_group(server: Server) -> None:
    for top in FILE["groups"]:
        found = server.call("GET", f"/group-by-path/{top['name']}").json()
        assert found.get("realmRoles", []) == []
        assert found.get("clientRoles", {}) == {}  # a group that maps an admin role is a way to become one
        below = server.call("GET", f"/groups/{found['id']}/children").json()
        assert {row["name"] for row in below} >= {row["name"] for row in top.get("subGroups", [])}
