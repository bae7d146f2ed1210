"""The email in which Keycloak asks someone to set a password: every page requests it here, and one job sends it.

Promises: a subscriber's requests share one lane, so two emails never leave at once; a request made while the email is
leaving joins it; customers get three an hour, counted over all pages and staff requests together.
Keycloak sends the email itself. A listener in `on_sent` records it.
"""

from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.models import UserProfile
from apps.core import audit, jobs, limits
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, NeedsOperator
from apps.core.models import Job
from apps.identity.keycloak import client

KIND = "send_keycloak_password_reset_email"
LIFESPAN_SECONDS = 3 * 86400  # minutes are too short behind slow mail gateways
RETURN_PATH = "/accounts/welcome/"  # must be among the login client's redirect URIs

on_sent: list[Callable[[UserProfile], None]] = []  # called in one transaction, once Keycloak has sent the email


@transaction.atomic
def request_password_email(profile: UserProfile, *, reason: str, actor: str = audit.SYSTEM) -> int:
    """Request the email, in the caller's transaction; requests made before it has left share one. Returns the Job's id.

    Raises BadInput when a customer (`actor`) exceeds the limit. Staff requests count, but are never refused; our own
    requests do neither, and are not audited.
    """
    if actor != audit.SYSTEM:
        allowed = limits.allow(password_emails=str(profile.pk))
        if not allowed and actor == audit.CUSTOMER:
            raise BadInput(
                _("You have requested this email several times. Check your spam folder, or try again in an hour."),
                code="too_many",
                status=429,
            )
        audit.record(subject=profile.subject, action=AuditAction.PASSWORD_EMAIL_REQUESTED, actor=actor, reason=reason)
    leaving = Job.objects.filter(kind=KIND, key=str(profile.pk), state=Job.State.RUNNING).first()
    return leaving.pk if leaving else jobs.defer(KIND, profile.pk, reason=f"{actor}: {reason}")


def send_password_email(key: str) -> None:
    """The job: have Keycloak email its link to the profile `key`, and tell the listeners once it has left."""
    profile = UserProfile.objects.filter(pk=key).first()
    if profile is None:
        return
    if not profile.keycloak_id:
        raise NeedsOperator("This subscriber has no Keycloak account yet; sync the subscriber first.")
    client().send_password_email(
        profile.keycloak_id, lifespan_seconds=LIFESPAN_SECONDS, redirect_uri=f"{settings.BASE_URL}{RETURN_PATH}"
    )
    with transaction.atomic():
        for listener in on_sent:
            listener(profile)
