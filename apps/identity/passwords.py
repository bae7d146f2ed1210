"""The mail in which Keycloak asks a person to set a password: asked for here, sent by a job, never by the one who asks.

Keycloak sends this mail itself; the Notification row written here is our record that it has left. The row is reached
through Django's registry, because identity and notifications are neighbours that do not import each other.
"""

from django.apps import apps
from django.conf import settings
from django.db import transaction

from apps.accounts.models import UserProfile
from apps.core import audit, clock, jobs
from apps.core.errors import NeedsOperator
from apps.identity.keycloak import client

KIND = "send_keycloak_password_reset_email"
TEMPLATE = "keycloak_set_password"
LIFESPAN_SECONDS = 3 * 86400  # minutes are too short behind slow mail gateways
RETURN_PATH = "/accounts/welcome/"  # must be among the login client's redirect URIs


def request_password_mail(profile: UserProfile, *, reason: str) -> int:
    """Ask for the mail, in the caller's transaction; asking again before it is sent sends one. Returns the Job's id."""
    return jobs.defer(KIND, profile.pk, reason=reason)


def send_password_mail(key: str) -> None:
    """The job: have Keycloak mail its link to the profile `key`, and record it once it has left."""
    profile = UserProfile.objects.filter(pk=key).first()
    if profile is None:
        return
    if not profile.keycloak_id:
        raise NeedsOperator("This subscriber has no Keycloak account yet; sync the subscriber first.")
    client().send_password_mail(
        profile.keycloak_id,
        lifespan_seconds=LIFESPAN_SECONDS,
        redirect_uri=f"{settings.BASE_URL}{RETURN_PATH}",
    )
    _record(profile)


@transaction.atomic
def _record(profile: UserProfile) -> None:
    """One row for each mail that has left; jobs of one profile never run at the same time, so counting is safe."""
    rows = apps.get_model("notifications", "Notification")._default_manager
    prefix = f"{TEMPLATE}:{profile.pk}:"
    number = rows.filter(key__startswith=prefix).count() + 1
    now = clock.now()
    rows.create(
        key=f"{prefix}{number}",
        template=TEMPLATE,
        profile=profile,
        to=profile.email,
        state="sent",
        created_at=now,
        sent_at=now,
    )
    audit.record(subject=profile.subject, action="password_mail_sent", after={"mail": f"{prefix}{number}"})
