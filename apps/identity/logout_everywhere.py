"""Log somebody out everywhere: their sessions here end at once, those at Keycloak and its offline tokens by a job.

Promises: the job outlives an outage of Keycloak; the account may log in again at once, with its password.
"""

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db import transaction

from apps.core import audit, jobs
from apps.core.audit_actions import AuditAction
from apps.identity.keycloak import client
from apps.login import sessions
from apps.login.provider import PROVIDER

KIND = "end_keycloak_sessions"


@transaction.atomic
def log_out_everywhere(user: User, *, subject: tuple[str, str | int], actor: str, reason: str) -> int:
    """End all sessions of a user, the one that asks included; returns how many ended here."""
    ended = sessions.end_sessions(user)
    jobs.defer(KIND, str(user.pk), reason=f"{actor}: logged out everywhere")
    audit.record(
        subject=subject, action=AuditAction.SESSIONS_ENDED, actor=actor, reason=reason, after={"sessions": ended}
    )
    return ended


def end_keycloak_sessions(key: str) -> None:
    """The job: end the Keycloak sessions of the user `key`, as far as there is an account."""
    account = SocialAccount.objects.filter(user_id=key, provider=PROVIDER).first()
    if account is not None and client().get_user(account.uid) is not None:
        client().end_sessions(account.uid)
