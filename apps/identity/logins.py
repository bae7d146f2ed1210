"""Whoever uses Frontdesk right now is looked up at Keycloak every half minute: a login is only as good as its account.

Promises: an account that was disabled or deleted there has no session here 60 seconds later; a staff role that was taken
away or given there is so here. Keycloak says neither by itself. While it is away nobody is logged out.
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
from apps.identity.keycloak import client
from apps.identity.protocol import KeycloakUser
from apps.login import sessions

KIND = "check_logins"
EVERY_SECONDS = 30
LATELY = dt.timedelta(seconds=sessions.TOUCH_SECONDS + EVERY_SECONDS)  # whoever was here since the last look
AT_ONCE = 500  # two reads each, of some ten milliseconds; the rest comes half a minute later


def check_logins(_key: str) -> None:
    """The job: look up everybody who was here lately, and end or correct what Keycloak no longer grants."""
    identity = client()
    for account in people_here():
        found = identity.get_user(account.uid)
        groups = identity.staff_groups(account.uid) if found and found.enabled else frozenset[str]()
        correct(account.user, found, groups)


def people_here() -> list[SocialAccount]:
    """The logins of everybody who asked for a page within the last minute and a half; staff first, at most 500."""
    # A visit moves the end of its session on; how far the end lies ahead says when that was.
    since = Now() + dt.timedelta(seconds=settings.SESSION_COOKIE_AGE) - LATELY
    lately = Session.objects.filter(expire_date__gte=since).values("session_key")
    users = UserSession.objects.filter(session_key__in=lately).values("user_id")
    found = SocialAccount.objects.filter(user_id__in=users).select_related("user__profile")
    return list(found.order_by("-user__is_staff", "pk")[:AT_ONCE])


@transaction.atomic
def correct(user: User, found: KeycloakUser | None, groups: frozenset[str]) -> None:
    """Make a user's sessions and staff roles follow the account `found` (None: deleted) and its staff `groups`."""
    alive = found is not None and found.enabled
    roles = staff.roles_of({"groups": sorted(groups)}) if alive else frozenset[str]()
    if alive and not user.is_staff:
        return  # a role that was given is taken up at the next login, with its second factor
    if roles != frozenset(user.groups.filter(name__in=ROLES).values_list("name", flat=True)) or not alive:
        staff.refresh(user, said={}, roles=roles)
    if alive and roles:
        return
    profile = sessions.profile_of(user)
    audit.record(
        subject=profile.subject if profile else ("user", user.pk),
        action="sessions_ended",
        reason="Keycloak: the account is disabled or gone" if not alive else "Keycloak: no staff role any more",
        after={"sessions": sessions.end_sessions(user)},
    )
