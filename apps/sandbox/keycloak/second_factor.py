"""A second factor of one's own: an authenticator app is set up on a page, and its code is asked for after the password.

Codes are RFC 6238's (SHA-1, 30 s, six digits), by the system's clock, since the app on a phone knows nothing of the sandbox's.
"""

import base64
import hashlib
import hmac
import secrets
import time
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.sandbox.keycloak.screens import show

Row = dict[str, Any]
STEP, LETTERS = 30, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
WRONG = "Invalid authenticator code."


def code_of(secret: str, *, step: int) -> str:
    """The six digits of a secret (plain letters) in that step of time."""
    digest = hmac.digest(secret.encode(), step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def is_right(secret: str, typed: str) -> bool:
    """Whether a code is of now, or of the step before or after."""
    now, digits = int(time.time()) // STEP, typed.replace(" ", "")
    return any(hmac.compare_digest(code_of(secret, step=now + one), digits) for one in (-1, 0, 1) if digits.isascii())


def set_up_page(request: HttpRequest, *, action: str, secret: str = "", error: str = "") -> HttpResponse:
    """The page with a secret to type into the app, and a field for its first code."""
    secret = secret or "".join(secrets.choice(LETTERS) for _ in range(20))
    shown = base64.b32encode(secret.encode()).decode().rstrip("=")
    grouped = " ".join(shown[at : at + 4] for at in range(0, len(shown), 4))
    return show(request, "totp", {"action": action, "secret": secret, "shown": grouped, "error": error})


def set_up(request: HttpRequest, user: Row) -> str:
    """Take the secret of the page if the code is right; returns what is wrong, empty when nothing is."""
    secret = request.POST.get("totpSecret", "")
    if not secret or not is_right(secret, request.POST.get("totp", "")):
        return WRONG
    user["otp"] = secret
    return ""


def ask_page(request: HttpRequest, *, action: str, error: str = "") -> HttpResponse:
    """The page that asks for a code."""
    return show(request, "otp", {"action": action, "error": error})
