"""Who stays logged in, and for how long. Every session is bounded, and every request checks the account again.

Times are the system's: a rehearsal that moves months ahead logs nobody out. The table of `allauth.usersessions` is the list of a
user's sessions; Keycloak's session id and the raw ID token (for logout) lie on the server, never in the browser.
"""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any, override

import structlog
from allauth.account.adapter import get_adapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Case, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Concat, Now
from django.http import HttpRequest, HttpResponse

from apps.accounts.models import UserProfile
from apps.core.states import AccessState
from apps.login import error_pages, reauthentication
from apps.login.models import UsedLogoutToken
from apps.login.oidc import IdToken
from apps.login.session_store import read_row, row_key

IDLE_SECONDS, STAFF_IDLE_SECONDS = 30 * 60, 15 * 60
TOTAL_SECONDS, STAFF_TOTAL_SECONDS = 12 * 3600, 8 * 3600
TOUCH_SECONDS = 60  # how exactly the last visit is known; each touch is one write
STARTED, SEEN, ID_TOKEN = "oidc_started", "oidc_seen", "oidc_id_token"
CHECKED = "oidc_checked"  # when Keycloak was asked last about a member of staff who acts
JUST_LEFT = "just_left"  # so that the front page says goodbye once, instead of asking for a login
LONGEST_USER_AGENT = 200  # as wide as the list's column
LISTED = 200  # sessions on one page
OPEN_TO_ALL = ("/recovery/", "/onboarding/")

# Called once a subscriber has logged in, with what the ID token says.
on_login: list[Callable[[HttpRequest, UserProfile, dict[str, Any]], None]] = []


class KeycloakBackend(AuthenticationBackend):  # type: ignore[misc]
    """Permissions and users; no passwords. Loads the subscriber and the rights with the user, so that pages need no more queries."""

    @override
    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Nobody: the only way in is Keycloak."""

    @override
    def get_user(self, user_id: int) -> User | None:
        people: QuerySet[Any] = User.objects.select_related("profile").annotate(rights=_rights_of_staff())
        user = people.filter(pk=user_id, is_active=True).first()
        if user is not None and user.rights is not None:
            user._group_perm_cache = set(user.rights)  # where Django keeps them once it has asked
        return user

    def _get_user_permissions(self, _user: User) -> QuerySet[Permission]:
        """None, and no query for them: rights come from the groups that Keycloak names."""
        return Permission.objects.none()


def _rights_of_staff() -> Case:
    """SQL: what a user's groups may do, as `app.codename`; null for those who are no staff."""
    rights = Permission.objects.filter(group__user=OuterRef("pk")).order_by()
    names = rights.values_list(Concat("content_type__app_label", Value("."), "codename"))
    return Case(When(is_staff=True, then=ArraySubquery(names)))


def profile_of(user: User | AnonymousUser) -> UserProfile | None:
    """The subscriber behind a user; None for staff who are none, and for visitors."""
    profile: UserProfile | None = getattr(user, "profile", None)
    return profile


def is_shut_out(user: User | AnonymousUser) -> bool:
    """Whether the account may not be used now."""
    profile = profile_of(user)
    return profile is not None and AccessState(profile.access_state).is_closed


def begin(request: HttpRequest, token: IdToken) -> None:
    """Note in a session that has just been made what its end will need."""
    request.session[STARTED] = request.session[SEEN] = request.session[CHECKED] = int(time.time())
    request.session[ID_TOKEN] = token.raw
    reauthentication.note(request, token.claims)
    UserSession.objects.create(
        session_key=current_key(request),
        user=request.user,
        ip=get_adapter().get_client_ip(request),
        user_agent=request.headers.get("user-agent", "")[:LONGEST_USER_AGENT],
        data={"sid": token.sid},
    )


def current_key(request: HttpRequest) -> str:
    """Under which key the session of this request is in the database and on the list."""
    return row_key(request.session.session_key or "")


