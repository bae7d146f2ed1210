"""Who may do what: tokens, the service account's field, and the doctor who only reads."""

import time
import uuid

import pytest

from tests.contract.servers import Server
from tests.sandbox.keycloak_fixture import Browser

SYNC = "frontdesk-sync"
UNAUTHORIZED = {"error": "HTTP 401 Unauthorized"}
FORBIDDEN = {"error": "HTTP 403 Forbidden"}


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic x"}],
    ids=["none", "made up", "basic"],
)
def test_without_a_good_token_nothing_is_answered(server: Server, headers: dict[str, str]) -> None:
    answer = server.call("GET", "/users", headers=headers)
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/clients"),
        ("GET", "/roles"),
        ("GET", "/client-scopes"),
        ("GET", "/components"),
        ("GET", "/keys"),
        ("GET", "/authentication/flows"),
        ("GET", "/identity-provider/instances"),
        ("GET", "/events"),
        ("GET", "/admin-events"),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/clients"),
        ("POST", "/push-revocation"),
        ("PUT", "/users/profile"),
        ("POST", "/users/{user}/impersonation"),
        ("DELETE", "/events"),
        ("POST", "/roles"),
        ("POST", "/identity-provider/instances"),
        ("GET", "/clients-initial-access"),
    ],
)
def test_the_service_account_may_not_leave_its_field(server: Server, method: str, path: str) -> None:
    answer = server.call(method, path.format(user=server.make()[0]), json={}, client=SYNC)
    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)


def test_the_service_account_makes_nobody_an_administrator(server: Server) -> None:
    doctor = {"client": "frontdesk-doctor"}
    found = server.call("GET", "/clients?clientId=realm-management", **doctor).json()
    client = found[0]["id"] if found else str(uuid.uuid4())
    role = server.call("GET", f"/clients/{client}/roles/realm-admin", **doctor).json() | {"name": "realm-admin"}
    path = f"/users/{server.make()[0]}/role-mappings/clients/{client}"
    answer = server.call("POST", path, json=[role], client=SYNC)
    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)


def test_the_realm_shows_the_service_account_a_few_public_fields(server: Server) -> None:
    answer = server.call("GET", "", client=SYNC)
    assert (answer.status_code, answer.json()["realm"]) == (200, server.realm)
    assert answer.json().keys() == {
        "realm",
        "displayName",
        "registrationEmailAsUsername",
        "bruteForceProtected",
        "supportedLocales",
        "defaultLocale",
        "organizationsEnabled",
    }


def test_the_doctor_reads(server: Server) -> None:
    user_id, doctor = server.make()[0], {"client": "frontdesk-doctor"}
    assert server.call("GET", f"/users/{user_id}", **doctor).status_code == 200
    (web,) = server.call("GET", "/clients?clientId=frontdesk-web", **doctor).json()
    assert web["attributes"]["pkce.code.challenge.method"] == "S256"
    assert server.call("GET", "", **doctor).json()["passwordPolicy"].startswith("length(12)")
    assert server.call("GET", "/users/profile", **doctor).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/users/{user}"),
        ("DELETE", "/users/{user}"),
        ("POST", "/users"),
        ("POST", "/groups"),
        ("POST", "/clients"),
        ("PUT", ""),
        ("PUT", "/users/profile"),
        ("POST", "/roles"),
        ("POST", "/client-scopes"),
        ("POST", "/testSMTPConnection"),
        ("PUT", "/users/{user}/send-verify-email"),
    ],
)
def test_the_doctor_may_not_write(server: Server, method: str, path: str) -> None:
    answer = server.call(method, path.format(user=server.make()[0]), json={}, client="frontdesk-doctor")
    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)


def test_a_persons_token_is_no_administrators(server: Server) -> None:
    user_id, name = server.make(groups=["/staff/admin"])
    server.set_password(user_id)
    token = server.log_in(Browser(), name)["access_token"]
    for path in ("/users", f"/users/{user_id}", f"/users/{uuid.uuid4()}", "/groups", "/users/profile"):
        answer = server.call("GET", path, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()) == (403, FORBIDDEN)


def test_an_unknown_realm(server: Server) -> None:
    answer = server.call("GET", f"/../{server.realm}-nope/users")
    assert (answer.status_code, answer.json()) == (404, {"error": "Realm not found."})


def test_a_service_account_gets_no_refresh_token(server: Server) -> None:
    given = server.token().json()
    assert "refresh_token" not in given
    assert (given["expires_in"], given["refresh_expires_in"]) == (300, 0)


def test_logout_all_voids_our_own_token_until_we_ask_for_another(server: Server) -> None:
    server.forget_bearers()
    old = server.bearer(SYNC)
    time.sleep(1.1)  # tokens of the same second stay good
    assert server.call("POST", "/logout-all").status_code == 200
    answer = server.call("GET", "/users", headers=old)
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)
    server.forget_bearers()
    assert server.call("GET", "/users", params={"max": 1}, client=SYNC).status_code == 200
