"""Checks every half minute, at Keycloak, the accounts of everyone who is using Frontdesk.

Promises: an account that was disabled or deleted there has no session here 60 seconds later; staff roles follow their
changes there. Keycloak announces neither. While it is unavailable, nobody is logged out.
"""

import datetime as dt

from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.functions import Now

from apps.accounts import staff
from apps.accounts.roles import ROLES
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser
from apps.login import sessions

KIND = "check_logins"
EVERY_SECONDS = 30
RECENT = dt.timedelta(seconds=sessions.TOUCH_SECONDS + EVERY_SECONDS)  # everyone who was active since the last check
BATCH = 500  # two reads each, of some ten milliseconds; the rest comes half a minute later


def check_logins(_key: str) -> None:
    """The job: check every recently active account, and end or change what Keycloak no longer grants."""
    identity = client()
    for account in recent_logins():
        found = identity.get_user(account.uid)
        groups = identity.staff_groups(account.uid) if found and found.enabled else frozenset[str]()
        follow_account(account.user, found, groups)


def recent_logins() -> list[SocialAccount]:
    """The logins of everyone who requested a page within the last minute and a half; staff first, at most 500."""
    # Each visit extends its session, so the expiry tells when the last visit was.
    since = Now() + dt.timedelta(seconds=settings.SESSION_COOKIE_AGE) - RECENT
    lately = Session.objects.filter(expire_date__gte=since).values("session_key")
    users = UserSession.objects.filter(session_key__in=lately).values("user_id")
    found = SocialAccount.objects.filter(user_id__in=users).select_related("user__profile")
    return list(found.order_by("-user__is_staff", "pk")[:BATCH])


@transaction.atomic
def follow_account(user: User, found: KeycloakUser | None, groups: frozenset[str]) -> None:
    """Make a user's sessions and staff roles follow the account `found` (None: deleted) and its staff `groups`."""
    enabled = found is not None and found.enabled
    roles = staff.roles_of({"groups": sorted(groups)}) if enabled else frozenset[str]()
    if enabled and not user.is_staff:
        return  # a new role takes effect at the next login, with its second factor
    if roles != frozenset(user.groups.filter(name__in=ROLES).values_list("name", flat=True)) or not enabled:
        staff.refresh(user, said={}, roles=roles)
    if enabled and roles:
        return
    profile = sessions.profile_of(user)
    audit.record(
        subject=profile.subject if profile else ("user", user.pk),
        action=AuditAction.SESSIONS_ENDED,
        reason="Keycloak: the account is disabled or gone" if not enabled else "Keycloak: no staff role anymore",
        after={"sessions": sessions.end_sessions(user)},
    )
