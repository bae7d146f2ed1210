"""Login, tokens, logout and mailed links of the Keycloak stand-in, driven as browsers and clients drive a real one."""

import http.server
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qs

import jwt
import pytest
import requests

from tests.sandbox.keycloak_fixture import (
    APP,
    CALLBACK,
    PASSWORD,
    Browser,
    Standin,
    action,
    claims,
    query_of,
    standin,
    standin_process,
)

__all__ = ["standin", "standin_process"]


class TestLogin:
    """From the authorization endpoint to tokens."""

    def test_a_person_with_the_right_password_gets_signed_tokens(self, standin: Standin) -> None:
        browser = Browser()
        verifier, page = standin.start_login(browser)
        answer = standin.fill_in(browser, page, "support.sam@example.com")
        back = query_of(answer.headers["Location"])
        assert set(back) == {"code", "state", "session_state", "iss"}
        assert (back["state"], back["iss"]) == (
            "the-state",
            f"{standin.keycloak}/realms/frontdesk",
        )
        given = standin.exchange(
            answer.headers["Location"], verifier, client="frontdesk-web", redirect_uri=CALLBACK
        ).json()
        keys = jwt.PyJWKClient(f"{standin.oidc}/certs")
        key = keys.get_signing_key_from_jwt(given["id_token"])
        said = jwt.decode(
            given["id_token"],
            key,
            algorithms=["RS256"],
            audience="frontdesk-web",
            issuer=back["iss"],
        )
        assert said["nonce"] == "the-nonce"
        assert said["groups"] == ["/staff/support"]
        assert (said["acr"], len(said["sid"])) == ("1", 24)
        assert said["sid"] == back["session_state"]
        assert said["preferred_username"] == "support.sam"
        headers = {"Authorization": f"Bearer {given['access_token']}"}
        info = requests.get(f"{standin.oidc}/userinfo", headers=headers, timeout=10).json()
        assert (info["sub"], info["groups"]) == (said["sub"], ["/staff/support"])

    def test_discovery_names_the_endpoints(self, standin: Standin) -> None:
        found = requests.get(f"{standin.keycloak}/realms/frontdesk/.well-known/openid-configuration", timeout=10).json()
        assert found["issuer"] == f"{standin.keycloak}/realms/frontdesk"
        assert found["end_session_endpoint"] == f"{standin.oidc}/logout"
        assert found["backchannel_logout_session_supported"] is True

    def test_wrong_and_disabled_people_read_why(self, standin: Standin) -> None:
        user_id = standin.new_user()
        standin.set_password(user_id)
        standin.call("PUT", f"/users/{user_id}", json={"enabled": False})

        def said(name: str, password: str) -> str:
            browser = Browser()
            _, page = standin.start_login(browser)
            answer = standin.fill_in(browser, page, name, password)
            assert answer.status_code == 200
            return answer.text

        assert "Invalid username or password." in said("support.sam", "wrong")
        assert "Invalid username or password." in said("nobody", PASSWORD)
        assert "Invalid username or password." in said("nora.new", "wrong")
        assert "Account is disabled, contact your administrator." in said("nora.new", PASSWORD)
        assert "Invalid username or password." in said("service-account-frontdesk-sync", "")

    def test_five_wrong_passwords_lock_the_door_for_a_minute(self, standin: Standin) -> None:
        browser = Browser()
        _, page = standin.start_login(browser)
        for _ in range(5):
            standin.fill_in(browser, page, "support.sam", "wrong")
        assert standin.fill_in(browser, page, "support.sam").status_code == 200
        standin.control("clock", advance_seconds=61)
        assert standin.fill_in(browser, page, "support.sam").status_code == 302

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
    )
    def test_wrong_requests_go_back_to_the_client(
        self, standin: Standin, wish: dict[str, str | None], error: str, words: str | None
    ) -> None:
        _, answer = standin.start_login(Browser(), **wish)
        assert answer.headers["Location"].startswith(CALLBACK)
        back = query_of(answer.headers["Location"])
        assert (back["error"], back.get("error_description")) == (error, words)
        assert back["state"] == "the-state"

    @pytest.mark.parametrize(
        "wish",
        [
            {"redirect_uri": "http://evil.example/"},
            {"redirect_uri": f"{CALLBACK}more"},
            {"client_id": "nope"},
            {"client_id": "frontdesk-sync"},
        ],
    )
    def test_wrong_clients_and_addresses_stay_here(self, standin: Standin, wish: dict[str, str]) -> None:
        _, answer = standin.start_login(Browser(), **wish)
        assert answer.status_code == 400
        assert "We are sorry" in answer.text

    def test_a_code_works_once_for_its_client_address_and_verifier(self, standin: Standin) -> None:
        def code(browser: Browser) -> tuple[str, str]:
            verifier, page = standin.start_login(browser)
            return standin.fill_in(browser, page, "support.sam").headers["Location"], verifier

        def error(location: str, verifier: str, redirect_uri: str = CALLBACK) -> str:
            answer = standin.exchange(location, verifier, client="frontdesk-web", redirect_uri=redirect_uri)
            return str(answer.json().get("error_description", ""))

        location, verifier = code(Browser())
        assert error(location, verifier) == ""
        assert error(location, verifier) == "Code not valid"
        location, _ = code(Browser())
        assert error(location, "wrong") == "PKCE verification failed: Code mismatch"
        location, _ = code(Browser())
        assert error(location, "") == "PKCE code verifier not specified"
        location, verifier = code(Browser())
        assert error(location, verifier, f"{APP}/accounts/welcome/") == "Incorrect redirect_uri"
        location, verifier = code(Browser())
        standin.control("clock", advance_seconds=61)
        assert error(location, verifier) == "Code not valid"

    def test_single_sign_on_answers_without_a_form_and_with_acr_0(self, standin: Standin) -> None:
        browser = Browser()
        first = claims(standin.log_in(browser)["id_token"])
        standin.control("clock", advance_seconds=10)
        second = claims(standin.log_in(browser, **standin.nextcloud)["id_token"])
        assert (second["acr"], second["sid"]) == ("0", first["sid"])
        assert second["auth_time"] == first["auth_time"]

    def test_max_age_and_prompt_ask_again_and_keep_the_session(self, standin: Standin) -> None:
        browser = Browser()
        first = claims(standin.log_in(browser)["id_token"])
        standin.control("clock", advance_seconds=301)
        _, page = standin.start_login(browser, max_age="300")
        assert page.status_code == 200
        again = claims(standin.log_in(browser, max_age="300")["id_token"])
        assert (again["sid"], again["acr"]) == (first["sid"], "1")
        assert again["auth_time"] >= first["auth_time"] + 301
        _, page = standin.start_login(browser, prompt="login")
        answer = standin.fill_in(browser, page, "stranger.stan")
        assert query_of(answer.headers["Location"])["session_state"] == first["sid"]

    def test_mapped_attributes_reach_the_product(self, standin: Standin) -> None:
        user_id = standin.new_user(
            attributes={"has_nextcloud": ["true"], "nextcloud_instance": ["nextcloud-1"]},
            groups=["/frontdesk/nextcloud-1"],
        )
        standin.set_password(user_id)
        said = claims(standin.log_in(Browser(), "nora.new", **standin.nextcloud)["id_token"])
        assert said["has_nextcloud"] is True
        assert said["nextcloud_instance"] == "nextcloud-1"
        assert said["groups"] == ["/frontdesk/nextcloud-1"]

    def test_update_password_is_asked_for_before_going_on(self, standin: Standin) -> None:
        user_id = standin.new_user()
        given = {"type": "password", "value": "temporary battery", "temporary": True}
        standin.call("PUT", f"/users/{user_id}/reset-password", json=given)
        browser = Browser()
        _, page = standin.start_login(browser)
        page = standin.fill_in(browser, page, "nora.new", "temporary battery")
        assert "Update password" in page.text
        new = {"password-new": PASSWORD, "password-confirm": PASSWORD}
        answer = browser("POST", action(page), data=new)
        assert "code" in query_of(answer.headers["Location"])
        assert standin.user(user_id)["requiredActions"] == []

    def test_an_unproven_mailbox_is_asked_for_by_mail(self, standin: Standin) -> None:
        user_id = standin.new_user(emailVerified=False)
        standin.set_password(user_id)
        browser = Browser()
        _, page = standin.start_login(browser)
        answer = standin.fill_in(browser, page, "nora.new")
        assert "You need to verify your email address" in answer.text
        link = standin.inbox("nora.new@")[0]["links"][0]
        assert "verified" in browser("POST", link).text
        assert standin.user(user_id)["emailVerified"] is True
        standin.log_in(browser, "nora.new")

    def test_a_forgotten_password_is_mailed_without_a_word_on_who_exists(self, standin: Standin) -> None:
        browser = Browser()
        pages = []
        for name in ("support.sam", "nobody"):
            _, page = standin.start_login(browser)
            reset = action(page).replace("/authenticate", "/reset-credentials")
            pages.append(browser("POST", reset, data={"username": name}).text)
        assert "You should receive an email shortly" in pages[0]
        assert [mail["to"] for mail in standin.inbox()] == [["support.sam@example.com"]]


