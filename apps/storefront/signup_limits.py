"""How often a visitor may check usernames and open payments."""

import hashlib
import json

from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.accounts.models import Signup
from apps.core import limits
from apps.core.errors import BadInput
from apps.core.requests import client_address

FINGERPRINT = "signup_checkout"  # session key: what the open Checkout session was opened for


def limit_username_checks(request: HttpRequest) -> None:
    """Per session and per visitor; BadInput beyond."""
    visitor = client_address(request)
    if not limits.allow(usernames_session=request.session.session_key or visitor, usernames_visitor=visitor):
        raise BadInput(
            _("You've checked a lot of names. Please wait a minute."), field="username", code="too_many", status=429
        )


def limit_checkouts(request: HttpRequest, signup: Signup, ui: str) -> None:
    """Per mailbox and per visitor; BadInput beyond. Reopening the same one is free."""
    answers = [signup.username, signup.email, signup.basket, signup.interval, ui]
    fingerprint = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()
    if signup.state == Signup.State.CHECKOUT and request.session.get(FINGERPRINT) == fingerprint:
        return
    mailbox = limits.mailbox(signup.email)
    if not limits.allow(checkouts_mailbox=mailbox, checkouts_visitor=client_address(request)):
        raise BadInput(_("Too many payment attempts. Please try again in an hour."), code="too_many", status=429)
    request.session[FINGERPRINT] = fingerprint


def forget_checkout(request: HttpRequest) -> None:
    """The session could not be opened: the next try counts as a new one."""
    request.session.pop(FINGERPRINT, None)
