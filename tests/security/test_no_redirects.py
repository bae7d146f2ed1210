"""A server that we call cannot send us, with our keys and a person's data, to another one."""

import ast
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

import pytest
import requests
import stripe
from django.conf import settings
from keycloak.exceptions import KeycloakError

from apps.billing import stripe_client
from apps.core import alerts
from apps.core.errors import DependencyDown
from apps.identity.admin_client import admin_client
from apps.identity.doctor.published_secrets import _is_accepted
from apps.identity.doctor.reading import _read_issuer
from apps.login import oidc
from apps.login.adapters import KeycloakAdapter
from apps.notifications import mailgun
from apps.notifications.email_templates import RenderedEmail
from tests.world import ROOT

EMAIL = RenderedEmail(subject="Hello", text="Hello", html="<p>Hello</p>")
FETCHES = {"get", "post", "put", "patch", "delete", "head", "request"}


class Server(ThreadingHTTPServer):
    """Answers each request by a redirect to `target`, or, without one, with an empty object; counts them."""

    def __init__(self, target: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.target, self.asked = target, 0
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        self.server.asked += 1
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(307 if self.server.target else 200)  # 307: with its body, too
        if self.server.target:
            self.send_header("Location", f"{self.server.target}{self.path}")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815

    @override
    def log_message(self, *_parts: Any) -> None:
        """Nothing."""


@pytest.fixture
def servers(settings: Any) -> Iterator[tuple[Server, Server]]:
    """One that sends everybody away, which all our settings name, and the one where they would arrive."""
    stranger = Server()
    rude = Server(stranger.url)
    settings.STRIPE_API_HOST = settings.KEYCLOAK_SERVER_URL = rude.url
    settings.KEYCLOAK_ISSUER = f"{rude.url}/realms/frontdesk"
    settings.ANYMAIL = settings.ANYMAIL | {"MAILGUN_API_URL": rude.url}
    settings.EMAIL_BACKEND = "apps.notifications.mailgun.DirectBackend"
    settings.ALERT_URLS = [rude.url.replace("http", "json")]
    stripe_client.client.cache_clear()
    yield rude, stranger
    stripe_client.client.cache_clear()
    for one in (rude, stranger):
        one.shutdown()
        one.server_close()


def ask_stripe() -> None:
    with pytest.raises(DependencyDown), stripe_client.calling_stripe() as client:
        client.v1.customers.create({"email": "ada@example.com"})


def ask_stripe_by_default() -> None:
    """As dj-stripe would."""
    assert stripe.default_http_client is not None
    with pytest.raises(stripe.APIConnectionError):
        stripe.default_http_client.request("get", f"{settings.STRIPE_API_HOST}/v1/customers", {}, None)


def ask_keycloak_for_a_token() -> None:
    with pytest.raises(KeycloakError):
        admin_client("frontdesk-sync", "secret").get_users()


def ask_keycloak_with_a_token() -> None:
    admin = admin_client("frontdesk-sync", "secret")
    for call in (admin.connection.raw_get, admin.connection.raw_delete):
        with pytest.raises(KeycloakError):
            call("/admin/realms/frontdesk/users")
    for send in (admin.connection.raw_post, admin.connection.raw_put):
        with pytest.raises(KeycloakError):
            send("/admin/realms/frontdesk/users", "{}")


def ask_for_keys() -> None:
    with pytest.raises(oidc.TokenError):
        oidc.Keys().find("any")


def log_in() -> None:
    """allauth's session, which changes a code for tokens and reads who somebody is."""
    with KeycloakAdapter().get_requests_session() as session, pytest.raises(requests.TooManyRedirects):
        session.request("POST", oidc.endpoints()["token_endpoint"], data={"code": "secret"})


def run_the_realm_doctor() -> None:
    assert _read_issuer(settings.KEYCLOAK_ISSUER) == ""
    assert _is_accepted(oidc.endpoints()["token_endpoint"], "frontdesk-web", "secret") is False


def send_email() -> None:
    with pytest.raises(DependencyDown):
        mailgun.send(EMAIL, to="ada@example.com", tag="x", notification_id=1)


def hand_over_email() -> None:
    """The second call of sending, where the first was answered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mailgun, "refuse_while_away", lambda: None)
        with pytest.raises(mailgun.AnswerLostError):
            mailgun.send(EMAIL, to="ada@example.com", tag="x", notification_id=1)


def ask_mailgun() -> None:
    for ask in (mailgun.ask_about_domain, mailgun.ask_about_webhooks, mailgun.ask_to_send):
        assert ask().status_code == 307


def alert() -> None:
    assert alerts.deliver("Trouble", "Nobody pays.") == ["1 (json)"]


@pytest.mark.parametrize(
    "ask",
    [ask_stripe, ask_stripe_by_default, ask_keycloak_for_a_token, ask_keycloak_with_a_token, ask_for_keys, log_in, run_the_realm_doctor,
     send_email, hand_over_email, ask_mailgun, alert],
)  # fmt: skip
def test_no_client_of_ours_follows(ask: Callable[[], None], servers: tuple[Server, Server]) -> None:
    rude, stranger = servers
    ask()
    assert rude.asked > 0
    assert stranger.asked == 0


def test_every_other_call_says_so() -> None:
    """The calls of `requests` itself, which would follow."""
    found = []
    for file in (path for path in (ROOT / "apps").rglob("*.py") if "sandbox" not in path.parts):
        for node in ast.walk(ast.parse(file.read_text())):
            call = node.func if isinstance(node, ast.Call) else None
            if not isinstance(call, ast.Attribute) or ast.unparse(call.value) != "requests":
                continue
            refuses = any(ast.unparse(word) == "allow_redirects=False" for word in node.keywords)  # type: ignore[attr-defined]
            if call.attr in FETCHES and not refuses:
                found.append(f"{file.name}:{call.lineno}")
    assert found == []
