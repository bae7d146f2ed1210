"""Who is logged in: single sign-on sessions, their clients, their end, and the back-channel logout that tells clients.

A session ends by logout, by an administrator or by its time on the sandbox's clock; only the first two tell the clients.
https://openid.net/specs/openid-connect-backchannel-1_0.html
"""

import logging
import secrets
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

from apps.sandbox import clock
from apps.sandbox.keycloak import realm, tokens
from apps.sandbox.store import store

Row = dict[str, Any]

log = logging.getLogger(__name__)

EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_SECONDS = 120
CALL_TIMEOUT_SECONDS = 5
OFFLINE_IDLE_SECONDS = 30 * 86_400


def start(user: Row) -> Row:
    """A new session for somebody who has just proven who they are."""
    now = clock.now()
    session = {
        "id": secrets.token_urlsafe(18),
        "user": user["id"],
        "cookie": secrets.token_urlsafe(32),
        "started": now,
        "last": now,
        "auth_time": now,
        "clients": {},
    }
    realm.state()["sessions"][session["id"]] = session
    return session


def find(sid: str) -> Row | None:
    """A session that is still alive, by its id."""
    session: Row | None = realm.state()["sessions"].get(sid)
    return session if session is not None and _alive(session) else None


def find_offline(sid: str) -> Row | None:
    """An offline session that is still alive, by its id."""
    session: Row | None = realm.state()["offline"].get(sid)
    if session is None or clock.now() >= session["last"] + OFFLINE_IDLE_SECONDS:
        return None
    return session


def find_by_cookie(cookie: str) -> Row | None:
    """The session a browser's cookie stands for."""
    rows = realm.state()["sessions"].values()
    return next((row for row in rows if cookie and row["cookie"] == cookie and _alive(row)), None)


def _alive(session: Row) -> bool:
    rules, now = realm.settings_of_realm(), clock.now()
    return bool(
        now < session["last"] + rules["ssoSessionIdleTimeout"]
        and now < session["started"] + rules["ssoSessionMaxLifespan"]
    )


def touch(session: Row) -> None:
    """Note that the session was used."""
    session["last"] = clock.now()


def enter(session: Row, client_id: str, *, acr: str) -> Row:
    """The session's entry for a client, made at the client's first login through it."""
    entry: Row = session["clients"].setdefault(client_id, {"started": clock.now(), "acr": acr})
    entry["acr"] = acr
    touch(session)
    return entry


def keep_offline(session: Row, client_id: str) -> Row:
    """An offline session of the same id, for a client that asked for `offline_access`.

    As in Keycloak the client leaves the online session for it, which ends when it was the only one.
    """
    kept: Row = realm.state()["offline"].setdefault(session["id"], {**session, "clients": {}})
    kept["clients"][client_id] = session["clients"].pop(client_id)
    kept["last"] = clock.now()
    if not session["clients"]:
        realm.state()["sessions"].pop(session["id"], None)
    return kept


def every() -> list[Row]:
    """All live sessions, oldest first."""
    return [row for row in realm.state()["sessions"].values() if _alive(row)]


def of_user(user_id: str) -> list[Row]:
    """A user's live sessions, oldest first."""
    return [row for row in every() if row["user"] == user_id]


def as_json(session: Row, username: str) -> Row:
    """Keycloak's representation of a session; times in milliseconds."""
    known = {client_id: realm.client(client_id) for client_id in session["clients"]}
    return {
        "id": session["id"],
        "username": username,
        "userId": session["user"],
        "ipAddress": "127.0.0.1",
        "start": session["started"] * 1000,
        "lastAccess": session["last"] * 1000,
        "rememberMe": False,
        "clients": {row["id"]: row["clientId"] for row in known.values() if row},
        "transientUser": False,
    }


def end(ended: Iterable[Row]) -> None:
    """End sessions and tell their clients. The calls leave from a thread, so the caller may hold the store's lock."""
    calls = []
    for session in list(ended):
        realm.state()["sessions"].pop(session["id"], None)
        for client_id in session["clients"]:
            client = realm.client(client_id)
            url = client["attributes"].get("backchannel.logout.url") if client else ""
            if client and url:
                calls.append((url, logout_token(client, session)))
    store.changed()
    if calls:
        threading.Thread(target=_tell, args=(calls,), name="backchannel", daemon=True).start()


def logout_token(client: Row, session: Row) -> str:
    """The token that tells `client` that `session` has ended."""
    claims = tokens.basics(
        typ="Logout", lifespan=LOGOUT_TOKEN_SECONDS, aud=client["clientId"], sub=session["user"], events={EVENT: {}}
    )
    if client["attributes"].get("backchannel.logout.session.required") == "true":
        claims["sid"] = session["id"]
    return tokens.sign(claims, typ="logout+jwt")


def _tell(calls: list[tuple[str, str]]) -> None:
    for url, token in calls:
        body = urllib.parse.urlencode({"logout_token": token}).encode()
        request = urllib.request.Request(url, data=body, method="POST")  # noqa: S310  from the realm file
        try:
            urllib.request.urlopen(request, timeout=CALL_TIMEOUT_SECONDS).close()  # noqa: S310
        except (urllib.error.URLError, OSError) as problem:
            log.warning("Back-channel logout to %s failed: %s", url, problem)