def watch(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware, after allauth's: ends sessions that are over, and those of accounts that may not be used."""

    def serve(request: HttpRequest) -> HttpResponse:
        if SESSION_KEY not in request.session or not request.user.is_authenticated:
            return get_response(request)
        structlog.contextvars.bind_contextvars(user=request.user.pk, staff=request.user.is_staff)
        if is_shut_out(request.user):
            profile = request.user.profile
            end_sessions(request.user)
            logout(request)
            # The way back, and the signup, are for people without a login: they go on as such.
            return (
                get_response(request) if request.path.startswith(OPEN_TO_ALL) else error_pages.closed(request, profile)
            )
        if _is_over(request):
            _forget(request)
            logout(request)
        return get_response(request)

    return serve


def _is_over(request: HttpRequest) -> bool:
    """Whether the session has lasted or rested too long; notes this visit when it has not."""
    session, now = request.session, int(time.time())
    started, seen = session.get(STARTED, now), session.get(SEEN, now)
    staff = request.user.is_staff
    if now - started > (STAFF_TOTAL_SECONDS if staff else TOTAL_SECONDS):
        return True
    if now - seen > (STAFF_IDLE_SECONDS if staff else IDLE_SECONDS):
        return True
    if now - seen >= TOUCH_SECONDS or SEEN not in session:
        session[STARTED], session[SEEN] = started, now
    return False


def _forget(request: HttpRequest) -> None:
    UserSession.objects.filter(session_key=current_key(request)).delete()


def leave(request: HttpRequest) -> str:
    """End this browser's session; returns the raw ID token it was begun with, empty when there is none."""
    raw = str(request.session.get(ID_TOKEN, ""))
    _forget(request)
    had_session = not request.session.is_empty()
    logout(request)
    if had_session:  # a stranger who posts here leaves no row
        request.session[JUST_LEFT] = True
    return raw


def list_live(users: QuerySet[User], *, idle: int = STAFF_IDLE_SECONDS) -> list[UserSession]:
    """The sessions of these users that would still be let in, the last used first, each with `seen_at`, its last visit.

    `idle`: after how many seconds without a visit a session of theirs is over.
    """
    seen = Session.objects.filter(session_key=OuterRef("session_key")).values("expire_date")
    rows = UserSession.objects.filter(user__in=users).select_related("user").annotate(expires=Subquery(seen))
    since = Now() + dt.timedelta(seconds=settings.SESSION_COOKIE_AGE - idle)
    found = list(rows.filter(expires__gte=since).order_by("-expires", "-pk")[:LISTED])
    for one in found:
        one.seen_at = one.expires - dt.timedelta(seconds=settings.SESSION_COOKIE_AGE)
    return found


def list_own(user: User) -> list[UserSession]:
    """`list_live` of one person."""
    own: Any = User.objects.filter(pk=user.pk)
    return list_live(own, idle=STAFF_IDLE_SECONDS if user.is_staff else IDLE_SECONDS)


def find_id_token(key: str) -> str:
    """The raw ID token with which the session of the row `key` was begun; empty when it is over or has none."""
    return str((read_row(key) or {}).get(ID_TOKEN, ""))


@transaction.atomic
def end_sessions(user: User, *, sid: str = "") -> int:
    """End a user's sessions, or only those of the Keycloak session `sid`; returns how many were on the list.

    Without `sid` also those on no list: a new unusable password is drawn, and every session is bound to its hash.
    """
    listed = UserSession.objects.filter(user_id=user.pk)
    if sid:
        listed = listed.filter(data__sid=sid)
    else:
        fresh = User(pk=user.pk)
        fresh.set_unusable_password()
        User.objects.filter(pk=user.pk).update(password=fresh.password)
    return end_listed(listed)


def users_of_keycloak_session(sid: str) -> list[User]:
    """Who is logged in here by one Keycloak session."""
    users: QuerySet[User] = User.objects.filter(pk__in=UserSession.objects.filter(data__sid=sid).values("user_id"))
    return list(users.select_related("profile"))


@transaction.atomic
def end_listed(listed: QuerySet[Any]) -> int:
    """End the sessions of these lines of the list; returns how many."""
    keys = list(listed.values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    UserSession.objects.filter(session_key__in=keys).delete()
    return len(keys)


def prune(_key: str = "") -> None:
    """Job, hourly: forget sessions that have run out, and logout tokens too old to be used again."""
    Session.objects.filter(expire_date__lt=Now()).delete()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
    UsedLogoutToken.prune()
