"""The law of staff rights: what Django holds is what Keycloak said last and not long ago, and nobody has a password here."""

import datetime as dt
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import CharField, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Cast, Now

from apps.accounts.roles import ROLES
from apps.core.audit_actions import AuditAction
from apps.core.laws import MOST, Checked, Law, LawSeverity, LawViolation, Scope, register
from apps.core.models import AuditEntry

UNUSABLE = "!"  # begins what Django keeps instead of a password
LONGEST_HOURS = 12  # that staff go on after a login, by which Keycloak named their roles; their sessions end sooner


def register_laws() -> None:
    """Make the law of this module known."""
    register(
        Law(
            number="L25",
            title="Staff rights come from Keycloak",
            sentence="A user's roles are those Keycloak named last, by the audit log, and nobody of staff uses a session that began more than"
            f" {LONGEST_HOURS} hours before; there are no other rights, no superuser and no usable password.",
            severity=LawSeverity.URGENT,
            check=check_staff_rights,
        )
    )


def check_staff_rights(scope: Scope) -> Checked:
    """L25. Roles are read again at each login and followed every half minute while a session lives, so nothing waits."""
    users = scope.narrow(User.objects.all(), "profile")
    with_rights = (
        Q(is_staff=True) | Q(is_superuser=True) | Q(groups__name__in=ROLES) | Q(user_permissions__isnull=False)
    )
    has_password = ~Q(password="") & ~Q(password__startswith=UNUSABLE)
    suspects = (
        users.filter(with_rights | has_password)
        .distinct()
        .annotate(has_old_claim=Exists(_old_sessions()))
        .order_by("pk")
    )
    changes = AuditEntry.objects.filter(
        subject_kind="user", subject_id=Cast(OuterRef("pk"), CharField()), action=AuditAction.STAFF_ROLES_CHANGED
    )
    named = suspects.annotate(named=Subquery(changes.order_by("-pk").values("after__roles")[:1]))
    rows = named.prefetch_related("groups", "user_permissions").iterator(chunk_size=500)
    found = [LawViolation("user", str(user.pk), None, words) for user in rows if (words := _find_fault(user))]
    return Checked(users.count(), found[:MOST], len(found))


def _old_sessions() -> QuerySet[UserSession]:
    """Sessions that still live and were visited too long after their login. Times are the system's, as those of sessions are.

    Each visit moves the end of a session, so the end tells when the last visit was.
    """
    longest = dt.timedelta(hours=LONGEST_HOURS, seconds=settings.SESSION_COOKIE_AGE)
    used_late = Session.objects.filter(
        session_key=OuterRef("session_key"), expire_date__gt=OuterRef("created_at") + longest
    )
    rows: QuerySet[UserSession] = UserSession.objects.filter(user=OuterRef("pk"))
    return rows.filter(Exists(used_late.filter(expire_date__gt=Now())))


def _find_fault(user: Any) -> str:
    roles = {group.name for group in user.groups.all()} & set(ROLES)
    if user.password and not user.password.startswith(UNUSABLE):
        return "This user has a usable password; the only way in is Keycloak."
    if user.is_superuser:
        return "This user is a superuser; nobody is one here."
    if user.user_permissions.all():
        return "This user has permissions of their own; rights come from roles."
    if roles != set(user.named or []):
        return f"The roles are {_listed(roles)}, and Keycloak named {_listed(user.named or [])}."
    if user.is_staff != bool(roles):
        return (
            "This user is marked as staff without a role."
            if user.is_staff
            else "This user has a role and is not marked as staff."
        )
    if roles and user.has_old_claim:
        return f"This member of staff uses a session that began more than {LONGEST_HOURS} hours before."
    return ""


def _listed(roles: Any) -> str:
    return ", ".join(sorted(roles)) or "none"
