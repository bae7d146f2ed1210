"""What only the stand-in's login can show: its clock, its switches, its links. The rest is in tests/contract."""

import re

import jwt
import requests

from tests.contract.test_second_factor import one_time_code
from tests.sandbox.keycloak_fixture import CALLBACK, Browser, Standin, action, query_of


class TestLogin:
    """From the authorization endpoint to tokens."""

    def test_five_wrong_passwords_lock_the_door_for_a_minute(self, standin: Standin) -> None:
        browser = Browser()
        _, page = standin.start_login(browser)
        for _ in range(5):
            standin.fill_in(browser, page, "support.sam", "wrong")
        assert standin.fill_in(browser, page, "support.sam").status_code == 200
        standin.control("clock", advance_seconds=61)
        assert standin.fill_in(browser, page, "support.sam").status_code == 302

    def test_a_code_works_for_a_minute(self, standin: Standin) -> None:
        browser = Browser()
        verifier, page = standin.start_login(browser)
        location = standin.fill_in(browser, page, "support.sam").headers["Location"]
        standin.control("clock", advance_seconds=61)
        answer = standin.exchange(location, verifier, client="frontdesk-web", redirect_uri=CALLBACK)
        assert answer.json()["error_description"] == "Code not valid"

    def test_an_unproven_mailbox_is_asked_for_by_mail(self, standin: Standin) -> None:
        user_id = standin.new_user(emailVerified=False)
        standin.set_password(user_id)
        browser = Browser()
        _, page = standin.start_login(browser)
        answer = standin.fill_in(browser, page, "nora.new")
        assert "You need to verify your email address" in answer.text
        link = standin.inbox("nora.new@")[0]["links"][0]
        assert "Confirm validity of e-mail address" in browser("GET", link).text
        assert standin.user(user_id)["emailVerified"] is False  # by opening the link alone, as scanners do
        assert "has been verified" in browser("GET", f"{link}&tab_id=x").text
        assert standin.user(user_id)["emailVerified"] is True
        standin.log_in(browser, "nora.new")


class TestChanges:
    """What a person asks to change (`kc_action`), as the real server does it: tests/contract/test_second_factor.py."""

    def begin(self, standin: Standin, browser: Browser, change: str) -> requests.Response:
        """The page of the change, after the password, which is asked for in spite of a session."""
        standin.log_in(browser)
        _, page = standin.start_login(browser, kc_action=change)
        assert page.status_code == 200
        return standin.fill_in(browser, page, "support.sam")

    def test_a_password_is_changed_or_not(self, standin: Standin) -> None:
        browser = Browser()
        page = self.begin(standin, browser, "UPDATE_PASSWORD")
        back = browser("POST", action(page), data={"cancel-aia": "true"}).headers["Location"]
        assert query_of(back)["kc_action_status"] == "cancelled"
        standin.log_in(Browser())
        page = self.begin(standin, browser, "UPDATE_PASSWORD")
        new = {"password-new": "another battery staple", "password-confirm": "another battery staple"}
        back = browser("POST", action(page), data=new).headers["Location"]
        assert (query_of(back)["kc_action_status"], "code" in query_of(back)) == ("success", True)
        standin.log_in(Browser(), password="another battery staple")

    def test_an_authenticator_app_is_set_up_and_asked_for(self, standin: Standin) -> None:
        browser = Browser()
        page = self.begin(standin, browser, "CONFIGURE_TOTP")
        secret = re.search(r'name="totpSecret" value="([^"]+)"', page.text)[1]  # type: ignore[index]
        wrong = browser("POST", action(page), data={"totpSecret": secret, "totp": "12345x"})
        assert "Invalid authenticator code." in wrong.text
        given = {"totpSecret": secret, "totp": one_time_code(secret)}
        back = browser("POST", action(wrong), data=given).headers["Location"]
        assert query_of(back)["kc_action_status"] == "success"
        other = Browser()
        asked = standin.fill_in(other, standin.start_login(other)[1], "support.sam")
        assert 'name="otp"' in asked.text
        refused = other("POST", action(asked), data={"otp": "000000x"})
        assert "Invalid authenticator code." in refused.text
        assert other("POST", action(refused), data={"otp": one_time_code(secret)}).status_code == 302

    def test_what_is_not_offered_is_ignored(self, standin: Standin) -> None:
        browser = Browser()
        standin.log_in(browser)
        back = standin.start_login(browser, kc_action="delete_account")[1]
        assert back.status_code == 302
        assert "kc_action_status" not in query_of(back.headers["Location"])


class TestTokens:
    """What becomes of tokens."""

    def refresh(self, standin: Standin, token: str, client: str = "frontdesk-web") -> dict[str, str]:
        answer = standin.token(client, grant_type="refresh_token", refresh_token=token)
        said: dict[str, str] = answer.json()
        return said

    def userinfo(self, standin: Standin, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{standin.oidc}/userinfo", headers=headers, timeout=10).status_code

    def test_they_live_as_long_as_the_sandbox_clock_says(self, standin: Standin) -> None:
        given = standin.log_in(Browser())
        assert self.userinfo(standin, given["access_token"]) == 200
        standin.control("clock", advance_seconds=301)
        assert self.userinfo(standin, given["access_token"]) == 401
        assert "access_token" in self.refresh(standin, given["refresh_token"])
        standin.control("clock", advance_seconds=1801)
        assert self.refresh(standin, given["refresh_token"])["error"] == "invalid_grant"

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
        assert self.userinfo(standin, given["access_token"]) == 200


class TestLinks:
    """The set-password link of an action mail."""

    def link(self, standin: Standin, **query: str | int) -> tuple[str, str]:
        user_id = standin.new_user(emailVerified=False, requiredActions=["UPDATE_PASSWORD"])
        path = f"/users/{user_id}/execute-actions-email"
        answer = standin.call("PUT", path, json=["UPDATE_PASSWORD"], params=query)
        assert answer.status_code == 204
        return user_id, standin.inbox("nora.new@")[0]["links"][0]

    def test_it_runs_out_on_the_sandbox_clock(self, standin: Standin) -> None:
        _, link = self.link(standin, lifespan=600)
        standin.control("clock", advance_seconds=599 - 60)
        assert Browser()("GET", link).status_code == 200
        standin.control("clock", advance_seconds=120)
        assert Browser()("GET", link).status_code == 400
