"""Where a subscriber is logged in, and how to end that: one browser's session, or all of them here and at Keycloak.

Promises: nobody sees or ends another person's session; ending takes a login of the last minutes, so that a borrowed browser
cannot lock its owner out; each end is one line in the audit log.
"""

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import UserProfile
from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.requests import row_number
from apps.dashboard.own import fresh as fresh_login
from apps.dashboard.own import own as own_page
from apps.identity.logout_everywhere import log_out_everywhere
from apps.login import logout, sessions
from apps.login.browsers import name_browser

REASON = "on the sessions page"
own = own_page(page="own-sessions", of_staff="admin:sessions")
fresh = fresh_login(
    page="own-sessions",
    undated=gettext_noop("We can't tell when you logged in, so nothing was ended. Please get in touch."),
    stale=gettext_noop("Nothing has been ended yet. Now that you've logged in again, please choose once more."),
)


@require_safe
@own
def page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """The browsers in which the subscriber is logged in, the one that asks first."""
    current = sessions.current_key(request)
    rows = sessions.list_own(profile.user)
    for row in rows:
        row.browser, row.is_current = name_browser(row.user_agent), row.session_key == current
    rows.sort(key=lambda row: not row.is_current)
    return render(request, "dashboard/sessions.html", {"profile": profile, "rows": rows})


@require_POST
@own
@fresh
def end(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """End one other session, here and at Keycloak."""
    known = row_number(request.POST.get("session", ""))
    listed = UserSession.objects.filter(user_id=profile.user_id, pk=known)
    listed = listed.exclude(session_key=sessions.current_key(request))
    row = listed.first()
    if row is None:
        messages.info(request, _("That session was over already."))
        return redirect("own-sessions")
    hint = sessions.find_id_token(row.session_key)
    with transaction.atomic():
        ended = sessions.end_listed(listed)
        audit.record(
            subject=profile.subject, action=AuditAction.SESSIONS_ENDED, actor=audit.CUSTOMER, reason=REASON,
            after={"sessions": ended},
        )  # fmt: skip
    if not hint or logout.end_at_keycloak(hint) is logout.LogoutAnswer.ENDED:
        messages.success(request, _("{browser} is logged out.").format(browser=name_browser(row.user_agent)))
    else:
        told = _(
            "{browser} is logged out here, but our login service didn't answer, so it may get in again without a password."
            " To be sure, log out everywhere."
        )
        messages.warning(request, told.format(browser=name_browser(row.user_agent)))
    return redirect("own-sessions")


@require_POST
@own
@fresh
def end_all(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Log out everywhere, this browser included."""
    hint = str(request.session.get(sessions.ID_TOKEN, ""))
    log_out_everywhere(profile, actor=audit.CUSTOMER, reason=REASON)
    sessions.leave(request)
    logout.end_at_keycloak(hint)  # the job does so too; this is for a browser that goes on at once
    messages.success(request, _("You've been logged out everywhere: in this browser, in all others, and in your apps."))
    return logout.cleared(redirect("home"))
