"""How often a visitor may check usernames and open payments."""

import hashlib
import json

from django.http import HttpRequest

from apps.accounts.models import Signup
from apps.core import limits
from apps.core.errors import BadInput
from apps.core.requests import client_address

FINGERPRINT = "signup_checkout"  # session key: what the open Checkout session was opened for


def limit_username_checks(request: HttpRequest) -> None:
    """10 a minute per session, 30 an hour per visitor; BadInput beyond."""
    allowed = [
        limits.spend("username-session", request.session.session_key or "", limit=10, per=60),
        limits.spend("username-visitor", client_address(request), limit=30, per=3600),
    ]
    if not all(allowed):
        raise BadInput(
            "You've checked a lot of names. Please wait a minute.", field="username", code="too_many", status=429
        )


def limit_checkouts(request: HttpRequest, signup: Signup, ui: str) -> None:
    """3 an hour per mailbox, 10 per visitor; BadInput beyond. Reopening the same one is free."""
    answers = [signup.username, signup.email, signup.basket, signup.interval, ui]
    fingerprint = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()
    if signup.state == Signup.State.CHECKOUT and request.session.get(FINGERPRINT) == fingerprint:
        return
    allowed = [
        limits.spend("checkout-mailbox", limits.mailbox(signup.email), limit=3, per=3600),
        limits.spend("checkout-visitor", client_address(request), limit=10, per=3600),
    ]
    if not all(allowed):
        raise BadInput("Too many payment attempts. Please try again in an hour.", code="too_many", status=429)
    request.session[FINGERPRINT] = fingerprint


def forget_checkout(request: HttpRequest) -> None:
    """The session could not be opened: the next try counts as a new one."""
    request.session.pop(FINGERPRINT, None)
