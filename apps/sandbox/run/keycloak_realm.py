"""A realm of our own at a Keycloak that somebody else runs: made from the realm file, removed at the end."""

import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from apps.identity.realm_file import with_new_ids
from apps.sandbox.run import realm_file
from apps.sandbox.run.keycloak_distribution import KeycloakServerError

SECONDS = 60


def make(url: str, login: tuple[str, str], values: Mapping[str, str], *, file: Path = realm_file.PATH) -> str:
    """Make the realm of `file` with `values` in its placeholders; returns its name. Raises KeycloakServerError."""
    name = f"frontdesk-{secrets.token_hex(4)}"
    realm = with_new_ids(realm_file.filled(realm_file.read(file), values)) | {"realm": name}
    realm["components"] = realm.get("components", {}) | {"org.keycloak.keys.KeyProvider": _keys()}
    _call("POST", f"{url}/admin/realms", _token(url, login), realm)
    return name


def _keys() -> list[dict[str, Any]]:
    """The providers a realm is born with, the two RSA keys made here: Keycloak would take seconds over them."""
    made = {
        "rsa": {"algorithm": ["RS256"], "keyUse": ["SIG"], "privateKey": [_rsa()]},
        "rsa-enc": {"algorithm": ["RSA-OAEP"], "keyUse": ["ENC"], "privateKey": [_rsa()]},
        "hmac-generated": {"algorithm": ["HS512"]},
        "aes-generated": {},
    }
    return [
        {"name": provider, "providerId": provider, "config": {"priority": ["100"]} | config}
        for provider, config in made.items()
    ]


def _rsa() -> str:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.PrivateFormat.TraditionalOpenSSL
    return private.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption()).decode()


def remove(url: str, login: tuple[str, str], name: str) -> None:
    """Remove it again, with everybody in it."""
    _call("DELETE", f"{url}/admin/realms/{name}", _token(url, login))


def _token(url: str, login: tuple[str, str]) -> str:
    form = {"grant_type": "password", "client_id": "admin-cli", "username": login[0], "password": login[1]}
    request = urllib.request.Request(  # noqa: S310  (the address the operator gave)
        f"{url}/realms/master/protocol/openid-connect/token", data=urllib.parse.urlencode(form).encode()
    )
    return str(json.loads(_answer(request))["access_token"])


def _call(method: str, url: str, token: str, body: dict[str, Any] | None = None) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    _answer(urllib.request.Request(url, data=data, method=method, headers=headers))  # noqa: S310


def _answer(request: urllib.request.Request) -> bytes:
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read()[:300].decode(errors="replace")
        raise KeycloakServerError(f"{request.full_url} answered {error.code}: {said}") from error
    except (urllib.error.URLError, OSError) as error:
        raise KeycloakServerError(f"{request.full_url} does not answer: {error}") from error
