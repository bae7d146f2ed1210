"""Sessions and their end: disabling is not revocation, a logout is, and who is told of it."""

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import requests

from apps.identity import session_lists
from apps.identity.protocol import Identity
from apps.identity.session_lists import list_logged_in
from tests.contract.servers import Server
from tests.sandbox.keycloak_fixture import Browser, claims

WEB = {"client_id": "frontdesk-web", "client_secret": "dev-only-web-secret"}
EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Person:
    """Somebody who is logged in at two clients, by one browser."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.id, self.name = server.make()
        server.set_password(self.id)
        self.browser = Browser()
        self.web = server.log_in(self.browser, self.name)
        self.product = server.log_in(self.browser, self.name, **server.nextcloud)
        self.sid = claims(self.web["id_token"])["sid"]

    def offline(self) -> str:
        """An offline token of another browser of theirs."""
        given = self.server.log_in(Browser(), self.name, scope="openid offline_access", **self.server.nextcloud)
        assert claims(given["refresh_token"])["typ"] == "Offline"
        return str(given["refresh_token"])

    def put(self, **given: Any) -> None:
        assert self.server.call("PUT", f"/users/{self.id}", json=given).status_code == 204

    def log_out(self) -> None:
        answer = self.server.call("POST", f"/users/{self.id}/logout")
        assert (answer.status_code, answer.text) == (204, "")

    def refresh(self, token: str) -> tuple[int, str]:
        answer = self.server.token(claims(token)["azp"], grant_type="refresh_token", refresh_token=token)
        return answer.status_code, str(answer.json().get("error_description", ""))

    def introspect(self, token: str) -> dict[str, Any]:
        """What Keycloak tells the product of a token."""
        form = {"client_id": "nextcloud", "client_secret": "dev-only-nextcloud-secret", "token": token}
        found: dict[str, Any] = requests.post(f"{self.server.oidc}/token/introspect", data=form, timeout=10).json()
        return found

    def userinfo(self) -> int:
        headers = {"Authorization": f"Bearer {self.web['access_token']}"}
        return requests.get(f"{self.server.oidc}/userinfo", headers=headers, timeout=10).status_code


@pytest.fixture
def person(server: Server) -> Person:
    return Person(server)


class TestList:
    """GET /users/{id}/sessions."""

    def test_one_session_with_both_clients(self, server: Server, person: Person) -> None:
        (session,) = server.sessions(person.id)
        assert (session["id"], session["userId"], session["username"]) == (person.sid, person.id, person.name)
        assert sorted(session["clients"].values()) == ["frontdesk-web", "nextcloud"]

    def test_nobody_logged_in(self, server: Server) -> None:
        answer = server.call("GET", f"/users/{server.make()[0]}/sessions")
        assert (answer.status_code, answer.json()) == (200, [])

    def test_an_unknown_id(self, server: Server) -> None:
        for method, path in (("GET", "sessions"), ("POST", "logout")):
            answer = server.call(method, f"/users/00000000-0000-4000-8000-000000000000/{path}")
            assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})


def test_introspection_tells_nothing_to_who_is_not_in_the_audience(server: Server, person: Person) -> None:
    for token in (person.web["access_token"], person.web["refresh_token"]):
        answer = requests.post(f"{server.oidc}/token/introspect", data=WEB | {"token": token}, timeout=10)
        assert (answer.status_code, answer.json()) == (200, {"active": False})


def test_claims_are_those_of_the_last_refresh(server: Server, person: Person) -> None:
    """Trap 10: a product that keeps its token does not see what was given or taken meanwhile."""
    before = claims(person.product["access_token"])
    assert "has_nextcloud" not in before
    person.put(email=f"{person.name}@example.com", attributes={"has_nextcloud": ["true"]})
    server.call("PUT", f"/users/{person.id}/groups/{server.group_id('/frontdesk/nextcloud-1')}")
    given = server.token("nextcloud", grant_type="refresh_token", refresh_token=person.product["refresh_token"]).json()
    for token in (given["access_token"], given["id_token"]):
        assert (claims(token)["has_nextcloud"], claims(token)["groups"]) == (True, ["/frontdesk/nextcloud-1"])
    assert claims(given["id_token"])["auth_time"] == claims(person.product["id_token"])["auth_time"]


class TestDisable:
    """PUT enabled: false."""

    def test_keycloaks_own_endpoints_refuse_at_once_and_the_session_stays(self, server: Server, person: Person) -> None:
        assert person.userinfo() == 200
        person.put(enabled=False)
        assert person.userinfo() == 401
        assert person.refresh(person.web["refresh_token"]) == (400, "User disabled")
        assert len(server.sessions(person.id)) == 1

    @pytest.mark.only_on("keycloak", "the realm file gives no client an audience mapper, and the stand-in makes none")
    def test_introspection_by_the_tokens_audience_says_so_at_once(self, server: Server, person: Person) -> None:
        root = server.root()
        (client,) = server.call("GET", "/clients?clientId=nextcloud", headers=root).json()
        path = f"/clients/{client['id']}/protocol-mappers/models"
        config = {"included.client.audience": "nextcloud", "access.token.claim": "true"}
        given = {"protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper", "config": config}
        made = server.call("POST", path, json=given | {"name": "audience"}, headers=root)
        try:
            token = server.log_in(person.browser, person.name, **server.nextcloud)["access_token"]
            assert person.introspect(token)["active"] is True
            person.put(enabled=False)
            assert person.introspect(token) == {"active": False}
        finally:
            server.call("DELETE", f"{path}/{made.headers['Location'].rsplit('/', 1)[-1]}", headers=root)

    def test_what_was_signed_stays_signed_until_its_end(self, server: Server, person: Person) -> None:
        """So a product that checks nothing but the signature lets the person in for as long as a token lives."""
        person.put(enabled=False)
        token = person.product["access_token"]
        key = jwt.PyJWKClient(f"{server.oidc}/certs").get_signing_key_from_jwt(token)
        said = jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False}, issuer=server.issuer)
        assert said["exp"] - said["iat"] <= 300

    def test_nobody_is_told(self, server: Server, person: Person) -> None:
        person.put(enabled=False)
        assert server.told.of(person.id, count=1, seconds=0.5) == []

    def test_without_a_logout_enabling_lets_the_old_session_go_on(self, server: Server, person: Person) -> None:
        person.put(enabled=False)
        person.put(enabled=True)
        assert person.refresh(person.web["refresh_token"])[0] == 200


class TestLogout:
    """POST /users/{id}/logout."""

    def test_no_session_is_left_and_old_tokens_are_stale_even_when_enabled_again(
        self, server: Server, person: Person
    ) -> None:
        offline = person.offline()
        person.put(enabled=False)
        time.sleep(1.1)  # tokens of the same second would stay good
        person.log_out()
        assert server.sessions(person.id) == []
        person.put(enabled=True)
        assert person.refresh(person.web["refresh_token"]) == (400, "Session not active")
        assert person.refresh(offline) == (400, "Stale token")
        assert person.userinfo() == 401
        assert server.start_login(person.browser)[1].status_code == 200

    def test_each_client_of_the_session_is_told_at_once(self, server: Server, person: Person) -> None:
        before = time.monotonic()
        person.log_out()
        calls = server.told.of(person.id, count=2)
        assert sorted(client for client, _, _ in calls) == ["nextcloud", "web"]
        assert max(at for _, _, at in calls) - before < 2

    def test_the_logout_token(self, server: Server, person: Person) -> None:
        person.log_out()
        (token,) = [token for client, token, _ in server.told.of(person.id, count=2) if client == "nextcloud"]
        key = jwt.PyJWKClient(f"{server.oidc}/certs").get_signing_key_from_jwt(token)
        said = jwt.decode(token, key, algorithms=["RS256"], audience="nextcloud", issuer=server.issuer)
        header = jwt.get_unverified_header(token)
        assert (header["typ"], header["alg"]) == ("logout+jwt", "RS256")
        assert (said["typ"], said["sub"], said["sid"]) == ("Logout", person.id, person.sid)
        assert (said["exp"] - said["iat"], said["events"]) == (120, {EVENT: {}})
        assert said["jti"]
        assert "nonce" not in said

    def test_two_sessions_are_two_calls_for_each_client(self, server: Server, person: Person) -> None:
        other = server.log_in(Browser(), person.name)
        person.log_out()
        sids = sorted(
            claims(token)["sid"] for client, token, _ in server.told.of(person.id, count=3) if client == "web"
        )
        assert sids == sorted([person.sid, claims(other["id_token"])["sid"]])

    def test_a_refresh_token_revoked_before_makes_it_silent_for_its_client(
        self, server: Server, person: Person
    ) -> None:
        form = WEB | {"token": person.web["refresh_token"]}
        assert requests.post(f"{server.oidc}/revoke", data=form, timeout=10).status_code == 200
        person.log_out()
        assert [client for client, _, _ in server.told.of(person.id, count=2, seconds=1)] == ["nextcloud"]


class TestDelete:
    """DELETE /users/{id}."""

    def test_sessions_end_and_nobody_is_told(self, server: Server, person: Person) -> None:
        assert server.call("DELETE", f"/users/{person.id}").status_code == 204
        assert server.told.of(person.id, count=1, seconds=0.5) == []
        assert person.userinfo() == 401


class TestOffline:
    """GET and DELETE /users/{id}/consents."""

    def test_an_offline_token_shows_as_a_consent_and_ends_with_it(self, server: Server, person: Person) -> None:
        offline = person.offline()
        (consent,) = server.call("GET", f"/users/{person.id}/consents").json()
        assert consent["clientId"] == "nextcloud"
        assert [grant["key"] for grant in consent["additionalGrants"]] == ["Offline Token"]
        path = f"/users/{person.id}/consents/nextcloud"
        assert server.call("DELETE", path).status_code == 204
        assert person.refresh(offline)[0] == 400
        again = server.call("DELETE", path)
        assert (again.status_code, again.json()) == (404, {"error": "Consent nor offline token not found"})

    def test_a_logout_alone_leaves_the_offline_session(self, server: Server, person: Person) -> None:
        person.offline()
        person.log_out()
        assert len(server.call("GET", f"/users/{person.id}/consents").json()) == 1

    def test_an_unknown_client(self, server: Server, person: Person) -> None:
        answer = server.call("DELETE", f"/users/{person.id}/consents/nope")
        assert (answer.status_code, answer.json()) == (404, {"error": "Client not found"})


def test_many_writers_past_our_client_are_all_told_204(
    server: Server, at_once: Callable[[list[Callable[[], Any]]], list[Any]]
) -> None:
    """Trap 1: what they leave behind is anybody's guess, so only our jobs write (test_identity.py)."""
    user_id, name = server.make()
    headers = server.bearer()

    def put(number: int) -> Callable[[], int]:
        body = {"email": f"{name}@example.com", "attributes": {"has_nextcloud": [str(number)], f"a{number}": ["x"]}}
        return lambda: server.call("PUT", f"/users/{user_id}", json=body, headers=headers).status_code

    answers = at_once([put(number) for number in range(8)])
    assert set(answers) <= {204, 409, 500}
    assert 204 in answers


def test_the_account_that_reads_lists_everybody_who_is_logged_in(
    server: Server, identity: Identity, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = "frontdesk-doctor"
    settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = "dev-only-doctor-secret"
    monkeypatch.setattr(session_lists, "PAGE", 2)
    people = [Person(server) for _ in range(3)]
    ids = {one.id for one in people}
    assert ids <= (list_logged_in() or set())
    people[0].put(enabled=False)
    assert people[0].id in (list_logged_in() or ()), "who is disabled is still logged in"
    assert identity.session_count(people[0].id) >= 1
    for one in people[:2]:
        one.log_out()
    assert ids & (list_logged_in() or set()) == {people[2].id}
    settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = "wrong"
    assert list_logged_in() is None
    settings.KEYCLOAK_DOCTOR_CLIENT_ID, settings.KEYCLOAK_DOCTOR_CLIENT_SECRET = (
        "frontdesk-sync",
        "dev-only-sync-secret",
    )
    assert list_logged_in() is None, "it may not see clients"
