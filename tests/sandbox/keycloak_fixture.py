"""A sandbox process for the tests of its Keycloak, its Mailgun and its control API, and a browser's part of a login."""

import base64
import hashlib
import html
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import jwt
import pytest
import requests
from keycloak import KeycloakAdmin

from apps.sandbox.run.servers import free_port

PROJECT = Path(__file__).resolve().parents[2]
APP = "http://localhost:8000"
CALLBACK = f"{APP}/accounts/oidc/keycloak/login/callback/"
NEXTCLOUD_CALLBACK = "/apps/user_oidc/code"
PASSWORD = "correct horse battery"


class Browser:
    """Keeps cookies by hand and follows nothing: each answer is looked at."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}
        self.here = ""

    def __call__(self, method: str, url: str, **rest: Any) -> requests.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.here = urljoin(self.here, url)
        answer = requests.request(
            method, self.here, headers={"Cookie": cookie}, allow_redirects=False, timeout=10, **rest
        )
        self.cookies |= answer.cookies.get_dict()
        return answer


class Standin:
    """The running sandbox, seen from outside."""

    def __init__(self, url: str, product_port: int = 0) -> None:
        self.url = url
        self.login = ("admin", "admin")
        self.product_port = product_port
        self.at(f"{url}/keycloak", "frontdesk")

    def at(self, keycloak: str, realm: str) -> None:
        """Say where the Keycloak is, and which realm of it is ours."""
        self.keycloak, self.realm = keycloak, realm
        self.issuer = f"{keycloak}/realms/{realm}"
        self.oidc = f"{self.issuer}/protocol/openid-connect"
        self.admin_url = f"{keycloak}/admin/realms/{realm}"

    def control(self, name: str, **wish: Any) -> requests.Response:
        return requests.post(f"{self.url}/control/{name}", json=wish, timeout=30)

    def control_state(self, name: str) -> Any:
        """What the control API says of it."""
        return requests.get(f"{self.url}/control/{name}", timeout=10).json()

    def now(self) -> float:
        """What time it is at the Keycloak."""
        return float(requests.get(f"{self.url}/control/clock", timeout=10).json()["now"])

    def fault(self, mode: str, *, peer: str = "keycloak", **rest: Any) -> None:
        assert self.control("faults", peer=peer, mode=mode, **rest).status_code == 200

    def inbox(self, to: str = "") -> list[dict[str, Any]]:
        mails: list[dict[str, Any]] = requests.get(f"{self.url}/inbox.json", params={"to": to}, timeout=10).json()
        return mails

    def admin(self, client: str = "sync") -> KeycloakAdmin:
        """python-keycloak, wired as the application wires it."""
        return KeycloakAdmin(
            server_url=f"{self.keycloak}/",
            realm_name=self.realm,
            client_id=f"frontdesk-{client}",
            client_secret_key=f"dev-only-{client}-secret",
            timeout=(3, 10),
            max_retries=0,
        )

    def token(self, client: str = "frontdesk-sync", **form: str | None) -> requests.Response:
        secret = f"dev-only-{client.removeprefix('frontdesk-')}-secret"
        given = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        return requests.post(f"{self.oidc}/token", data=given | form, timeout=10)

    def bearer(self, client: str = "") -> dict[str, str]:
        """The header of a service account; without a `client`, of the server's own administrator."""
        return {"Authorization": f"Bearer {self.token(client).json()['access_token']}"} if client else self.root()

    def root(self) -> dict[str, str]:
        """The header of the server's own administrator, for what an operator does by hand."""
        username, password = self.login
        form = {"grant_type": "password", "client_id": "admin-cli", "username": username, "password": password}
        url = f"{self.keycloak}/realms/master/protocol/openid-connect/token"
        return {"Authorization": f"Bearer {requests.post(url, data=form, timeout=20).json()['access_token']}"}

    def call(self, method: str, path: str, *, client: str = "", **rest: Any) -> requests.Response:
        """One call of the Admin API, past python-keycloak; by the server's own administrator unless a client is named."""
        if "headers" not in rest:
            rest["headers"] = self.bearer(client)
        return requests.request(method, f"{self.admin_url}{path}", timeout=10, **rest)

    def new_user(self, name: str = "nora.new", **more: Any) -> str:
        given = {"username": name, "email": f"{name}@example.com", "enabled": True, "emailVerified": True, **more}
        answer = self.call("POST", "/users", json=given)
        assert answer.status_code == 201, answer.text
        return str(answer.headers["Location"].rsplit("/", 1)[-1])

    @property
    def nextcloud(self) -> dict[str, str]:
        """What a login of the product `nextcloud` asks with."""
        return {"client_id": "nextcloud", "redirect_uri": f"http://127.0.0.1:{self.product_port}{NEXTCLOUD_CALLBACK}"}

    def user(self, user_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/users/{user_id}").json()
        return found

    def set_password(self, user_id: str, value: str = PASSWORD) -> None:
        given = {"type": "password", "value": value, "temporary": False}
        answer = self.call("PUT", f"/users/{user_id}/reset-password", json=given)
        assert answer.status_code == 204, answer.text

    def start_login(self, browser: Browser, **wish: str | None) -> tuple[str, requests.Response]:
        """GET the authorization endpoint as a client with PKCE; returns the verifier and the answer."""
        verifier = secrets.token_urlsafe(40)
        digest = hashlib.sha256(verifier.encode()).digest()
        given: dict[str, str | None] = {
            "client_id": "frontdesk-web",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        given |= wish
        query = {name: value for name, value in given.items() if value is not None}
        return verifier, browser("GET", f"{self.oidc}/auth", params=query)

    def fill_in(
        self, browser: Browser, page: requests.Response, name: str, password: str = PASSWORD
    ) -> requests.Response:
        """Send the login form of `page`."""
        return browser("POST", action(page), data={"username": name, "password": password})

    def log_in(self, browser: Browser, name: str = "support.sam", **wish: str) -> dict[str, Any]:
        """The whole code flow; returns the token endpoint's answer."""
        password = wish.pop("password", PASSWORD)
        verifier, answer = self.start_login(browser, **wish)
        if answer.status_code == 200:
            answer = self.fill_in(browser, answer, name, password)
        assert answer.status_code == 302, answer.text
        given = self.exchange(
            answer.headers["Location"],
            verifier,
            client=wish.get("client_id", "frontdesk-web"),
            redirect_uri=wish.get("redirect_uri", CALLBACK),
        )
        assert given.status_code == 200, given.text
        tokens: dict[str, Any] = given.json()
        return tokens

    def exchange(self, location: str, verifier: str | None, *, client: str, redirect_uri: str) -> requests.Response:
        """Change the code of a redirect for tokens."""
        return self.token(
            client,
            grant_type="authorization_code",
            code=query_of(location)["code"],
            redirect_uri=redirect_uri,
            code_verifier=verifier,
        )


def action(page: requests.Response) -> str:
    """Where the page's form goes."""
    found = re.search(r'action="([^"]+)"', page.text)
    assert found, page.text
    return html.unescape(found[1])


def query_of(url: str) -> dict[str, str]:
    """The query of an address, one value each."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def claims(token: str) -> dict[str, Any]:
    """What a token says, unchecked."""
    said: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return said


@pytest.fixture(scope="session")
def standin_process() -> Iterator[Standin]:
    """A sandbox of its own, whose realm expects the product `nextcloud` on a free port."""
    port, product_port = free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.sandbox", "--port", str(port)],
        cwd=PROJECT,
        env=os.environ | {"SANDBOX_APP_URL": APP, "NEXTCLOUD_URL": f"http://127.0.0.1:{product_port}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    standin = Standin(f"http://127.0.0.1:{port}", product_port)
    try:
        for _ in range(300):
            try:
                requests.get(f"{standin.url}/control/clock", timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None, "the sandbox did not start"
                time.sleep(0.1)
        yield standin
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def standin(standin_process: Standin) -> Standin:
    """The sandbox as after a fresh start."""
    standin_process.control("reset")
    return standin_process
