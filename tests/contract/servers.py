"""The two servers the contract is held against: the stand-in, and a real Keycloak whose mails the same sandbox takes."""

import contextlib
import html
import http.server
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, override
from urllib.parse import parse_qs, urljoin

import pytest
import requests

from apps.sandbox.run import keycloak_server
from tests.sandbox.keycloak_fixture import (
    APP,
    NEXTCLOUD_CALLBACK,
    PASSWORD,
    PROJECT,
    Browser,
    Standin,
    claims,
    free_port,
)

START_SECONDS = 90
# What the login page says, word for word: the beginning of the realm file's texts.
REFUSED = "The username or password is not right."
DISABLED = "Your account is paused or closed."


class Told:
    """Where all clients of the realm are told of logouts: each call as its client, its token's claims and its moment."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, float]] = []
        self.ports = {client: free_port() for client in ("web", "nextcloud", "vaultwarden")}
        self.ears = {client: self._ear(client) for client in self.ports}

    def url(self, client: str) -> str:
        return f"http://127.0.0.1:{self.ports[client]}"

    def _ear(self, client: str) -> http.server.ThreadingHTTPServer:
        calls = self.calls

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                calls.append((client, parse_qs(body)["logout_token"][0], time.monotonic()))
                self.send_response(200)
                self.end_headers()

            @override
            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.ports[client]), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    @contextlib.contextmanager
    def making_room(self, client: str) -> Iterator[None]:
        """Nobody listens at the client's address meanwhile: a door of its own stands there (tests/door.py)."""
        self._deafen(client)
        try:
            yield
        finally:
            self.ears[client] = self._ear(client)

    def _deafen(self, client: str) -> None:
        self.ears[client].shutdown()
        self.ears[client].server_close()

    def close(self) -> None:
        for client in self.ears:
            self._deafen(client)

    def of(self, user_id: str, *, count: int, seconds: float = 5) -> list[tuple[str, str, float]]:
        """The calls about one person, once there are `count` of them; what there is after `seconds` otherwise."""
        deadline = time.monotonic() + seconds
        while True:
            found = [call for call in list(self.calls) if claims(call[1])["sub"] == user_id]
            if len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.02)


