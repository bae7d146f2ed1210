"""Out, both ways: the person leaves here and we end Keycloak's session too, or Keycloak says that a session has ended.

Promises: the session here is over whatever Keycloak answers; the ID token, which names the person, goes from server to server in
a body and is never part of an address; what the browser keeps of our pages is cleared.
https://openid.net/specs/openid-connect-rpinitiated-1_0.html and https://openid.net/specs/openid-connect-backchannel-1_0.html
"""

import enum
from urllib.parse import urlencode

import requests
import structlog
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from apps.core import languages, security_events
from apps.core.io_guard import refuse_inside_transaction
from apps.core.requests import note_refusal
from apps.core.security_events import SecurityEvent
from apps.login import login_records, oidc, sessions
from apps.login.models import UsedLogoutToken
from apps.login.provider import PROVIDER

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = (3, 10)  # to connect, to answer: somebody waits for the page


class LogoutAnswer(enum.Enum):
    """What became of a session at Keycloak that we have asked it to end."""

    ENDED = "ended"
    REFUSED = "refused"  # it does not take the ID token, or there is none: only the person can end it there
    AWAY = "away"  # no answer, or an error of its own


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the session here and at Keycloak, and show the front page; where Keycloak refuses, the person is asked there."""
    had_session = request.user.is_authenticated or sessions.ID_TOKEN in request.session
    user = request.user
    with transaction.atomic():
        hint = sessions.leave(request)
        if isinstance(user, User):
            login_records.record_logout(user)
    if not had_session:
        return HttpResponseRedirect("/")
    log.info("logout", user=user.pk)
    answer = end_at_keycloak(hint)
    if answer is LogoutAnswer.AWAY:
        request.session[sessions.JUST_LEFT] = answer.value
    return cleared(HttpResponseRedirect(question_url() if answer is LogoutAnswer.REFUSED else "/"))


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The front door: to the dashboard, which asks for a login; a goodbye for who has just logged out."""
    left = request.session.pop(sessions.JUST_LEFT, None)
    if left and not request.user.is_authenticated:
        at_keycloak = question_url() if left == LogoutAnswer.AWAY.value else ""
        return render(request, "account/logged_out.html", {"at_keycloak": at_keycloak})
    return redirect("dashboard")


def cleared(response: HttpResponse) -> HttpResponse:
    """Have the browser forget what it keeps of our pages.

    Not by "cookies": that takes those of the whole registrable domain, the hosted products' and Keycloak's own included.
    Ours are the session's, which has just been replaced, and the CSRF token's.
    """
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    response.delete_cookie(settings.CSRF_COOKIE_NAME, samesite="Lax")
    return response


def end_at_keycloak(hint: str) -> LogoutAnswer:
    """End the Keycloak session in which the ID token `hint` was made."""
    if not hint:
        return LogoutAnswer.REFUSED
    refuse_inside_transaction()
    url, home = oidc.endpoints()["end_session_endpoint"], f"{settings.BASE_URL}/"
    form = {"client_id": settings.OIDC_RP_CLIENT_ID, "id_token_hint": hint, "post_logout_redirect_uri": home}
    try:
        answer = requests.post(url, data=form, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        log.warning("keycloak_logout_failed", error=type(error).__name__)
        return LogoutAnswer.AWAY
    if answer.status_code in (302, 303) and answer.headers.get("Location") == home:
        return LogoutAnswer.ENDED
    log.warning("keycloak_logout_refused", status=answer.status_code)
    return LogoutAnswer.AWAY if answer.status_code >= 500 else LogoutAnswer.REFUSED


def question_url() -> str:
    """Keycloak's logout, which asks the person, as it is told nothing about them."""
    wish = {
        "client_id": settings.OIDC_RP_CLIENT_ID,
        "post_logout_redirect_uri": f"{settings.BASE_URL}/",
        "ui_locales": languages.active(),
    }
    return f"{oidc.endpoints()['end_session_endpoint']}?{urlencode(wish)}"


@csrf_exempt
@require_POST
def backchannel(request: HttpRequest) -> HttpResponse:
    """Keycloak's word that a session has ended: 200 and it has here too, or 400 and nothing has changed."""
    try:
        ended = _end(oidc.logout_token(request.POST.get("logout_token", "")))
    except (oidc.TokenError, requests.RequestException) as error:
        note_refusal(str(error) if isinstance(error, oidc.TokenError) else "keys not available")
        security_events.note(SecurityEvent.SIGNATURE_REFUSED, sender="keycloak")
        return HttpResponse(status=400, headers={"Cache-Control": "no-store"})
    log.info("backchannel_logout", sessions=ended)
    return HttpResponse(headers={"Cache-Control": "no-store"})


@transaction.atomic
def _end(token: oidc.LogoutToken) -> int:
    """Use the token, once, and end what it names; returns how many sessions. Raises TokenError when it was used before."""
    if not UsedLogoutToken.use(token.jti):
        raise oidc.TokenError("used before: jti")
    if not token.subject:
        return _end_and_record(sessions.users_of_keycloak_session(token.sid), token.sid)
    accounts = SocialAccount.objects.filter(provider=PROVIDER, uid=token.subject).select_related("user__profile")
    return _end_and_record([account.user for account in accounts], token.sid)


def _end_and_record(users: list[User], sid: str) -> int:
    total = 0
    for user in users:
        ended = sessions.end_sessions(user, sid=sid)
        if ended:
            login_records.record_logout(user, reason=login_records.BY_KEYCLOAK)
        total += ended
    return total
