"""Logging in, tokens and logging out, as browsers and clients meet them."""

import re
import time
from typing import Any

import jwt
import pytest
import requests

from tests.contract.servers import DISABLED, REFUSED, Server
from tests.sandbox.keycloak_fixture import APP, CALLBACK, PASSWORD, Browser, action, claims, query_of


@pytest.fixture
def person(server: Server) -> tuple[str, str]:
    """Somebody with a password: id and name."""
    user_id, name = server.make(firstName="Nora", lastName="New")
    server.set_password(user_id)
    return user_id, name


class TestDiscovery:
    """/.well-known/openid-configuration and /certs."""

    def test_it_names_the_endpoints(self, server: Server) -> None:
        found = requests.get(f"{server.issuer}/.well-known/openid-configuration", timeout=10).json()
        assert found["issuer"] == server.issuer
        assert found["authorization_endpoint"] == f"{server.oidc}/auth"
        assert found["token_endpoint"] == f"{server.oidc}/token"
        assert found["userinfo_endpoint"] == f"{server.oidc}/userinfo"
        assert found["jwks_uri"] == f"{server.oidc}/certs"
        assert found["end_session_endpoint"] == f"{server.oidc}/logout"
        assert found["introspection_endpoint"] == f"{server.oidc}/token/introspect"
        assert found["revocation_endpoint"] == f"{server.oidc}/revoke"
        assert found["backchannel_logout_session_supported"] is True
        assert found["authorization_response_iss_parameter_supported"] is True

    def test_an_unknown_realm(self, server: Server) -> None:
        url = f"{server.issuer}-nope/.well-known/openid-configuration"
        assert requests.get(url, timeout=10).status_code == 404

    def test_a_path_with_a_semicolon_is_refused(self, server: Server) -> None:
        url = f"{server.issuer}/.well-known/openid-configuration;x=1"
        assert requests.get(url, timeout=10).status_code in {400, 404}


