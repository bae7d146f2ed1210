"""Error pages, in one style: what happened, what to do, and the id under which the log has the request.

They read no session and no database, so that they work when those do not. A script gets JSON instead.
"""

import sys
from typing import NamedTuple

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import is_valid_path, reverse
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrPromise

from apps.core import origins, security_events
from apps.core.errors import BadInput
from apps.core.requests import is_form_only, refuse, speaks_json
from apps.core.security_events import SecurityEvent

RETRY_SECONDS = 10


class ErrorText(NamedTuple):
    """What the page of one status says; `code` is for scripts, `back` labels the button to the page of the form."""

    code: str
    heading: StrPromise
    sentence: StrPromise
    back: StrPromise | str = ""


ERRORS = {
    400: ErrorText(
        "request",
        _("We couldn't understand that request"),
        _("Something in the address or the form wasn't right. Please go back and try again."),
    ),
    403: ErrorText(
        "forbidden", _("You don't have access to this page"), _("You may need to log in, or use a different account.")
    ),
    404: ErrorText(
        "not_found", _("Page not found"), _("Check the address for typos, or start from one of these pages.")
    ),
    405: ErrorText(
        "method",
        _("There's no page at this address"),
        _("It only takes what a form or a button sends. Please open the page with that form."),
        back=_("Open that page"),
    ),
    413: ErrorText("too_large", _("That was too much text"), _("Please shorten what you entered, and try again.")),
    429: ErrorText("too_many", _("Too many tries"), _("Please wait a few minutes, then try again.")),
    500: ErrorText(
        "error",
        _("Sorry, something broke on our side"),
        _("Please try again in a moment. If it happens again, write to us."),
    ),
    503: ErrorText(
        "away",
        _("We can't respond right now"),
        _("This is on our side, and nothing was lost. Please try again in a minute."),
    ),
}
CSRF = ErrorText(
    "csrf",
    _("Please try that again"),
    _("The page was open too long, or your browser blocks cookies. Nothing was changed."),
    back=_("Reload the page"),
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400, for what cannot be understood, or 413 for what is too large; `exception` is not shown."""
    return error_page(request, 413 if isinstance(exception, RequestDataTooBig) else 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  (Django passes it)
    """403; `exception` is not shown."""
    return error_page(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  (Django passes it)
    """404; `exception` is not shown."""
    return error_page(request, 404)


def too_many(request: HttpRequest) -> HttpResponse:
    """429, for allauth's own limits."""
    return error_page(request, 429)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, for our own faults; 503 and when to try again while the database is away, which callers such as Stripe heed."""
    if isinstance(sys.exception(), (OperationalError, InterfaceError)):
        answer = error_page(request, 503)
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
        return answer
    return error_page(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  (Django passes it)
    """403 for a form without a valid token, with the way back to the form. `reason` is for developers and not shown."""
    security_events.note(SecurityEvent.CSRF_REFUSED)
    return _answer(request, 403, CSRF)


def error_page(request: HttpRequest, status: int, sentence: str = "") -> HttpResponse:
    """The page of `status`, with `sentence` in place of its own."""
    return _answer(request, status, ERRORS[status], sentence)


def _answer(request: HttpRequest, status: int, error: ErrorText, sentence: str = "") -> HttpResponse:
    if speaks_json(request):
        return refuse(BadInput(sentence or str(error.sentence), code=error.code, status=status))
    context = {
        "status": status,
        "error": error,
        "sentence": sentence,
        "back": _page_of_form(request) if error.back else "",
        "in_console": request.path.startswith(reverse("admin:index")),
        "request_id": origins.request_id(),
    }
    return render(request, "error.html", context, status=status)


def _page_of_form(request: HttpRequest) -> str:
    """The page whose form was sent here: this address, or, where it takes nothing but the form, the one above it, if any."""
    if not is_form_only(request):
        return request.path
    above = request.path.rstrip("/").rpartition("/")[0] + "/"
    return above if is_valid_path(above) else ""