class TestTokens:
    """What becomes of tokens."""

    def refresh(self, standin: Standin, token: str, client: str = "frontdesk-web") -> dict[str, str]:
        answer = standin.token(client, grant_type="refresh_token", refresh_token=token)
        said: dict[str, str] = answer.json()
        return said

    def active(self, standin: Standin, token: str) -> bool:
        form = {"client_id": "frontdesk-web", "client_secret": "dev-only-web-secret"}
        answer = requests.post(f"{standin.oidc}/token/introspect", data=form | {"token": token}, timeout=10)
        return bool(answer.json()["active"])

    def userinfo(self, standin: Standin, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{standin.oidc}/userinfo", headers=headers, timeout=10).status_code

    def test_they_live_as_long_as_the_sandbox_clock_says(self, standin: Standin) -> None:
        given = standin.log_in(Browser())
        assert self.active(standin, given["access_token"])
        standin.control("clock", advance_seconds=301)
        assert not self.active(standin, given["access_token"])
        assert self.userinfo(standin, given["access_token"]) == 401
        assert "access_token" in self.refresh(standin, given["refresh_token"])
        standin.control("clock", advance_seconds=1801)
        assert self.refresh(standin, given["refresh_token"])["error"] == "invalid_grant"

    def test_disabling_refuses_at_once_but_keeps_the_session(self, standin: Standin) -> None:
        sam = standin.admin().get_user_id("support.sam")
        given = standin.log_in(Browser())
        standin.call("PUT", f"/users/{sam}", json={"enabled": False})
        assert self.userinfo(standin, given["access_token"]) == 401
        assert not self.active(standin, given["access_token"])
        assert self.refresh(standin, given["refresh_token"])["error_description"] == "User disabled"
        assert len(standin.call("GET", f"/users/{sam}/sessions").json()) == 1

    def test_logging_out_ends_sessions_and_makes_old_tokens_stale(self, standin: Standin) -> None:
        sam = standin.admin().get_user_id("support.sam")
        browser = Browser()
        online = standin.log_in(browser)["refresh_token"]
        offline = standin.log_in(Browser(), scope="openid offline_access")["refresh_token"]
        assert claims(offline)["typ"] == "Offline"
        assert len(standin.call("GET", f"/users/{sam}/sessions").json()) == 1
        assert standin.call("POST", f"/users/{sam}/logout").status_code == 204
        assert standin.call("GET", f"/users/{sam}/sessions").json() == []
        assert self.refresh(standin, online)["error_description"] == "Session not active"
        assert self.refresh(standin, offline)["error_description"] == "Stale token"
        path = f"/users/{sam}/consents"
        assert standin.call("DELETE", f"{path}/frontdesk-web").status_code == 204
        again = standin.call("DELETE", f"{path}/frontdesk-web")
        assert again.json() == {"error": "Consent nor offline token not found"}
        assert standin.call("DELETE", f"{path}/nope").json() == {"error": "Client not found"}
        assert standin.start_login(browser)[1].status_code == 200

    def test_a_failing_logout_leaves_the_session(self, standin: Standin) -> None:
        sam = standin.admin().get_user_id("support.sam")
        standin.log_in(Browser())
        standin.fault("logout_fails", times=1)
        assert standin.call("POST", f"/users/{sam}/logout").status_code == 500
        assert len(standin.call("GET", f"/users/{sam}/sessions").json()) == 1
        assert standin.call("POST", f"/users/{sam}/logout").status_code == 204

    def test_rotated_keys_sign_anew_and_still_verify_the_old(self, standin: Standin) -> None:
        given = standin.log_in(Browser())
        assert standin.control("keycloak/keys").status_code == 200
        fresh = standin.log_in(Browser())
        kids = {jwt.get_unverified_header(row["id_token"])["kid"] for row in (given, fresh)}
        keys = requests.get(f"{standin.oidc}/certs", timeout=10).json()["keys"]
        assert kids == {key["kid"] for key in keys}
        assert self.active(standin, given["access_token"])

    @pytest.mark.parametrize(
        ("form", "status", "words"),
        [
            ({"grant_type": ""}, 400, "Missing form parameter: grant_type"),
            ({"grant_type": "x"}, 400, "Unsupported grant_type"),
            ({"client_secret": "bad"}, 401, "Invalid client or Invalid client credentials"),
            ({"client_id": "nope"}, 401, "Invalid client or Invalid client credentials"),
            ({"grant_type": "authorization_code"}, 400, "Missing parameter: code"),
            ({"grant_type": "authorization_code", "code": "x"}, 400, "Code not valid"),
            ({"grant_type": "refresh_token"}, 400, "No refresh token"),
            (
                {"grant_type": "refresh_token", "refresh_token": "x"},
                400,
                "Invalid refresh token",
            ),
            ({"grant_type": "client_credentials"}, 401, None),
        ],
    )
    def test_bad_token_requests_are_refused_in_keycloaks_words(
        self, standin: Standin, form: dict[str, str], status: int, words: str | None
    ) -> None:
        answer = standin.token("frontdesk-web", **form)
        assert answer.status_code == status
        if words:
            assert answer.json()["error_description"] == words

    def test_a_service_account_gets_no_refresh_token(self, standin: Standin) -> None:
        given = standin.token().json()
        assert "refresh_token" not in given
        assert (given["expires_in"], given["refresh_expires_in"]) == (300, 0)


class TestLinks:
    """The set-password link of an action mail."""

    def link(self, standin: Standin, **query: str | int) -> tuple[str, str]:
        user_id = standin.new_user(emailVerified=False, requiredActions=["UPDATE_PASSWORD"])
        path = f"/users/{user_id}/execute-actions-email"
        answer = standin.call("PUT", path, json=["UPDATE_PASSWORD"], params=query)
        assert answer.status_code == 204
        return user_id, standin.inbox("nora.new@")[0]["links"][0]

    def test_it_sets_the_password_once(self, standin: Standin) -> None:
        welcome = f"{APP}/accounts/welcome/"
        user_id, link = self.link(standin, client_id="frontdesk-web", redirect_uri=welcome)
        browser = Browser()
        page = browser("GET", link)

        def send(first: str, second: str) -> str:
            form = {"password-new": first, "password-confirm": second}
            return browser("POST", action(page), data=form).text

        assert "Please specify password." in send("", "")
        assert "don&#x27;t match" in send(PASSWORD, "other")
        assert "Invalid password: minimum length 12." in send("short", "short")
        done = send(PASSWORD, PASSWORD)
        assert "Your account has been updated." in done
        assert f'href="{welcome}"' in done
        user = standin.user(user_id)
        assert (user["requiredActions"], user["emailVerified"]) == ([], True)
        standin.log_in(Browser(), "nora.new")
        used = browser("GET", link)
        assert (used.status_code, "Action expired." in used.text) == (400, True)

    def test_it_runs_out_on_the_sandbox_clock(self, standin: Standin) -> None:
        _, link = self.link(standin, lifespan=600)
        standin.control("clock", advance_seconds=599 - 60)
        assert Browser()("GET", link).status_code == 200
        standin.control("clock", advance_seconds=120)
        assert Browser()("GET", link).status_code == 400

    @pytest.mark.parametrize("key", ["", "x", "x.y.z", "e30.e30.", "\x00"])
    def test_a_made_up_key_is_refused(self, standin: Standin, key: str) -> None:
        url = f"{standin.keycloak}/realms/frontdesk/login-actions/action-token"
        assert Browser()("GET", url, params={"key": key}).status_code == 400


class TestLogout:
    """Logout by the person, and who is told of a logout."""

    def test_with_a_hint_it_goes_straight_back(self, standin: Standin) -> None:
        browser = Browser()
        hint = standin.log_in(browser)["id_token"]
        query = {"id_token_hint": hint, "post_logout_redirect_uri": f"{APP}/", "state": "s"}
        answer = browser("GET", f"{standin.oidc}/logout", params=query)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"{APP}/?state=s")
        assert standin.start_login(browser)[1].status_code == 200

    def test_without_a_hint_it_asks(self, standin: Standin) -> None:
        browser = Browser()
        standin.log_in(browser)
        page = browser("GET", f"{standin.oidc}/logout")
        assert "Do you want to log out?" in page.text
        assert standin.start_login(browser)[1].status_code == 302
        assert "You are logged out" in browser("POST", action(page)).text
        assert standin.start_login(browser)[1].status_code == 200

    @pytest.mark.parametrize(
        "query",
        [
            {"post_logout_redirect_uri": "http://evil.example/", "client_id": "frontdesk-web"},
            {"post_logout_redirect_uri": f"{APP}/"},
            {"id_token_hint": "x.y.z"},
        ],
    )
    def test_foreign_addresses_and_made_up_hints_are_refused(self, standin: Standin, query: dict[str, str]) -> None:
        assert Browser()("GET", f"{standin.oidc}/logout", params=query).status_code == 400

    def test_each_client_of_the_session_is_told(self, standin: Standin, told: list[tuple[str, str]]) -> None:
        browser = Browser()
        sid = claims(standin.log_in(browser)["id_token"])["sid"]
        standin.log_in(browser, **standin.nextcloud)
        sam = standin.admin().get_user_id("support.sam")
        standin.call("POST", f"/users/{sam}/logout")
        path, token = wait_for(told)
        assert path == "/backchannel-logout"
        header, said = jwt.get_unverified_header(token), claims(token)
        assert (header["typ"], header["alg"]) == ("logout+jwt", "RS256")
        assert (said["typ"], said["sub"], said["sid"]) == ("Logout", sam, sid)
        assert (said["aud"], said["exp"] - said["iat"]) == ("nextcloud", 120)
        assert said["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
        assert "nonce" not in said

    def test_deleting_tells_nobody(self, standin: Standin, told: list[tuple[str, str]]) -> None:
        browser = Browser()
        standin.log_in(browser, **standin.nextcloud)
        sam = standin.admin().get_user_id("support.sam")
        standin.call("PUT", f"/users/{sam}", json={"enabled": False})
        standin.call("DELETE", f"/users/{sam}")
        time.sleep(0.3)
        assert told == []


def wait_for(told: list[tuple[str, str]]) -> tuple[str, str]:
    """The first call that arrives within five seconds."""
    for _ in range(100):
        if told:
            return told[0]
        time.sleep(0.05)
    raise AssertionError("nobody was told")


@pytest.fixture
def told(standin: Standin) -> Iterator[list[tuple[str, str]]]:
    """What the server of the product `nextcloud` is told: path and logout token of each call."""
    calls: list[tuple[str, str]] = []

    class Product(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            calls.append((self.path, parse_qs(body)["logout_token"][0]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", standin.product_port), Product)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield calls
    server.shutdown()
    server.server_close()
