"""The account fields of the checkout page: first name, username, last name, terms."""

from contextlib import suppress
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from apps.accounts.models import Signup
from apps.core import brand, clock
from apps.core.errors import BadInput, WorkError
from apps.core.requests import text_field
from apps.identity import user_profile
from apps.identity.keycloak import client
from apps.onboarding import names, own_account, signup_checkout
from apps.storefront.consent import read_accepted_terms

log = structlog.get_logger(__name__)


def read_first_name(typed: str) -> str:
    """The first name as stored; BadInput when it can't be one."""
    return names.person_name(typed, field="first_name", rules=user_profile.current_rules())


def read_address(typed: str) -> str:
    """The email address as stored; BadInput when it is none, or no account can have it."""
    return names.email(typed, rules=user_profile.current_rules())


def has_account(signup: Signup) -> bool:
    """Whether their username is that of an account: they come back, or have one at Keycloak."""
    return bool(signup.keycloak_id) or comes_back(signup)


def comes_back(signup: Signup) -> bool:
    """Whether somebody was a subscriber before: their names stay, whatever the rules are now."""
    return signup.profile is not None and signup.profile.keycloak_id is not None


def check_username(typed: str, signup: Signup) -> str:
    """The username as stored; BadInput when it is malformed, reserved or taken."""
    if has_account(signup):
        return signup.username
    name = names.username(typed, rules=user_profile.current_rules())
    mine = signup.email if signup.email_proven_at else ""  # what the same person began with another browser
    users = User.objects.filter(username__iexact=name).exclude(profile__email__iexact=mine)
    if signup.profile is not None:
        users = users.exclude(pk=signup.profile.user_id)
    live = Signup.objects.filter(state__in=Signup.LIVE, username__iexact=name).exclude(pk=signup.pk)
    if users.exists() or live.exclude(email__iexact=mine).exists():
        raise signup_checkout.NameTaken("username")
    return name


def check_free_at_keycloak(username: str, signup: Signup) -> None:
    """BadInput when an account that only Keycloak knows has the username. While Keycloak is away, the person goes on."""
    if has_account(signup):
        return
    try:
        taken = client(patience=own_account.PATIENCE_SECONDS).username_taken(username)
    except WorkError as away:
        log.warning("username_not_checked_at_keycloak", reason=away.reason)
        return
    if taken:
        raise signup_checkout.NameTaken("username")


def read_account(signup: Signup, body: dict[str, Any]) -> None:
    """Put the account fields of a request into the signup, unsaved; BadInput for the first that is wrong."""
    rules = user_profile.current_rules()
    username = text_field(body, "username", limit=64)
    if signup.keycloak_id:
        signup.username = own_account.free_username(signup, signup.username)
    elif not has_account(signup):
        signup.username = names.username(username, rules=rules)
    if not comes_back(signup):
        if "first_name" in body:
            signup.first_name = read_first_name(text_field(body, "first_name", limit=names.NAME_LIMIT, required=False))
        _check_earlier_answers(signup, rules)
    last_name = text_field(body, "last_name", limit=names.NAME_LIMIT, required=False)
    signup.last_name = names.person_name(last_name, field="last_name", required=False, rules=rules)
    version = read_accepted_terms(body, missing=_("Please accept the terms to continue."))
    if signup.terms_version != version or signup.terms_accepted_at is None:
        signup.terms_version, signup.terms_accepted_at = version, clock.now()
    _read_wish_to_begin(signup, body)


def _read_wish_to_begin(signup: Signup, body: dict[str, Any]) -> None:
    """Where the operator asks for it: that we begin before the days to withdraw are over, and since when they say so."""
    if not brand.rights()["asks_to_begin"]:
        return
    if body.get("begin_at_once") is not True:
        raise BadInput(_("Please agree that we begin right away."), field="begin_at_once", code="required")
    signup.asked_to_begin_at = signup.asked_to_begin_at or clock.now()


def save_draft(signup: Signup, typed: dict[str, str]) -> None:
    """Keep what could be part of an account, for those who go back; the terms are accepted with the order alone."""
    if signup.state != Signup.State.OPEN:
        return
    rules = user_profile.current_rules()
    with suppress(BadInput):
        if not has_account(signup):
            signup.username = names.username(text_field(typed, "username", limit=64), rules=rules)
    with suppress(BadInput):
        if not comes_back(signup) and "first_name" in typed:
            signup.first_name = read_first_name(text_field(typed, "first_name", limit=names.NAME_LIMIT))
    with suppress(BadInput):
        last_name = text_field(typed, "last_name", limit=names.NAME_LIMIT, required=False)
        signup.last_name = names.person_name(last_name, field="last_name", required=False, rules=rules)
    signup.save(update_fields=["username", "first_name", "last_name"])


def _check_earlier_answers(signup: Signup, rules: user_profile.Rules) -> None:
    """The first name and the address were given earlier: the realm's rules may have changed, and now somebody pays."""
    try:
        names.person_name(signup.first_name, field="first_name", rules=rules)
        if not signup.keycloak_id:  # an account that is there has its address, whatever the rules are now
            names.email(signup.email, rules=rules)
    except BadInput as refusal:
        said = _("Your email address can't be used for an account.")
        if refusal.field == "first_name":
            said = _("Your first name can't be used for an account.")
        message = f"{said} {refusal.message}"
        raise BadInput(message, field=refusal.field, code=refusal.code, status=409) from refusal
