"""Out, both ways: the person leaves here and is taken to Keycloak's logout, or Keycloak says that a session has ended.

https://openid.net/specs/openid-connect-rpinitiated-1_0.html and https://openid.net/specs/openid-connect-backchannel-1_0.html
"""

from urllib.parse import urlencode

import requests
import structlog
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.core import security_events
from apps.core.requests import note_refusal
from apps.core.security_events import SecurityEvent
from apps.login import oidc, sessions
from apps.login.models import UsedLogoutToken
from apps.login.provider import PROVIDER

log = structlog.get_logger(__name__)


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the session here, then at Keycloak, then back to the front page."""
    had_session = request.user.is_authenticated or sessions.ID_TOKEN in request.session
    hint = sessions.leave(request)
    if not had_session:
        return HttpResponseRedirect("/")
    wish = {"client_id": settings.OIDC_RP_CLIENT_ID, "post_logout_redirect_uri": f"{settings.BASE_URL}/"}
    if hint:
        wish["id_token_hint"] = hint
    return HttpResponseRedirect(f"{oidc.endpoints()['end_session_endpoint']}?{urlencode(wish)}")


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
        return sessions.end_keycloak_session(token.sid)
    account = SocialAccount.objects.filter(provider=PROVIDER, uid=token.subject).select_related("user").first()
    return sessions.end_sessions(account.user, sid=token.sid) if account else 0
