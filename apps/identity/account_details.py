"""A subscriber's name, email address and language, written to their Keycloak account after they were changed here.

Promises: each job writes what our row says when it runs, so it may run twice, late or out of order; nothing else of the
account is touched. Callers queue it in the lane of the subscriber, as one writer per user is allowed.
"""

from collections.abc import Callable

import structlog

from apps.accounts.models import UserProfile
from apps.core import languages
from apps.identity.keycloak import NotKept, client

WRITE_EMAIL, WRITE_NAME = "write_email_to_keycloak", "write_name_to_keycloak"
WRITE_LANGUAGE, FILL_LANGUAGE = "write_language_to_keycloak", "fill_language_at_keycloak"
LANGUAGE = "locale"  # the attribute that Keycloak's pages and emails follow

log = structlog.get_logger(__name__)

on_email_written: list[Callable[[int], None]] = []  # called with the profile's id, once Keycloak has our address


def write_email(key: str) -> None:
    """The job: write our email of the profile `key` to Keycloak, as verified, because its code proved it to us."""
    if profile := _find(key):
        client().update_user(profile.keycloak_id or "", email=profile.email)
        for listener in on_email_written:
            listener(profile.pk)


def write_name(key: str) -> None:
    """The job: write our first and last name of the profile `key` to Keycloak."""
    if profile := _find(key):
        name = profile.user
        client().update_user(profile.keycloak_id or "", first_name=name.first_name, last_name=name.last_name)


def write_language(key: str) -> None:
    """The job: write our language of the profile `key` to Keycloak, for its own pages and emails.

    A realm in which internationalization is off keeps no language of anybody (26.7.3): that is the doctor's to say, once.
    """
    if profile := _find(key):
        try:
            client().update_user(profile.keycloak_id or "", attributes=language_of(profile))
        except NotKept as refusal:
            if refusal.names != (LANGUAGE,):
                raise
            log.warning("keycloak_keeps_no_language")


def fill_language(key: str) -> None:
    """The job: the same for an account that has none: what somebody has chosen at Keycloak stays."""
    profile = _find(key)
    account = client().get_user(profile.keycloak_id or "") if profile else None
    if account is not None and not account.attributes.get(LANGUAGE):
        write_language(key)


def language_of(profile: UserProfile) -> dict[str, str]:
    """The attribute in which an account says its language."""
    return {LANGUAGE: languages.best(profile.language)}


def _find(key: str) -> UserProfile | None:
    return UserProfile.objects.select_related("user").filter(pk=key, keycloak_id__isnull=False).first()
