"""Checks every half minute, at Keycloak, the accounts of all staff with a session and of every subscriber who is using Frontdesk.

Promises: an account that was disabled or deleted there has no session here 60 seconds later; staff roles follow their
changes there. Keycloak announces neither. While it is unavailable, nobody is logged out. Before staff change anything, their
account has been checked within STAFF_CHECK_SECONDS, in the request if need be; while Keycloak is unavailable, they may go on
for STAFF_UNCHECKED_MINUTES, except with what asks for a fresh login (console/fresh_logins.py).
"""

import datetime as dt
import time
from enum import Enum, auto
from typing import Any

import structlog
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest

from apps.accounts import staff
from apps.accounts.roles import ROLES
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.errors import WorkError
from apps.identity.keycloak import client
from apps.identity.protocol import Identity, KeycloakUser
from apps.login import sessions

log = structlog.get_logger(__name__)

KIND = "check_logins"
EVERY_SECONDS = 30
RECENT = dt.timedelta(seconds=sessions.TOUCH_SECONDS + EVERY_SECONDS)  # everyone who was active since the last check
STAFF_IDLE = dt.timedelta(seconds=sessions.STAFF_IDLE_SECONDS)  # later their sessions are over anyway
PATIENCE_SECONDS = 2.0  # of somebody who waits for a page
BATCH = 500  # two reads each, of some ten milliseconds; the rest comes half a minute later


def confirmed_groups(subject: str) -> frozenset[str]:
    """The staff groups of somebody who logs in, by Keycloak's own word. Raises WorkError while it cannot be asked."""
    return client().staff_groups(subject)


def check_logins(_key: str) -> None:
    """The job: check every account that is in use, and end or change what Keycloak no longer grants."""
    identity = client()
    for account in logins_in_use():
        check_account(identity, account)


def check_account(identity: Identity, account: SocialAccount) -> None:
    """Ask Keycloak about one account, and follow it."""
    found = identity.get_user(account.uid)
    groups = identity.staff_groups(account.uid) if found and found.enabled else frozenset[str]()
    follow_account(account.user, found, groups)


def logins_in_use() -> list[SocialAccount]:
    """The logins of staff with a session, and of everyone who requested a page within the last minute and a half; at most 500."""
    # Each visit extends its session, so the expiry tells when the last visit was.
    end = Now() + dt.timedelta(seconds=settings.SESSION_COOKIE_AGE)
    lately = UserSession.objects.filter(session_key__in=_sessions_since(end - RECENT)).values("user_id")
    live = UserSession.objects.filter(session_key__in=_sessions_since(end - RECENT - STAFF_IDLE)).values("user_id")
    found = SocialAccount.objects.filter(Q(user_id__in=lately) | Q(user_id__in=live, user__is_staff=True))
    return list(found.select_related("user__profile").order_by("-user__is_staff", "pk")[:BATCH])


def _sessions_since(moment: Any) -> Any:
    return Session.objects.filter(expire_date__gte=moment).values("session_key")


class Rights(Enum):
    """What is certain about the rights of staff who act."""

    CHECKED = auto()
    UNCHECKED = auto()  # Keycloak is unavailable, and was asked not long ago
    UNCERTAIN = auto()  # Keycloak is unavailable, and was asked too long ago
    ENDED = auto()


def check_actor(request: HttpRequest) -> Rights:
    """Check the account of a member of staff who is about to change something, unless it was checked a moment ago."""
    age = time.time() - request.session.get(sessions.CHECKED, 0)
    if age < settings.STAFF_CHECK_SECONDS:
        return Rights.CHECKED
    user_id: Any = request.user.pk
    account = SocialAccount.objects.filter(user_id=user_id).select_related("user__profile").first()
    if account is None:
        return Rights.ENDED
    try:
        check_account(client(patience=PATIENCE_SECONDS), account)
    except WorkError as error:
        log.warning("staff_not_checked", reason=error.reason)
        return Rights.UNCHECKED if age < settings.STAFF_UNCHECKED_MINUTES * 60 else Rights.UNCERTAIN
    user = sessions.KeycloakBackend().get_user(user_id)
    if user is None or not user.is_staff:
        return Rights.ENDED
    request.user, request.session[sessions.CHECKED] = user, int(time.time())
    return Rights.CHECKED


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
