"""Logins and logouts in the audit trail, each in the transaction that begins or ends the session: who, and nothing about where from."""

from typing import Any

from django.contrib.auth.models import User

from apps.accounts import staff
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.login.oidc import IdToken
from apps.login.sessions import profile_of

BY_KEYCLOAK = "Keycloak ended the session"


def record_login(user: Any, token: IdToken) -> None:
    """Somebody came in: a subscriber, a member of staff, or one who is both."""
    if user.is_staff:
        staff.record_login(user, token.subject, acr=token.claims.get("acr"))
    if profile := profile_of(user):
        audit.record(subject=profile.subject, action=AuditAction.LOGGED_IN, actor=audit.CUSTOMER)


def record_logout(user: User, *, reason: str = "") -> None:
    """Somebody went out, or Keycloak says so (`reason`)."""
    actor = audit.SYSTEM if reason else f"staff:{user.get_username()}"
    if user.is_staff:
        audit.record(subject=("user", user.pk), action=AuditAction.LOGGED_OUT, actor=actor, reason=reason)
    if profile := profile_of(user):
        actor = audit.SYSTEM if reason else audit.CUSTOMER
        audit.record(subject=profile.subject, action=AuditAction.LOGGED_OUT, actor=actor, reason=reason)