class TestLogin:
    """From the authorization endpoint to tokens."""

    def test_the_redirect_and_the_signed_tokens(self, server: Server, person: tuple[str, str]) -> None:
        user_id, name = person
        server.call("PUT", f"/users/{user_id}/groups/{server.group_id('/staff/viewer')}")
        browser = Browser()
        verifier, page = server.start_login(browser)
        location = server.fill_in(browser, page, f"{name}@example.com").headers["Location"]
        back = query_of(location)
        assert set(back) == {"code", "state", "session_state", "iss"}
        assert (back["state"], back["iss"]) == ("the-state", server.issuer)
        given = server.exchange(location, verifier, client="frontdesk-web", redirect_uri=CALLBACK).json()
        key = jwt.PyJWKClient(f"{server.oidc}/certs").get_signing_key_from_jwt(given["id_token"])
        said = jwt.decode(given["id_token"], key, algorithms=["RS256"], audience="frontdesk-web", issuer=server.issuer)
        assert (said["sub"], said["nonce"], said["preferred_username"]) == (user_id, "the-nonce", name)
        assert (said["groups"], said["email_verified"]) == (["/staff/viewer"], True)
        assert (said["acr"], len(said["sid"])) == ("1", 24)
        assert said["sid"] == back["session_state"]
        assert abs(said["auth_time"] - said["iat"]) <= 2
        assert said["exp"] - said["iat"] == 300
        headers = {"Authorization": f"Bearer {given['access_token']}"}
        info = requests.get(f"{server.oidc}/userinfo", headers=headers, timeout=10).json()
        assert (info["sub"], info["groups"]) == (user_id, ["/staff/viewer"])

    def said(self, server: Server, name: str, password: str) -> str:
        browser = Browser()
        _, page = server.start_login(browser)
        answer = server.fill_in(browser, page, name, password)
        assert answer.status_code == 200
        return answer.text

    def test_a_wrong_password_and_nobody_of_that_name(self, server: Server, person: tuple[str, str]) -> None:
        assert REFUSED in self.said(server, person[1], "wrong")
        assert REFUSED in self.said(server, server.name(), PASSWORD)

    def test_somebody_disabled_reads_so_with_the_right_password_only(
        self, server: Server, person: tuple[str, str]
    ) -> None:
        user_id, name = person
        server.call("PUT", f"/users/{user_id}", json={"enabled": False})
        assert DISABLED in self.said(server, name, PASSWORD)
        assert REFUSED in self.said(server, name, "wrong")

    def test_who_cannot_get_in_is_led_to_our_recovery_page(self, server: Server, person: tuple[str, str]) -> None:
        user_id, name = person
        _, page = server.start_login(Browser())
        refused = self.said(server, name, "wrong")
        server.call("PUT", f"/users/{user_id}", json={"enabled": False})
        closed = self.said(server, name, PASSWORD)
        for one in (page.text, refused, closed):
            assert re.search(rf'<a href="{APP}/recovery/"[^>]*>Cannot get in\?</a>', one)
        assert all("Choose “Cannot get in?” above" in one for one in (refused, closed))

    def test_five_wrong_passwords_lock_the_door_until_an_administrator_enables(
        self, server: Server, person: tuple[str, str]
    ) -> None:
        user_id, name = person
        browser = Browser()
        _, page = server.start_login(browser)
        for _ in range(5):
            page = server.fill_in(browser, page, name, "wrong")
        page = server.fill_in(browser, page, name)
        assert page.status_code == 200
        assert server.user(user_id)["enabled"] is True  # the lock does not show
        server.call("PUT", f"/users/{user_id}", json={"enabled": True})
        assert server.fill_in(browser, page, name).status_code == 302

    @pytest.mark.parametrize(
        ("wish", "error", "words"),
        [
            (
                {"code_challenge": None, "code_challenge_method": None},
                "invalid_request",
                "Missing parameter: code_challenge_method",
            ),
            ({"code_challenge": None}, "invalid_request", "Missing parameter: code_challenge"),
            (
                {"code_challenge_method": "plain"},
                "invalid_request",
                "Invalid parameter: code challenge method is not matching the configured one",
            ),
            ({"response_type": None}, "invalid_request", "Missing parameter: response_type"),
            ({"prompt": "none"}, "login_required", None),
        ],
        ids=["no PKCE", "no challenge", "plain", "no response type", "no session"],
    )
    def test_a_wrong_request_goes_back_to_the_client(
        self, server: Server, wish: dict[str, str | None], error: str, words: str | None
    ) -> None:
        _, answer = server.start_login(Browser(), **wish)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(CALLBACK)
        back = query_of(answer.headers["Location"])
        assert (back["error"], back.get("error_description")) == (error, words)
        assert (back["state"], back["iss"]) == ("the-state", server.issuer)

    @pytest.mark.parametrize(
        "wish",
        [
            {"redirect_uri": "http://evil.example/"},
            {"redirect_uri": f"{CALLBACK}more"},
            {"client_id": "nope"},
            {"client_id": "frontdesk-sync"},
        ],
        ids=["foreign address", "address not exact", "unknown client", "client without login"],
    )
    def test_a_wrong_client_or_address_stays_here(self, server: Server, wish: dict[str, str]) -> None:
        _, answer = server.start_login(Browser(), **wish)
        assert answer.status_code == 400
        assert "We are sorry" in answer.text

    def test_a_code_works_once_for_its_client_address_and_verifier(
        self, server: Server, person: tuple[str, str]
    ) -> None:
        def code() -> tuple[str, str]:
            browser = Browser()
            verifier, page = server.start_login(browser)
            return server.fill_in(browser, page, person[1]).headers["Location"], verifier

        def error(location: str, verifier: str | None, redirect_uri: str = CALLBACK) -> tuple[int, str]:
            answer = server.exchange(location, verifier, client="frontdesk-web", redirect_uri=redirect_uri)
            return answer.status_code, str(answer.json().get("error_description", ""))

        location, verifier = code()
        assert error(location, verifier) == (200, "")
        assert error(location, verifier) == (400, "Code not valid")
        assert error(code()[0], "w" * 43) == (400, "PKCE verification failed: Code mismatch")
        assert error(code()[0], "short") == (400, "PKCE verification failed: Invalid code verifier")
        assert error(code()[0], None) == (400, "PKCE code verifier not specified")
        location, verifier = code()
        assert error(location, verifier, f"{APP}/accounts/welcome/") == (400, "Incorrect redirect_uri")

    def test_single_sign_on_answers_without_a_form_and_with_acr_0(
        self, server: Server, person: tuple[str, str]
    ) -> None:
        browser = Browser()
        first = claims(server.log_in(browser, person[1])["id_token"])
        time.sleep(1.1)
        second = claims(server.log_in(browser, **server.nextcloud)["id_token"])
        assert (second["acr"], second["sid"]) == ("0", first["sid"])
        assert (second["auth_time"], second["sub"]) == (first["auth_time"], person[0])

    def test_max_age_asks_again_and_renews_auth_time(self, server: Server, person: tuple[str, str]) -> None:
        browser = Browser()
        first = claims(server.log_in(browser, person[1])["id_token"])
        time.sleep(2.1)
        _, page = server.start_login(browser, max_age="1")
        assert page.status_code == 200
        again = claims(server.log_in(browser, person[1], max_age="1")["id_token"])
        assert (again["sid"], again["acr"]) == (first["sid"], "1")
        assert again["auth_time"] >= first["auth_time"] + 2

    def test_prompt_login_asks_again(self, server: Server, person: tuple[str, str]) -> None:
        browser = Browser()
        server.log_in(browser, person[1])
        assert server.start_login(browser, prompt="login")[1].status_code == 200
        assert server.start_login(browser)[1].status_code == 302

    def test_mapped_attributes_reach_the_product(self, server: Server) -> None:
        user_id, name = server.make(
            attributes={"has_nextcloud": ["true"], "nextcloud_instance": ["nextcloud-1"]},
            groups=["/frontdesk/nextcloud-1"],
        )
        server.set_password(user_id)
        given = server.log_in(Browser(), name, **server.nextcloud)
        headers = {"Authorization": f"Bearer {given['access_token']}"}
        info = requests.get(f"{server.oidc}/userinfo", headers=headers, timeout=10).json()
        for said in (claims(given["id_token"]), claims(given["access_token"]), info):
            assert said["has_nextcloud"] is True
            assert (said["nextcloud_instance"], said["groups"]) == ("nextcloud-1", ["/frontdesk/nextcloud-1"])

    def test_an_attribute_that_is_absent_is_no_claim(self, server: Server, person: tuple[str, str]) -> None:
        said = claims(server.log_in(Browser(), person[1], **server.nextcloud)["id_token"])
        assert not {"has_nextcloud", "nextcloud_instance"} & said.keys()

    def test_update_password_is_asked_for_before_going_on(self, server: Server) -> None:
        user_id, name = server.make()
        given = {"type": "password", "value": "temporary battery", "temporary": True}
        server.call("PUT", f"/users/{user_id}/reset-password", json=given)
        browser = Browser()
        _, page = server.start_login(browser)
        page = server.follow(browser, server.fill_in(browser, page, name, "temporary battery"))
        assert "Update password" in page.text
        answer = browser("POST", action(page), data={"password-new": PASSWORD, "password-confirm": PASSWORD})
        assert "code" in query_of(answer.headers["Location"])
        assert server.user(user_id)["requiredActions"] == []

    def test_an_unproven_mailbox_is_asked_for_by_mail(self, server: Server) -> None:
        user_id, name = server.make(emailVerified=False)
        server.set_password(user_id)
        browser = Browser()
        _, page = server.start_login(browser)
        answer = server.follow(browser, server.fill_in(browser, page, name))
        assert "verify your email address" in answer.text
        assert server.mail(f"{name}@")["subject"] == "Verify email"
        assert server.user(user_id)["emailVerified"] is False

    def test_a_forgotten_password_is_mailed_without_a_word_on_who_exists(
        self, server: Server, person: tuple[str, str]
    ) -> None:
        nobody = server.name()
        pages = []
        for name in (person[1], nobody):
            browser = Browser()
            _, page = server.start_login(browser)
            page = browser("GET", server.forgotten(page))
            pages.append(server.follow(browser, browser("POST", action(page), data={"username": name})).text)
        assert all("an email with a link is on its way. No email?" in page for page in pages)
        assert server.mail(f"{person[1]}@")["subject"] == "Reset password"
        assert server.inbox(nobody) == []


