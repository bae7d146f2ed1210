"""The endpoints programs call: token, userinfo, introspection, revocation.

https://openid.net/specs/openid-connect-core-1_0.html; Keycloak's words for every error.
"""

import base64
import binascii
import hashlib
import hmac
import re
import urllib.parse
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox import clock
from apps.sandbox.keycloak import claims, realm, sessions, tokens, users
from apps.sandbox.keycloak.answers import failed
from apps.sandbox.keycloak.discovery import public

Row = dict[str, Any]

MASTER_TOKEN_SECONDS = 60
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@public
def token(request: HttpRequest, realm_name: str) -> HttpResponse:
    _only_post(request)
    grant = request.POST.get("grant_type")
    if grant is None:
        raise failed(400, "invalid_request", "Missing form parameter: grant_type")
    if realm_name == tokens.MASTER:
        return JsonResponse(_master_answer(request, grant))
    client = client_of(request)
    grants = {
        "authorization_code": _by_code,
        "refresh_token": _by_refresh_token,
        "client_credentials": _by_client_credentials,
    }
    if grant == "password":
        raise failed(400, "unauthorized_client", "Client not allowed for direct access grants")
    if grant not in grants:
        raise failed(400, "unsupported_grant_type", "Unsupported grant_type")
    return JsonResponse(grants[grant](request, client))


def _only_post(request: HttpRequest) -> None:
    if request.method != "POST":
        raise failed(405)


def client_of(request: HttpRequest) -> Row:
    """The client that authenticates itself, by Basic or by form fields. Raises RefusedError (401)."""
    client_id, secret = _credentials(request)
    client = realm.client(client_id)
    words = "Invalid client or Invalid client credentials"
    if client is None or not client["enabled"]:
        raise failed(401, "invalid_client", words)
    own = str(client.get("secret") or "")
    if not own or not hmac.compare_digest(secret.encode(), own.encode()):
        raise failed(401, "unauthorized_client", words)
    return client


def _credentials(request: HttpRequest) -> tuple[str, str]:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request.POST.get("client_id", ""), request.POST.get("client_secret", "")
    try:
        name, _, secret = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)


def _by_client_credentials(_request: HttpRequest, client: Row) -> Row:
    if not client.get("serviceAccountsEnabled"):
        raise failed(401, "unauthorized_client", "Client not enabled to retrieve service account")
    rows = users.every().values()
    found = [row for row in rows if row["serviceAccountClientId"] == client["clientId"]]
    if not found or not found[0]["enabled"]:
        raise failed(401, "invalid_client", "User disabled")
    return claims.service_answer(client, found[0])


def _by_code(request: HttpRequest, client: Row) -> Row:
    if not request.POST.get("code"):
        raise failed(400, "invalid_request", "Missing parameter: code")
    code: Row | None = realm.state()["codes"].pop(request.POST["code"], None)
    if code is None or code["until"] <= clock.now() or code["client"] != client["clientId"]:
        raise failed(400, "invalid_grant", "Code not valid")
    if request.POST.get("redirect_uri", "") != code["redirect_uri"]:
        raise failed(400, "invalid_grant", "Incorrect redirect_uri")
    _check_proof(request.POST.get("code_verifier"), code["challenge"])
    session = sessions.find(code["session"])
    if session is None:
        raise failed(400, "invalid_grant", "Session not active")
    user = _active_user(session)
    scope = code["scope"]
    if "offline_access" in scope.split():
        session = sessions.keep_offline(session, client["clientId"])
    return claims.answer(user=user, client=client, session=session, scope=scope, nonce=code["nonce"])


def _check_proof(verifier: str | None, challenge: str) -> None:
    if not challenge:
        return
    if verifier is None:
        raise failed(400, "invalid_grant", "PKCE code verifier not specified")
    if not VERIFIER.fullmatch(verifier):
        raise failed(400, "invalid_grant", "PKCE verification failed: Invalid code verifier")
    digest = hashlib.sha256(verifier.encode()).digest()
    if base64.urlsafe_b64encode(digest).decode().rstrip("=") != challenge:
        raise failed(400, "invalid_grant", "PKCE verification failed: Code mismatch")


def _active_user(session: Row) -> Row:
    user = users.find(session["user"])
    if user is None or not user["enabled"]:
        raise failed(400, "invalid_grant", "User disabled")
    return user


