"""The account fields of the checkout page: username, last name, terms. Reads our own tables only."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from apps.accounts.models import Signup
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.requests import text_field
from apps.onboarding import names


def check_username(typed: str, signup: Signup) -> None:
    """BadInput when the username is malformed, reserved or taken."""
    name = names.username(typed)
    users = User.objects.filter(username__iexact=name)
    if signup.profile is not None:
        users = users.exclude(pk=signup.profile.user_id)
    live = Signup.objects.filter(state__in=Signup.LIVE, username__iexact=name).exclude(pk=signup.pk)
    if users.exists() or live.exists():
        raise BadInput("This username is taken. Please choose another.", field="username", code="taken", status=409)


def read_account(signup: Signup, body: dict[str, Any]) -> None:
    """Put the account fields of a request into the signup, unsaved; BadInput for the first that is wrong."""
    username = names.username(text_field(body, "username", limit=64))
    if signup.profile is None or signup.profile.keycloak_id is None:  # returning subscribers keep their username
        signup.username = username
    last_name = text_field(body, "last_name", limit=names.NAME_LIMIT, required=False)
    signup.last_name = names.person_name(last_name, field="last_name", required=False)
    if body.get("terms") is not True:
        raise BadInput("Please accept the terms to continue.", field="terms", code="required")
    if signup.terms_version != settings.TERMS_VERSION or signup.terms_accepted_at is None:
        signup.terms_version = settings.TERMS_VERSION
        signup.terms_accepted_at = clock.now()