class TestTokenRequests:
    """POST /token."""

    @pytest.mark.parametrize(
        ("form", "status", "words"),
        [
            ({"grant_type": None}, 400, "Missing form parameter: grant_type"),
            ({"grant_type": ""}, 400, "Unsupported grant_type"),
            ({"grant_type": "x"}, 400, "Unsupported grant_type"),
            ({"client_secret": "bad"}, 401, "Invalid client or Invalid client credentials"),
            ({"client_id": "nope"}, 401, "Invalid client or Invalid client credentials"),
            ({"grant_type": "authorization_code"}, 400, "Missing parameter: code"),
            ({"grant_type": "authorization_code", "code": "x"}, 400, "Code not valid"),
            ({"grant_type": "refresh_token"}, 400, "No refresh token"),
            ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "Invalid refresh token"),
            ({"grant_type": "client_credentials"}, 401, "Client not enabled to retrieve service account"),
            ({"grant_type": "password"}, 400, "Client not allowed for direct access grants"),
        ],
    )
    def test_bad(self, server: Server, form: dict[str, str | None], status: int, words: str) -> None:
        answer = server.token("frontdesk-web", **form)
        assert (answer.status_code, answer.json()["error_description"]) == (status, words)


class TestLogout:
    """GET /logout."""

    def ask(self, server: Server, browser: Browser, **query: str) -> Any:
        return browser("GET", f"{server.oidc}/logout", params=query)

    def test_with_a_hint_it_goes_straight_back(self, server: Server, person: tuple[str, str]) -> None:
        browser = Browser()
        hint = server.log_in(browser, person[1])["id_token"]
        answer = self.ask(server, browser, id_token_hint=hint, post_logout_redirect_uri=f"{APP}/", state="s")
        assert (answer.status_code, answer.headers["Location"]) == (302, f"{APP}/?state=s")
        assert server.start_login(browser)[1].status_code == 200
        assert server.sessions(person[0]) == []

    def test_the_other_clients_of_the_session_are_told(self, server: Server, person: tuple[str, str]) -> None:
        browser = Browser()
        hint = server.log_in(browser, person[1])["id_token"]
        server.log_in(browser, person[1], **server.nextcloud)
        self.ask(server, browser, id_token_hint=hint, post_logout_redirect_uri=f"{APP}/")
        told = server.told.of(person[0], count=2, seconds=1)
        assert sorted(client for client, _, _ in told) == ["nextcloud", "web"]

    def test_without_a_hint_it_asks(self, server: Server, person: tuple[str, str]) -> None:
        browser = Browser()
        server.log_in(browser, person[1])
        page = self.ask(server, browser)
        assert "Do you want to log out?" in page.text
        assert len(server.sessions(person[0])) == 1
        done = server.follow(browser, browser("POST", action(page), data=server.hidden(page)))
        assert "You are logged out" in done.text
        assert server.sessions(person[0]) == []

    def test_another_server_ends_it_by_a_post_with_the_hint_and_without_a_cookie(
        self, server: Server, person: tuple[str, str]
    ) -> None:
        """What our logout does: of two browsers the one of the hint is out, its clients are told, and once more is no error."""
        browser, other = Browser(), Browser()
        hint, kept = (server.log_in(one, person[1])["id_token"] for one in (browser, other))
        form = {"client_id": "frontdesk-web", "id_token_hint": hint, "post_logout_redirect_uri": f"{APP}/"}
        for _ in range(2):
            answer = requests.post(f"{server.oidc}/logout", data=form, timeout=10, allow_redirects=False)
            assert (answer.status_code, answer.headers["Location"]) == (302, f"{APP}/")
            assert [row["id"] for row in server.sessions(person[0])] == [claims(kept)["sid"]]
        assert [client for client, _, _ in server.told.of(person[0], count=1)] == ["web"]
        assert server.start_login(browser)[1].status_code == 200  # the form
        assert server.start_login(other)[1].status_code == 302

    @pytest.mark.parametrize("account", ["disabled", "deleted"])
    def test_so_it_does_for_an_account_that_is_closed(
        self, account: str, server: Server, person: tuple[str, str]
    ) -> None:
        hint = server.log_in(Browser(), person[1])["id_token"]
        if account == "disabled":
            server.call("PUT", f"/users/{person[0]}", json={"enabled": False})
        else:
            server.call("DELETE", f"/users/{person[0]}")
        form = {"client_id": "frontdesk-web", "id_token_hint": hint, "post_logout_redirect_uri": f"{APP}/"}
        answer = requests.post(f"{server.oidc}/logout", data=form, timeout=10, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"{APP}/")
        assert account == "deleted" or server.sessions(person[0]) == []

    @pytest.mark.parametrize("wrong", ["hint", "client", "address", "kind of token"])
    def test_a_post_with_something_wrong_ends_nothing(
        self, wrong: str, server: Server, person: tuple[str, str]
    ) -> None:
        given = server.log_in(Browser(), person[1])
        form = {"client_id": "frontdesk-web", "id_token_hint": given["id_token"], "post_logout_redirect_uri": f"{APP}/"}
        form |= {
            "hint": {"id_token_hint": "x.y.z"},
            "client": {"client_id": "nextcloud"},
            "address": {"post_logout_redirect_uri": "http://evil.example/"},
            "kind of token": {"id_token_hint": given["access_token"]},
        }[wrong]
        answer = requests.post(f"{server.oidc}/logout", data=form, timeout=10, allow_redirects=False)
        assert answer.status_code == 400
        assert len(server.sessions(person[0])) == 1

    @pytest.mark.parametrize(
        "query",
        [
            {"post_logout_redirect_uri": "http://evil.example/", "client_id": "frontdesk-web"},
            {"post_logout_redirect_uri": f"{APP}/"},
            {"id_token_hint": "x.y.z"},
        ],
        ids=["foreign address", "address without a client", "made-up hint"],
    )
    def test_a_wrong_wish_is_refused(self, server: Server, query: dict[str, str]) -> None:
        assert self.ask(server, Browser(), **query).status_code == 400
