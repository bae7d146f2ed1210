"""Signed things: the realm's RS256 keys, and the tokens made and read with them. All times are the sandbox's.

Reading never trusts the machine's clock: PyJWT checks the signature, this module the times.
"""

import base64
import functools
import hashlib
import json
import secrets
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.types import Options

from apps.sandbox import clock
from apps.sandbox.keycloak import realm
from apps.sandbox.store import store

Row = dict[str, Any]

MASTER = "master"


def rotate() -> str:
    """Make a new key and sign with it from now on; the old ones stay published. Returns the new key's id."""
    return _sign_with(_make())


def _make() -> str:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def _sign_with(pem: str) -> str:
    key = {"kid": secrets.token_urlsafe(32), "pem": pem}
    realm.state()["keys"].insert(0, key)
    store.changed()
    return key["kid"]


@functools.cache
def _first() -> str:
    """The key a realm begins with, one for this process: making one takes longer than all else a reset does."""
    return _make()


@functools.cache
def _private(pem: str) -> rsa.RSAPrivateKey:
    """A key as an object; reading one takes longer than signing with it."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("The realm's keys are RSA keys.")
    return key


def keys() -> list[Row]:
    """The realm's keys, the one that signs first."""
    if not realm.state()["keys"]:
        _sign_with(_first())
    found: list[Row] = realm.state()["keys"]
    return found


def public_keys() -> list[Row]:
    """The keys as a JSON Web Key Set lists them."""
    shown = []
    for key in keys():
        numbers = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_private(key["pem"]).public_key()))
        shown.append(
            {"kid": key["kid"], "kty": "RSA", "alg": "RS256", "use": "sig"} | {"n": numbers["n"], "e": numbers["e"]}
        )
    return shown


def sign(claims: Row, *, typ: str = "JWT") -> str:
    """A token others can verify with the realm's public keys."""
    key = keys()[0]
    return jwt.encode(claims, _private(key["pem"]), algorithm="RS256", headers={"kid": key["kid"], "typ": typ})


def seal(claims: Row) -> str:
    """A token only this server can read: refresh tokens and links in mails."""
    return jwt.encode(claims, realm.state()["secret"], algorithm="HS512")


def read(token: str) -> Row | None:
    """The claims of a token made by `sign`, whatever its times; None when it is none of ours."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next(row for row in keys() if row["kid"] == kid)
        return _decoded(token, _private(key["pem"]).public_key(), "RS256")
    except (jwt.PyJWTError, StopIteration, ValueError):
        return None


def unseal(token: str) -> Row | None:
    """The claims of a token made by `seal`, whatever its times; None when it is none of ours."""
    try:
        return _decoded(token, realm.state()["secret"], "HS512")
    except (jwt.PyJWTError, ValueError):
        return None


def _decoded(token: str, key: rsa.RSAPublicKey | str, algorithm: str) -> Row:
    unchecked: Options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
    claims: Row = jwt.decode(token, key, algorithms=[algorithm], options=unchecked)
    return claims


def live(claims: Row) -> bool:
    """Whether a token's time has not run out and it was not revoked."""
    spent = realm.state()["spent"]
    return claims["exp"] > clock.now() and claims.get("jti") not in spent


def spend(claims: Row) -> None:
    """Remember that a token must not be used again, until it would have run out."""
    spent = realm.state()["spent"]
    now = clock.now()
    for jti in [jti for jti, until in spent.items() if until <= now]:
        del spent[jti]
    spent[claims["jti"]] = claims["exp"]


def era(user: Row) -> int:
    """A number that tokens carry and that grows when all of a user's earlier tokens become void.

    Keycloak compares times (`not-before`), which lets a token of the same second through; the sandbox is exact.
    """
    return int(user["era"]) + int(realm.settings_of_realm()["era"])


def basics(*, typ: str, lifespan: int, **claims: object) -> Row:
    """The claims every token has: issuer, times in sandbox seconds, an id, a type."""
    now = clock.now()
    return {"exp": now + lifespan, "iat": now, "jti": str(uuid.uuid4()), "iss": realm.url(), "typ": typ, **claims}


def half_hash(token: str) -> str:
    """`at_hash` of OpenID Connect: the left half of the token's SHA-256, base64url."""
    digest = hashlib.sha256(token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
