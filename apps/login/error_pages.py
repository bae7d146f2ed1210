"""The pages people meet when they are not let in. Each says what happened, in plain words, and what to do."""

import structlog
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.accounts.models import UserProfile
from apps.core import restores

log = structlog.get_logger(__name__)


def no_account(request: HttpRequest) -> HttpResponse:
    """403: logged in at Keycloak, but nobody we know. Offers to log out there and to sign up here."""
    return render(request, "account/no_account.html", {"checking": restores.is_closed()}, status=403)


def too_weak(request: HttpRequest, *, again: str) -> HttpResponse:
    """403: a member of staff whose login lacks the second factor that the operator asks for; `again` asks for it once more."""
    return render(request, "account/too_weak.html", {"again": again}, status=403)


def closed(request: HttpRequest, profile: UserProfile | None) -> HttpResponse:
    """403: an account that may not be used now (`profile` None: a user switched off), with the way back if there is one."""
    state = profile.access_state if profile else "on_hold"
    sentence = profile.access_sentence if profile else ""
    return render(request, "account/closed.html", {"state": state, "sentence": sentence}, status=403)


def ask_first(request: HttpRequest) -> HttpResponse:
    """200: another site led here by itself. The same address is behind a button."""
    return render(request, "account/ask_first.html", {"again": request.get_full_path()})


def login_failed(request: HttpRequest, *, cancelled: bool, away: bool) -> HttpResponse:
    """The login did not work: cancelled (200), Keycloak away (503), or refused (401). Nothing was changed."""
    status = 200 if cancelled else 503 if away else 401
    return render(request, "account/login_failed.html", {"cancelled": cancelled, "away": away}, status=status)