class Server(Standin):
    """A Keycloak, real or not, with our realm, the inbox of its mails, and the ears of its clients."""

    def __init__(self, sandbox: str, told: Told, clock: Path) -> None:
        super().__init__(sandbox)
        self.told, self.clock = told, clock
        self.right = {PASSWORD}  # and those that tests choose
        self._bearers: dict[str, tuple[float, dict[str, str]]] = {}

    @property
    @override
    def nextcloud(self) -> dict[str, str]:
        return {"client_id": "nextcloud", "redirect_uri": f"{self.told.url('nextcloud')}{NEXTCLOUD_CALLBACK}"}

    @override
    def bearer(self, client: str = "") -> dict[str, str]:
        """A token of the client, taken anew every half minute: these are many short calls."""
        since, headers = self._bearers.get(client, (-60.0, {}))
        if time.monotonic() - since > 30:
            headers = super().bearer(client)
            self._bearers[client] = (time.monotonic(), headers)
        return headers

    def forget_bearers(self) -> None:
        self._bearers.clear()

    @property
    def is_real(self) -> bool:
        return not self.keycloak.startswith(self.url)

    @override
    def now(self) -> float:
        return time.time() if self.is_real else super().now()

    def name(self) -> str:
        """A name nobody has."""
        return f"ct-{secrets.token_hex(6)}"

    def make(self, **more: Any) -> tuple[str, str]:
        """A person of one test's own: id and name."""
        name = str(more.pop("username", self.name()))
        return self.new_user(name, **more), name

    def follow(self, browser: Browser, answer: requests.Response) -> requests.Response:
        """Go on through redirects that stay at this server."""
        while answer.status_code in {302, 303} and answer.headers["Location"].startswith(self.keycloak):
            answer = browser("GET", answer.headers["Location"])
        return answer

    def onward(self, page: requests.Response) -> str:
        """Where a page's link “Click here to proceed” leads."""
        found = re.search(r'href="([^"]*login-actions/action-token[^"]*)"', page.text)
        assert found, page.text
        return urljoin(self.keycloak, html.unescape(found[1]))

    def forgotten(self, page: requests.Response) -> str:
        """Where the login page's “Forgot Password?” leads."""
        found = re.search(r'href="([^"]*login-actions/reset-credentials[^"]*)"', page.text)
        assert found, page.text
        return urljoin(self.keycloak, html.unescape(found[1]))

    @override
    def fill_in(
        self, browser: Browser, page: requests.Response, name: str, password: str = PASSWORD
    ) -> requests.Response:
        """Send the login form of `page`; for up to a second the right password again, where it is called wrong.

        A real Keycloak refuses a login while the same person's last one is still being written down, which it does after
        its answer: "Concurrent login requests are blocked by default when brute force is enabled" in its upgrading guide.
        """
        deadline = time.monotonic() + 1
        answer = super().fill_in(browser, page, name, password)
        while self.is_real and password in self.right and REFUSED in answer.text and time.monotonic() < deadline:
            time.sleep(0.1)
            answer = super().fill_in(browser, answer, name, password)
        return answer

    def hidden(self, page: requests.Response) -> dict[str, str]:
        """The hidden fields of a page's form."""
        return {
            name: html.unescape(value)
            for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        }

    def group_id(self, path: str) -> str:
        return str(self.call("GET", f"/group-by-path{path}").json()["id"])

    def sessions(self, user_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/users/{user_id}/sessions").json()
        return found

    def mail(self, to: str, *, seconds: float = 5) -> dict[str, Any]:
        """The newest mail to somebody."""
        deadline = time.monotonic() + seconds
        while not (found := self.inbox(to)):
            assert time.monotonic() < deadline, f"no mail to {to}"
            time.sleep(0.05)
        return found[0]


def values(told: Told, smtp_port: int) -> dict[str, str]:
    """What fills the realm file's placeholders, on both servers."""
    return {
        "FRONTDESK_URL": APP,
        "FRONTDESK_BACKCHANNEL_URL": told.url("web"),
        "NEXTCLOUD_URL": told.url("nextcloud"),
        "VAULTWARDEN_URL": told.url("vaultwarden"),
        "KC_SMTP_HOST": "127.0.0.1",
        "KC_SMTP_PORT": str(smtp_port),
    }


@contextlib.contextmanager
def sandbox(environment: dict[str, str], clock: Path) -> Iterator[str]:
    """A sandbox with an SMTP port, which writes its clock to a file; its address."""
    port = free_port()
    command = [sys.executable, "-m", "apps.sandbox", "--port", str(port), "--smtp-port", environment["KC_SMTP_PORT"]]
    command += ["--clock-file", str(clock)]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=os.environ | environment | {"SANDBOX_APP_URL": APP},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
    try:
        while True:
            assert process.poll() is None, "the sandbox did not start"
            assert time.monotonic() < deadline, "the sandbox does not answer"
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"{url}/control/clock", timeout=5)
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextlib.contextmanager
def standin(clock: Path) -> Iterator[Server]:
    """The sandbox's Keycloak."""
    with contextlib.closing(Told()) as told, sandbox(values(told, free_port()), clock) as url:
        yield Server(url, told, clock)


@contextlib.contextmanager
def keycloak(clock: Path) -> Iterator[Server]:
    """A real one, mailing into a sandbox. It keeps the system's time, whatever the sandbox's clock says."""
    with contextlib.closing(Told()) as told:
        given = values(told, free_port())
        with sandbox(given, clock) as url, keycloak_server.running(given) as real:
            server = Server(url, told, clock)
            server.at(real.url, real.realm)
            server.login = (real.username, real.password)
            yield server


@pytest.fixture(scope="session")
def keycloak_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one real Keycloak of a run: whoever asks for it is in the xdist_group `keycloak`."""
    if reason := keycloak_server.available():
        pytest.skip(reason)
    with keycloak(tmp_path_factory.mktemp("keycloak") / "clock") as server:
        yield server
