"""Error pages that need more than a template: those Django renders without a context, and failed CSRF checks.

They read no session and no database, so that they work when those do not.
"""

import sys

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.core import security_events
from apps.core.errors import BadInput
from apps.core.requests import refuse, speaks_json
from apps.core.security_events import SecurityEvent

RETRY_SECONDS = 10
CSRF_SENTENCE = "This page was open too long, or your browser blocks cookies. Please reload it and try again."


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  (Django passes it)
    """400, for what cannot be understood; `exception` is not shown."""
    if speaks_json(request):
        return refuse(BadInput("The request cannot be understood.", code="request"))
    return error_page(request, 400)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, for our own faults; 503 and when to try again while the database is away, which callers such as Stripe heed."""
    if isinstance(sys.exception(), (OperationalError, InterfaceError)):
        answer = error_page(request, 503)
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
        return answer
    return error_page(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  (Django passes it)
    """403 for a form without a valid token; JSON for scripts. `reason` is for developers and not shown."""
    security_events.note(SecurityEvent.CSRF_REFUSED)
    if speaks_json(request):
        return refuse(BadInput(CSRF_SENTENCE, code="csrf", status=403))
    return error_page(request, 403, sentence=CSRF_SENTENCE)


def error_page(request: HttpRequest, status: int, sentence: str = "") -> HttpResponse:
    """The page of `status`, with `sentence` in place of its own."""
    context = {"brand": settings.BRAND, "sentence": sentence}
    return render(request, f"{status}.html", context, status=status)
