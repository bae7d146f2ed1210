"""How lately and how strongly somebody proved to be themselves: fresh logins for what is dangerous, second factors for staff.

Promises: fresh is a login whose password was typed at most STAFF_FRESH_MINUTES ago, told by the ID token's `auth_time`, never by
when our session began; Keycloak keeps `acr` for a whole session, so `acr` proves strength, not freshness.
Times in the session are the system's, see sessions.py; the token's are the domain's.
"""

import time
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest

from apps.core import clock

ASK_AGAIN_SECONDS = 60  # a login asked for is not answered by one that is about to grow stale
FRESH_UNTIL = "oidc_fresh_until"
KEPT = "console_kept"  # what was typed before the login was asked for
FRESH, STRONG = "fresh", "strong"  # what a login can be asked for
# What a person can be sent to change at Keycloak, by its names for them (application-initiated actions). Keycloak asks for the
# password first, as the realm files say (max_auth_age 0).
CHANGES = {
    "password": "UPDATE_PASSWORD",
    "authenticator": "CONFIGURE_TOTP",
    "passkey": "webauthn-register-passwordless",
}


def note(request: HttpRequest, claims: dict[str, Any]) -> None:
    """Keep in a session that has just begun how long its login counts as fresh; without `auth_time`, not at all."""
    request.session[FRESH_UNTIL] = fresh_until(claims, settings.STAFF_FRESH_MINUTES * 60)


def fresh_until(claims: dict[str, Any], seconds: int) -> int:
    """Until when a login counts as fresh: so many seconds after its password was typed; 0 when Keycloak does not say when."""
    typed = claims.get("auth_time")
    if isinstance(typed, bool) or not isinstance(typed, int | float):
        return 0
    return int(time.time()) + seconds - max(0, int(clock.timestamp() - typed))


def is_fresh(request: HttpRequest) -> bool:
    """Whether the person typed the password a few minutes ago at most."""
    return bool(time.time() < request.session.get(FRESH_UNTIL, 0))


def is_undated(request: HttpRequest) -> bool:
    """Whether Keycloak did not say when the password was typed: logging in again does not help."""
    return bool(request.session.get(FRESH_UNTIL) == 0)


def login_url(target: str, wish: str = FRESH) -> str:
    """Where to log in again (`wish`: fresh or strong) and come back to `target`, a path of this site."""
    return f"{settings.LOGIN_URL}?{urlencode({'as': wish, REDIRECT_FIELD_NAME: target})}"


def parameters(wish: str, *, target: str) -> dict[str, str]:
    """What to add to an authorization request for that `wish`, by somebody who wants to `target`."""
    if wish in CHANGES:
        return {"kc_action": CHANGES[wish]}
    needed = settings.STAFF_REQUIRED_ACR
    asked = {"acr_values": needed} if needed and (wish == STRONG or target.startswith("/admin/")) else {}
    if wish == STRONG:
        return asked | {"prompt": "login"}  # single sign-on would answer with what it has
    return asked | ({"max_age": str(ASK_AGAIN_SECONDS)} if wish == FRESH else {})


def is_strong(claims: dict[str, Any]) -> bool:
    """Whether a login is as strong as STAFF_REQUIRED_ACR asks of staff; levels that are numbers count upwards."""
    needed, given = settings.STAFF_REQUIRED_ACR, claims.get("acr")
    if not needed:
        return True
    if not isinstance(given, str):
        return False
    levels = needed.isdecimal() and given.isdecimal()
    return int(given) >= int(needed) if levels else given == needed
