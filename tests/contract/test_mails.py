"""Keycloak's own mails: execute-actions-email, send-verify-email, and what the link in them does."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.servers import Server
from tests.sandbox.keycloak_fixture import APP, PASSWORD, Browser, action

WELCOME = f"{APP}/accounts/welcome/"
UPDATE = ["UPDATE_PASSWORD"]


def send(server: Server, user_id: str, actions: list[str], **query: Any) -> Any:
    return server.call("PUT", f"/users/{user_id}/execute-actions-email", json=actions, params=query)


@pytest.fixture
def broken_post(server: Server) -> Iterator[None]:
    """The mail server takes nothing."""
    server.fault("mail_fails")
    yield
    server.fault("ok")


class TestActions:
    """PUT /users/{id}/execute-actions-email."""

    def test_it_answers_once_the_mail_is_delivered(self, server: Server) -> None:
        user_id, name = server.make()
        answer = send(server, user_id, UPDATE, client_id="frontdesk-web", redirect_uri=WELCOME, lifespan=259_200)
        assert (answer.status_code, answer.text) == (204, "")
        (mail,) = server.inbox(f"{name}@")
        assert (mail["subject"], mail["source"]) == ("Update Your Account", "keycloak")
        assert "3 days" in mail["text"]
        assert f"{server.issuer}/login-actions/action-token?key=" in mail["links"][0]

    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ({"client_id": "nope"}, "Client doesn't exist"),
            ({"redirect_uri": "http://x/"}, "Client id missing"),
            ({"client_id": "frontdesk-web", "redirect_uri": "http://evil.example/"}, "Invalid redirect uri."),
            ({"client_id": "frontdesk-web", "redirect_uri": f"{WELCOME}more"}, "Invalid redirect uri."),
        ],
        ids=["unknown client", "no client", "foreign address", "address not exact"],
    )
    def test_a_wrong_target(self, server: Server, query: dict[str, str], sentence: str) -> None:
        user_id, name = server.make()
        answer = send(server, user_id, UPDATE, **query)
        assert (answer.status_code, answer.json()) == (400, {"errorMessage": sentence})
        assert server.inbox(f"{name}@") == []

    @pytest.mark.only_on("keycloak", "the stand-in's clients are those of the realm file, all enabled")
    def test_a_disabled_client(self, server: Server) -> None:
        root, client = server.root(), server.name()
        made = server.call("POST", "/clients", json={"clientId": client, "enabled": False}, headers=root)
        answer = send(server, server.make()[0], UPDATE, client_id=client)
        assert (answer.status_code, answer.json()) == (400, {"errorMessage": "Client is not enabled"})
        server.call("DELETE", f"/clients/{made.headers['Location'].rsplit('/', 1)[-1]}", headers=root)

    def test_a_wrong_action(self, server: Server) -> None:
        answer = send(server, server.make()[0], ["NOPE"])
        assert (answer.status_code, answer.json()) == (400, {"errorMessage": "Provided invalid required actions"})

    def test_a_lifespan_that_is_no_whole_number(self, server: Server) -> None:
        answer = send(server, server.make()[0], UPDATE, lifespan="3.5")
        assert (answer.status_code, answer.json()) == (404, {"error": "HTTP 404 Not Found"})

    def test_somebody_disabled(self, server: Server) -> None:
        answer = send(server, server.make(enabled=False)[0], UPDATE)
        assert (answer.status_code, answer.json()) == (400, {"errorMessage": "User is disabled"})

    def test_somebody_without_an_address(self, server: Server) -> None:
        answer = send(server, server.make(email="")[0], UPDATE)
        assert (answer.status_code, answer.json()) == (400, {"errorMessage": "User email missing"})

    def test_somebody_unknown(self, server: Server) -> None:
        answer = send(server, "00000000-0000-4000-8000-000000000000", UPDATE)
        assert (answer.status_code, answer.json()) == (404, {"error": "User not found"})

    def test_a_broken_mail_server(self, server: Server, broken_post: None) -> None:
        user_id, name = server.make()
        answer = send(server, user_id, UPDATE)
        assert (answer.status_code, answer.json()) == (
            500,
            {
                "errorMessage": "Failed to send execute actions email: Error when attempting to send the email to the "
                "server. More information is available in the server log."
            },
        )
        assert server.inbox(f"{name}@") == []
        assert server.call("GET", f"/users/{user_id}").status_code == 200


class TestVerify:
    """PUT /users/{id}/send-verify-email."""

    def test_it_answers_once_the_mail_is_delivered(self, server: Server) -> None:
        user_id, name = server.make(emailVerified=False)
        assert server.call("PUT", f"/users/{user_id}/send-verify-email").status_code == 204
        assert server.mail(f"{name}@")["subject"] == "Verify email"

    @pytest.mark.parametrize(
        ("person", "query", "sentence"),
        [
            ({"enabled": False}, {}, "User is disabled"),
            ({"email": ""}, {}, "User email missing"),
            ({}, {"client_id": "nope"}, "Client doesn't exist"),
            ({}, {"redirect_uri": "http://x/"}, "Client id missing"),
            ({}, {"client_id": "frontdesk-web", "redirect_uri": "http://evil.example/"}, "Invalid redirect uri."),
        ],
        ids=["disabled", "no address", "unknown client", "no client", "foreign address"],
    )
    def test_the_same_is_refused(
        self, server: Server, person: dict[str, Any], query: dict[str, str], sentence: str
    ) -> None:
        answer = server.call("PUT", f"/users/{server.make(**person)[0]}/send-verify-email", params=query)
        assert (answer.status_code, answer.json()) == (400, {"errorMessage": sentence})

    def test_a_broken_mail_server(self, server: Server, broken_post: None) -> None:
        answer = server.call("PUT", f"/users/{server.make()[0]}/send-verify-email")
        assert (answer.status_code, answer.json()) == (500, {"errorMessage": "Failed to send verify email"})


class TestLink:
    """The set-password link."""

    def test_it_sets_the_password_once_and_leads_on(self, server: Server) -> None:
        user_id, name = server.make(emailVerified=False, requiredActions=UPDATE)
        assert send(server, user_id, UPDATE, client_id="frontdesk-web", redirect_uri=WELCOME).status_code == 204
        link, browser = server.mail(f"{name}@")["links"][0], Browser()
        page = server.follow(browser, browser("GET", link))
        assert "Perform the following action(s)" in page.text  # a page in between, for scanners that open every link
        assert "kc-passwd-update-form" not in page.text
        page = server.follow(browser, browser("GET", server.onward(page)))
        short = browser("POST", action(page), data={"password-new": "short", "password-confirm": "short"})
        assert "Invalid password: minimum length 12." in short.text
        done = browser("POST", action(short), data={"password-new": PASSWORD, "password-confirm": PASSWORD})
        done = server.follow(browser, done)
        assert "Your account has been updated." in done.text
        assert f'href="{WELCOME}"' in done.text
        user = server.user(user_id)
        assert (user["requiredActions"], user["emailVerified"]) == ([], True)
        server.log_in(Browser(), name)
        used = Browser()("GET", link)
        assert used.status_code == 400

    @pytest.mark.parametrize("key", ["", "x", "x.y.z", "e30.e30."])
    def test_a_made_up_key(self, server: Server, key: str) -> None:
        url = f"{server.issuer}/login-actions/action-token"
        assert Browser()("GET", url, params={"key": key}).status_code == 400
