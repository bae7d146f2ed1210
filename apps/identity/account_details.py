"""A subscriber's name and email address, written to their Keycloak account after they were changed here.

Promises: each job writes what our row says when it runs, so it may run twice, late or out of order; nothing else of the
account is touched. Callers queue it in the lane of the subscriber, as one writer per user is allowed.
"""

from collections.abc import Callable

from apps.accounts.models import UserProfile
from apps.identity.keycloak import client

WRITE_EMAIL, WRITE_NAME = "write_email_to_keycloak", "write_name_to_keycloak"

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


def _find(key: str) -> UserProfile | None:
    return UserProfile.objects.select_related("user").filter(pk=key, keycloak_id__isnull=False).first()
