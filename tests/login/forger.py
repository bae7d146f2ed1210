"""A Keycloak that says whatever a test wants: key set, token answer and userinfo over HTTP, with keys of its own."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

SUBJECT = "11111111-2222-4333-8444-555555555555"


class In(int):
    """A moment so many seconds from now, as claims name it."""


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem_of(key: rsa.RSAPrivateKey) -> bytes:
    """The public key as text, as an attacker would use it for a secret."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwk(kid: str, alg: str, **more: Any) -> dict[str, Any]:
    """A published key: RSA for RS and PS, elliptic for ES."""
    if alg.startswith("ES"):
        row = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec_key(kid).public_key()))
    else:
        row = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(kid).public_key()))
    return row | {"kid": kid, "alg": alg, "use": "sig"} | more


class Forger:
    """What is answered. `tokens` is the token endpoint's answer, `about` that of userinfo."""

    def __init__(self) -> None:
        self.keys = [jwk("good", "RS256"), jwk("curve", "ES256"), jwk("pss", "PS256"), jwk("enc", "RS256", use="enc")]
        self.tokens: Any = {}
        self.about: Any = {"sub": SUBJECT}
        self.key_fetches = 0
        self.url = ""

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/frontdesk"

    def claims(self, **changes: Any) -> dict[str, Any]:
        """A good ID token's claims with changes; None takes a claim away, In(…) is a moment."""
        said = {
            "iss": self.issuer,
            "aud": "frontdesk-web",
            "azp": "frontdesk-web",
            "sub": SUBJECT,
            "sid": "the-session",
            "typ": "ID",
            "iat": In(0),
            "exp": In(300),
            "auth_time": In(0),
        } | changes
        now = int(time.time())
        return {
            name: now + value if isinstance(value, In) else value for name, value in said.items() if value is not None
        }

    def sign(self, claims: Any, *, alg: str = "RS256", kid: str | None = "good", key: Any = None, **header: Any) -> str:
        """A token; by default as the real issuer would sign it."""
        key = key or (ec_key(kid or "") if alg.startswith("ES") else rsa_key(kid or ""))
        named = {"kid": kid} if kid is not None else {}
        return jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm=alg, headers=named | header)

    def answer(self, path: str) -> Any:
        if path.endswith("/certs"):
            self.key_fetches += 1
            return {"keys": self.keys}
        return self.tokens if path.endswith("/token") else self.about


@contextmanager
def forging() -> Iterator[Forger]:
    """Serve a Forger on a free port of this machine."""
    forger = Forger()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            body = json.dumps(forger.answer(self.path.partition("?")[0])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  (the name http.server looks for)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    forger.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield forger
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
