"""Who logs in with an account of Keycloak that nobody has here: what the login proves, kept for this browser alone and a short time.

Promises: the proof is as old as the password that was typed, never as young as a single sign-on; it lies in the browser's own
session, whose key is changed with it. It is not a login: nobody is let in by it.
"""

import time
from dataclasses import dataclass

from django.http import HttpRequest

from apps.login import reauthentication, sessions
from apps.login.oidc import IdToken

KEPT = "newcomer"  # of the browser's session
FRESH_SECONDS = 15 * 60
LONGEST_ID = 36  # an account of another system that Keycloak only reads has a longer one, and is not ours to change


@dataclass(frozen=True)
class Newcomer:
    """An account that has been proven in this browser; `is_fresh`: by a password typed a few minutes ago."""

    keycloak_id: str
    email: str
    is_fresh: bool


def note(request: HttpRequest, token: IdToken) -> None:
    """Keep what this login proves. Who was logged in here as somebody else is no longer."""
    if request.user.is_authenticated:
        sessions.leave(request)
    until = reauthentication.fresh_until(token.claims, FRESH_SECONDS)
    email = token.claims.get("email")
    request.session.cycle_key()
    request.session[sessions.ID_TOKEN] = token.raw
    request.session[KEPT] = {"id": token.subject, "email": email if isinstance(email, str) else "", "until": until}


def read(request: HttpRequest) -> Newcomer | None:
    """Whose account was proven in this browser; None: nobody's."""
    kept = request.session.get(KEPT)
    if not kept:
        return None
    return Newcomer(str(kept["id"]), str(kept["email"]), time.time() < kept["until"])
