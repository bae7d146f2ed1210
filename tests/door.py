"""A hosted product at its own door: a small relying party with a client of its own, as Nextcloud or Vaultwarden would be.

It knows nothing of Frontdesk. It believes what Keycloak signs: whoever has `has_<slug>` is sent to `<slug>_instance`, and a
session that Keycloak's back channel ends is over. Authlib would bring a framework along; the three requests it makes of
Keycloak are plain enough.
"""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override
from urllib.parse import urlencode, urlsplit

import jwt
import requests

from tests.contract.servers import DISABLED, REFUSED, Server
from tests.sandbox.keycloak_fixture import NEXTCLOUD_CALLBACK, PASSWORD, Browser, query_of

CALLBACKS = {"nextcloud": NEXTCLOUD_CALLBACK, "vaultwarden": "/identity/connect/oidc-signin"}
EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Door:
    """The product `slug`: its sessions by cookie, and the logins under way by state."""

    def __init__(self, keycloak: Server, slug: str) -> None:
        self.keycloak, self.slug, self.url = keycloak, slug, keycloak.told.url(slug)
        self.callback = f"{self.url}{CALLBACKS[slug]}"
        self.sessions: dict[str, dict[str, Any]] = {}
        self.started: dict[str, tuple[str, str]] = {}
        self.logouts = 0

    # --- what a visitor does -----------------------------------------------------------------------------------------

    def enter(self, browser: Browser, name: str, password: str = PASSWORD) -> str | None:
        """Come to the door, log in where asked; the instance one is sent to, or None for who stays outside.

        Outside is whom Keycloak says it will not let in, or whom the product turns away; anything else is an error.
        """
        answer = browser("GET", f"{self.url}/")
        if answer.status_code == 200:
            return answer.text
        answer = browser("GET", answer.headers["Location"])
        if answer.status_code == 200:
            answer = self.keycloak.fill_in(browser, answer, name, password)
        if answer.status_code == 200:
            assert any(words in answer.text for words in (REFUSED, DISABLED)), answer.text
            return None
        assert answer.headers["Location"].startswith(f"{self.callback}?"), answer.headers["Location"]
        answer = browser("GET", answer.headers["Location"])
        assert answer.status_code in {302, 403}, answer.status_code
        return str(answer.headers["Location"].strip("/")) if answer.status_code == 302 else None

    def inside(self, browser: Browser) -> bool:
        """Whether the browser's session at the product still opens it, without asking Keycloak."""
        return browser("GET", f"{self.url}/").status_code == 200

    def thrown_out(self, browser: Browser, *, seconds: float = 5) -> bool:
        """Whether that session ends within so many seconds."""
        end = time.monotonic() + seconds
        while self.inside(browser):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    # --- what the product does ---------------------------------------------------------------------------------------

    def ask(self) -> str:
        """The address of Keycloak's login, with PKCE, state and nonce."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        self.started[state] = (nonce, verifier)
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "client_id": self.slug, "redirect_uri": self.callback, "response_type": "code", "scope": "openid",
            "state": state, "nonce": nonce, "code_challenge_method": "S256",
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        }  # fmt: skip
        return f"{self.keycloak.oidc}/auth?{urlencode(query)}"

    def admit(self, query: dict[str, str]) -> tuple[str, str] | None:
        """The new session and the instance, for a login that went well of somebody who may enter."""
        nonce, verifier = self.started.pop(query["state"])
        given = self.keycloak.token(
            self.slug, grant_type="authorization_code", code=query["code"], code_verifier=verifier,
            redirect_uri=self.callback,
        )  # fmt: skip
        said = self.believe(given.json()["id_token"])
        if said["nonce"] != nonce or said.get(f"has_{self.slug}") is not True:
            return None
        session = secrets.token_urlsafe(32)
        self.sessions[session] = {"sid": said["sid"], "sub": said["sub"], "instance": said[f"{self.slug}_instance"]}
        return session, said[f"{self.slug}_instance"]

    def end(self, token: str) -> None:
        """Obey Keycloak's back channel."""
        said = self.believe(token)
        assert said["events"] == {EVENT: {}}
        assert "nonce" not in said
        self.sessions = {key: one for key, one in self.sessions.items() if one["sid"] != said.get("sid", one["sid"])}
        self.logouts += 1

    def believe(self, token: str) -> dict[str, Any]:
        """The claims of a token that Keycloak signed for this product, and that is not over by Keycloak's clock."""
        keys = requests.get(f"{self.keycloak.oidc}/certs", timeout=10).json()
        key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
        said: dict[str, Any] = jwt.decode(
            token, key, ["RS256"], audience=self.slug, issuer=self.keycloak.issuer,
            options={"verify_exp": False, "verify_iat": False},
        )  # fmt: skip
        assert said["iat"] - 5 <= self.keycloak.now() < said["exp"]
        return said


@contextmanager
def door(keycloak: Server, slug: str) -> Iterator[Door]:
    """The product, open at the address its client has in the realm; meanwhile the contract does not listen there."""
    product = Door(keycloak, slug)

    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            session = SimpleCookie(self.headers.get("Cookie", "")).get(f"{slug}-session")
            known = product.sessions.get(session.value) if session else None
            if self.path.startswith(CALLBACKS[slug]):
                admitted = product.admit(query_of(self.path))
                cookie = {"Set-Cookie": f"{slug}-session={admitted[0]}; Path=/; HttpOnly"} if admitted else {}
                self.answer(302 if admitted else 403, {"Location": f"/{admitted[1]}/"} | cookie if admitted else {})
            elif known:
                self.answer(200, {}, known["instance"])
            else:
                self.answer(302, {"Location": product.ask()})

        def do_POST(self) -> None:
            form = query_of("?" + self.rfile.read(int(self.headers["Content-Length"])).decode())
            product.end(form["logout_token"])
            self.answer(200, {"Cache-Control": "no-store"})

        def answer(self, status: int, headers: dict[str, str], text: str = "") -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(text))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    address = urlsplit(product.url)
    with keycloak.told.making_room(slug):
        server = ThreadingHTTPServer((address.hostname or "", address.port or 0), Requests)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield product
        finally:
            server.shutdown()
            server.server_close()
