"""Log a subscriber out everywhere: their sessions here end at once, those at Keycloak and its offline tokens by a job.

Promises: the job outlives an outage of Keycloak; the account may log in again at once, with its password.
"""

from django.db import transaction

from apps.accounts.models import UserProfile
from apps.core import audit, jobs
from apps.core.audit_actions import AuditAction
from apps.identity.keycloak import client
from apps.login import sessions

KIND = "end_keycloak_sessions"


@transaction.atomic
def log_out_everywhere(profile: UserProfile, *, actor: str, reason: str) -> int:
    """End all sessions of a subscriber, the one that asks included; returns how many ended here."""
    ended = sessions.end_sessions(profile.user)
    jobs.defer(KIND, profile.pk, reason=f"asked by {actor}")
    audit.record(
        subject=profile.subject, action=AuditAction.SESSIONS_ENDED, actor=actor, reason=reason,
        after={"sessions": ended},
    )  # fmt: skip
    return ended


def end_keycloak_sessions(key: str) -> None:
    """The job: end the Keycloak sessions of the profile `key`, as far as there is an account."""
    profile = UserProfile.objects.filter(pk=key).first()
    if profile is not None and profile.keycloak_id and client().get_user(profile.keycloak_id) is not None:
        client().end_sessions(profile.keycloak_id)
