"""Who of staff is logged in, and where: everybody sees and ends their own sessions, administrators those of all staff.

Promises: a session that is ended is out with its next request, and at Keycloak too where it is ended by itself; each is one line
in the audit log. Ending takes a fresh login, so that a borrowed browser cannot lock its owner, or all staff, out.
"""

from collections.abc import Callable

from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.roles import ADMIN
from apps.console.fresh_logins import refuse_stale
from apps.console.site import takes_posts
from apps.console.viewing import role_viewed
from apps.core import audit, masking
from apps.core.audit_actions import AuditAction
from apps.login import logout, sessions

View = Callable[..., HttpResponse]
MANY = "all"  # in the address, instead of a number: all of one's own but this one


def may_end_others(request: HttpRequest) -> bool:
    return not role_viewed(request) and request.user.groups.filter(name=ADMIN).exists()


def _in_reach(request: HttpRequest) -> QuerySet[User]:
    staff = User.objects.filter(is_staff=True)
    return staff if may_end_others(request) else staff.filter(username=request.user.get_username())


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    with masking.unmasked():  # one's own, or for admins
        rows = sessions.list_live(_in_reach(request))
    own = [row for row in rows if row.user_id == request.user.pk]
    context = admin.site.each_context(request) | {
        "title": "Sessions",
        "parts": [("Your sessions", own), ("Other staff", [row for row in rows if row not in own])],
        "current": sessions.current_key(request),
        "others": may_end_others(request),
    }
    request.current_app = admin.site.name
    return render(request, "console/sessions.html", context)


@takes_posts
@require_POST
def end(request: HttpRequest, which: str) -> HttpResponse:
    """End one session, or all of one's own but this one."""
    if stale := refuse_stale(request, back=reverse("admin:sessions")):
        return stale
    listed = UserSession.objects.filter(user__in=_in_reach(request)).exclude(session_key=sessions.current_key(request))
    if which == MANY:
        listed = listed.filter(user_id=request.user.pk)
    elif which.isascii() and which.isdigit() and len(which) < 10:
        listed = listed.filter(pk=int(which))
    else:
        raise Http404
    hints = [] if which == MANY else [sessions.find_id_token(one.session_key) for one in listed]
    with transaction.atomic():
        users = set(listed.values_list("user_id", flat=True))
        ended = sessions.end_listed(listed)
        for user in users:
            audit.record(
                subject=("user", user), action=AuditAction.SESSIONS_ENDED, actor=f"staff:{request.user.get_username()}",
                reason="Ended in the console", after={"sessions": ended},
            )  # fmt: skip
    for hint in hints:
        logout.end_at_keycloak(hint)
    if ended:
        messages.success(request, "The session has ended." if ended == 1 else f"{ended} sessions have ended.")
    else:
        messages.info(request, "That session was over already.")
    return HttpResponseRedirect(reverse("admin:sessions"))


ROUTES: tuple[tuple[str, View, str], ...] = (
    ("sessions/", page, "sessions"),
    ("sessions/<str:which>/end/", end, "sessions_end"),
)
