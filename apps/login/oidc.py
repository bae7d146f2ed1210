"""What a token of our Keycloak must be before a word of it is believed.

Promises: signed by a key the issuer publishes, with an algorithm of our choosing, never the token's; made by our issuer,
for our client, at a time that fits the domain's clock; an ID token answers the very login that asked (nonce); a token
of one type is never taken for one of the other.
The endpoints are Keycloak's fixed ones below the configured issuer, so nothing that is fetched can lead elsewhere.
https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
"""

import hmac
import math
import threading
import time
from dataclasses import dataclass
from typing import Any, TypeIs

import jwt
import requests
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings

from apps.core import clock

ALGORITHMS = ("RS256", "ES256", "PS256")
LEEWAY_SECONDS = 60
LOGOUT_LEEWAY_SECONDS = 120
KEYS_SECONDS = 600
FORCED_FETCH_SECONDS = 5  # unknown key ids are cheap to invent; each may not cost a call
TIMEOUT_SECONDS = 5
MAX_TOKEN_LENGTH = 16 * 1024
# What a token's header must call it: a logout token is named, an ID token may go without.
ID_TYPES, LOGOUT_TYPES = ("jwt", ""), ("logout+jwt",)
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
# PyJWT checks the signature only: its clock is the system's, ours may be a rehearsal's.
SIGNATURE_ONLY = {
    "verify_signature": True,
    **dict.fromkeys([f"verify_{claim}" for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")], False),
}


class TokenError(OAuth2Error):  # type: ignore[misc]
    """A token that is not to be believed; the text says why, for the log. allauth turns it into the error page."""


@dataclass(frozen=True)
class IdToken:
    """A verified ID token: who (`subject`), which Keycloak session (`sid`, may be empty), all it says, and its text."""

    subject: str
    sid: str
    claims: dict[str, Any]
    raw: str


@dataclass(frozen=True)
class LogoutToken:
    """A verified back-channel logout token: its id, and whose or which session has ended (one of them may be empty)."""

    jti: str
    subject: str
    sid: str


def endpoints() -> dict[str, Any]:
    """Keycloak's endpoints for our realm, named as in its discovery document."""
    issuer = settings.KEYCLOAK_ISSUER
    here = f"{issuer}/protocol/openid-connect"
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{here}/auth",
        "token_endpoint": f"{here}/token",
        "userinfo_endpoint": f"{here}/userinfo",
        "end_session_endpoint": f"{here}/logout",
        "jwks_uri": f"{here}/certs",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }


class Keys:
    """The issuer's public keys by id, kept for ten minutes; an unknown id fetches them again, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Start over, as a new process would."""
        self._url = ""
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._forced = -math.inf

    def find(self, kid: str) -> jwt.PyJWK:
        """The key `kid`. Raises TokenError when the issuer has none of that id, requests' errors when it is away."""
        with self._lock:
            now, url = time.monotonic(), endpoints()["jwks_uri"]
            if url != self._url or now - self._fetched > KEYS_SECONDS:
                self._fetch(url, now)
            elif kid not in self._keys and now - self._forced > FORCED_FETCH_SECONDS:
                self._forced = now
                self._fetch(url, now)
            if kid not in self._keys:
                raise TokenError("signed by a key the issuer does not publish")
            return self._keys[kid]

    def _fetch(self, url: str, now: float) -> None:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        answer.raise_for_status()
        try:
            rows = answer.json()["keys"]
            usable = [row for row in rows if row.get("use", "sig") == "sig" and row.get("alg") in ALGORITHMS]
            self._keys = {str(row["kid"]): jwt.PyJWK(row) for row in usable}
        except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
            raise TokenError("the issuer's keys cannot be read") from error
        self._url, self._fetched = url, now


KEYS = Keys()


def id_token(raw: object, *, nonce: str) -> IdToken:
    """The ID token `raw`, verified, as the answer to the login that sent `nonce`. Raises TokenError."""
    claims = _signed(raw, types=ID_TYPES)
    _check_origin(claims)
    _check_times(claims)
    subject, sid = claims.get("sub"), claims.get("sid", "")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not isinstance(sid, str):
        raise TokenError("no usable sub or sid")
    given = claims.get("nonce")
    if not nonce or not isinstance(given, str) or not _same(given, nonce):
        raise TokenError("not the answer to this login: nonce")
    if claims.get("typ", "ID") != "ID":
        raise TokenError("not an ID token: typ")
    return IdToken(subject=subject, sid=sid, claims=claims, raw=str(raw))


def logout_token(raw: object) -> LogoutToken:
    """The logout token `raw`, verified, whether or not it was used before. Raises TokenError.

    https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation
    """
    claims = _signed(raw, types=LOGOUT_TYPES)
    _check_origin(claims)
    _check_times(claims, exp_required=False)
    if abs(clock.timestamp() - claims["iat"]) > LOGOUT_LEEWAY_SECONDS:
        raise TokenError("too old: iat")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise TokenError("not a logout token: events")
    if "nonce" in claims:
        raise TokenError("a logout token has no nonce")
    jti, subject, sid = (claims.get(name, "") for name in ("jti", "sub", "sid"))
    if not all(isinstance(value, str) and len(value) <= 255 and "\x00" not in value for value in (jti, subject, sid)):
        raise TokenError("jti, sub and sid must be texts")
    if not jti or not (subject or sid):
        raise TokenError("no jti, or neither sub nor sid")
    return LogoutToken(jti=jti, subject=subject, sid=sid)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _signed(raw: object, *, types: tuple[str, ...]) -> dict[str, Any]:
    """The claims of a token whose signature is good and whose header names one of the types."""
    if not isinstance(raw, str) or not 0 < len(raw) <= MAX_TOKEN_LENGTH:
        raise TokenError("no token")
    try:
        header = jwt.get_unverified_header(raw)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not isinstance(kid, str) or "crit" in header:
            raise TokenError("signed in a way we do not accept")
        if _type(header) not in types:
            raise TokenError("another type of token: typ")
        key = KEYS.find(kid)
        if key.algorithm_name != algorithm:
            raise TokenError("the algorithm is not the key's")
        claims: dict[str, Any] = jwt.decode(
            raw,
            key.key,
            algorithms=[algorithm],
            options=SIGNATURE_ONLY,  # type: ignore[arg-type]
        )
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise TokenError(f"not a correctly signed token: {type(error).__name__}") from error
    return claims


def _type(header: dict[str, Any]) -> str:
    """The type a header names, without the prefix that may be left out (RFC 7515, 4.1.9)."""
    return str(header.get("typ", "")).lower().removeprefix("application/")


def _check_origin(claims: dict[str, Any]) -> None:
    """Made by our issuer for our client."""
    if claims.get("iss") != settings.KEYCLOAK_ISSUER:
        raise TokenError("made by somebody else: iss")
    said, us = claims.get("aud"), settings.OIDC_RP_CLIENT_ID
    audience = said if isinstance(said, list) else [said]
    if us not in audience:
        raise TokenError("made for somebody else: aud")
    if claims.get("azp", us if len(audience) == 1 else None) != us:
        raise TokenError("asked for by somebody else: azp")


def _check_times(claims: dict[str, Any], *, exp_required: bool = True) -> None:
    """Neither over nor from the future, by the domain's clock."""
    now = clock.timestamp()
    issued, expires, begins = (claims.get(name) for name in ("iat", "exp", "nbf"))
    if not _is_time(issued) or issued > now + LEEWAY_SECONDS:
        raise TokenError("from the future, or not dated: iat")
    if (exp_required or expires is not None) and (not _is_time(expires) or expires <= now - LEEWAY_SECONDS):
        raise TokenError("over: exp")
    if begins is not None and (not _is_time(begins) or begins > now + LEEWAY_SECONDS):
        raise TokenError("not yet valid: nbf")


def _is_time(value: object) -> TypeIs[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
