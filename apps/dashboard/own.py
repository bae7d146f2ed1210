"""Views of a subscriber about themselves: who may open them, and where everybody else is sent."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.accounts.models import UserProfile
from apps.login import error_pages, reauthentication, sessions

LOGGED_OUT = gettext_noop("You were logged out in the meantime, so nothing was done. Please try that again.")
OwnView = Callable[[HttpRequest, UserProfile], HttpResponse]


def own(*, page: str, of_staff: str) -> Callable[[OwnView], Callable[[HttpRequest], HttpResponse]]:
    """A view of a subscriber about themselves; staff who are none have the console's page.

    A new login leads to the page, never to a button's own address, which shows nothing.
    """

    def decorate(view: OwnView) -> Callable[[HttpRequest], HttpResponse]:
        @wraps(view)
        def serve(request: HttpRequest) -> HttpResponse:
            if not request.user.is_authenticated:
                return log_in_first(request, page=page)
            profile = sessions.profile_of(request.user)
            if profile is not None:
                return view(request, profile)
            return redirect(of_staff) if request.user.is_staff else error_pages.no_account(request)

        return serve

    return decorate


def log_in_first(request: HttpRequest, *, page: str) -> HttpResponse:
    """To the login and on to `page`, which says that what a button has sent was not done."""
    if request.method == "POST":
        messages.warning(request, _(LOGGED_OUT))
    return redirect_to_login(reverse(page))


def fresh(*, page: str, undated: str, stale: str = "", back: str = "") -> Callable[[OwnView], OwnView]:
    """Only after a login of the last minutes: others log in and come back to `page`, where nothing has happened yet.

    `stale`: what they read there; `undated`: what is told, at `back` or there, where Keycloak doesn't say when somebody logged in.
    """

    def decorate(view: OwnView) -> OwnView:
        @wraps(view)
        def serve(request: HttpRequest, profile: UserProfile) -> HttpResponse:
            if reauthentication.is_fresh(request):
                return view(request, profile)
            if reauthentication.is_undated(request):
                messages.error(request, _(undated))
                return redirect(back or page)
            if stale:
                messages.info(request, _(stale))
            return redirect(reauthentication.login_url(reverse(page)))

        return serve

    return decorate