def _by_refresh_token(request: HttpRequest, client: Row) -> Row:
    given = request.POST.get("refresh_token")
    if not given:
        raise failed(400, "invalid_request", "No refresh token")
    said = tokens.unseal(given)
    if said is None or said.get("typ") not in {"Refresh", "Offline"}:
        raise failed(400, "invalid_grant", "Invalid refresh token")
    if said["azp"] != client["clientId"]:
        raise failed(400, "invalid_grant", "Invalid refresh token. Token client and authorized client don't match")
    if not tokens.live(said):
        raise failed(400, "invalid_grant", "Token is not active")
    user, session = _holder(said, client)
    sessions.touch(session)
    return claims.answer(user=user, client=client, session=session, scope=said["scope"], nonce=said["nonce"])


def _holder(said: Row, client: Row) -> tuple[Row, Row]:
    """The user and session a refresh token belongs to, while both are active."""
    offline = said["typ"] == "Offline"
    session = sessions.find_offline(said["sid"]) if offline else sessions.find(said["sid"])
    if session is None or client["clientId"] not in session["clients"]:
        words = "Offline user session not found" if offline else "Session not active"
        raise failed(400, "invalid_grant", words)
    user = _active_user(session)
    if said["era"] != tokens.era(user):
        raise failed(400, "invalid_grant", "Stale token")
    return user, session


def _master_answer(request: HttpRequest, grant: str) -> Row:
    """The server's own administrator (admin / admin through admin-cli), as a fresh development server has one."""
    form = request.POST
    if grant != "password" or form.get("client_id") != "admin-cli":
        raise failed(401, "invalid_client", "Invalid client or Invalid client credentials")
    if (form.get("username"), form.get("password")) != ("admin", "admin"):
        raise failed(401, "invalid_grant", "Invalid user credentials")
    said = tokens.basics(typ="Bearer", lifespan=MASTER_TOKEN_SECONDS, sub="admin", master=True)
    return {
        "access_token": tokens.sign(said),
        "expires_in": MASTER_TOKEN_SECONDS,
        "refresh_expires_in": 0,
        "token_type": "Bearer",
        "scope": "",
    }


@public
def userinfo(request: HttpRequest, _realm_name: str) -> HttpResponse:
    """GET or POST /userinfo."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return _unwelcome(401, "", "")
    try:
        said, session = claims.valid_access(given.strip())
    except claims.InvalidTokenError as problem:
        return _unwelcome(401, "invalid_token", str(problem))
    client = realm.client(said["azp"])
    user = users.find(said["sub"])
    if session is None or client is None or user is None or "openid" not in said["scope"].split():
        return _unwelcome(403, "insufficient_scope", "Missing openid scope")
    return JsonResponse({"sub": user["id"], **claims.of_user(user, client, "userinfo.token")})


def _unwelcome(status: int, error: str, words: str) -> HttpResponse:
    header = f'Bearer realm="{realm.name()}"'
    if error:
        header += f', error="{error}", error_description="{words}"'
    response = HttpResponse(status=status)
    response["WWW-Authenticate"] = header
    return response


@public
def introspect(request: HttpRequest, _realm_name: str) -> HttpResponse:
    """POST /token/introspect: what an access token says to a client of its audience, while it is good."""
    _only_post(request)
    client = client_of(request)
    try:
        said, _ = claims.valid_access(request.POST.get("token", ""))
    except claims.InvalidTokenError:
        return JsonResponse({"active": False})
    # Seen on 26.7.3: who is not in the audience is told nothing, not even the client the token was made for.
    if client["clientId"] not in _listed(said.get("aud")):
        return JsonResponse({"active": False})
    return JsonResponse(said | {"active": True, "client_id": said["azp"], "token_type": "Bearer"})


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


@public
def revoke(request: HttpRequest, _realm_name: str) -> HttpResponse:
    """POST /revoke: an access token is void; a refresh token's client leaves the session (and a later logout is silent)."""
    _only_post(request)
    client = client_of(request)
    given = request.POST.get("token", "")
    if not given:
        raise failed(400, "invalid_request", "Token not provided")
    access, refresh = tokens.read(given), tokens.unseal(given)
    if access is not None and access.get("azp") == client["clientId"]:
        tokens.spend(access)
    elif refresh is not None and "sid" in refresh and refresh["azp"] == client["clientId"]:
        offline = refresh["typ"] == "Offline"
        kept = realm.state()["offline" if offline else "sessions"]
        session = kept.get(refresh["sid"])
        if session is not None:
            session["clients"].pop(client["clientId"], None)
            if not session["clients"]:
                kept.pop(session["id"])
    return HttpResponse(status=200)
