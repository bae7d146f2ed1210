"""What a customer reads when the work behind a page failed, and how staff learn of it: the only place that decides this.

Promises: what passes by itself is told as "try again in a minute"; what only staff can fix never is: it leaves one attention
item for each cause, with the people it affects, although the request failed.
"""

import re
from collections.abc import Callable
from typing import Any

import structlog
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.accounts.models import UserProfile
from apps.core import attention, restores
from apps.core.attention import Cause
from apps.core.errors import BadInput, NeedsOperator, WorkError
from apps.core.requests import refuse, speaks_json
from apps.login.sessions import profile_of
from apps.storefront import recovery_session, wizard
from apps.storefront.views_errors import error_page

log = structlog.get_logger(__name__)

AWAY = gettext_noop(
    "We can't reach our payment partner right now. You haven't been charged; please try again in a minute."
)
NEEDS_STAFF = gettext_noop(
    "Something on our side has to be fixed before this works. We've been told about it. You haven't been charged, and"
    " there's nothing you can do differently."
)


CHECKING = gettext_noop(
    "We're checking our records after maintenance. Signing up, paying and recovering an account are closed until that's done."
    " Nothing you've paid for is lost, and there's nothing you need to do. Please come back later."
)
CLOSED = ("/onboarding/", "/recovery/")
OPEN = ("/onboarding/webhook/", "/onboarding/brand.css")  # Stripe's events are kept meanwhile


class RefusedWork:
    """Django middleware: closes the public pages after a restore, and answers for the `WorkError` of any view.

    A browser that opens the address of a form gets a page, too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        if isinstance(answer, HttpResponseNotAllowed) and "text/html" in request.headers.get("Accept", ""):
            page = error_page(request, 405)  # into the same answer, which has been logged
            answer.content, answer.headers["Content-Type"] = page.content, page.headers["Content-Type"]
        return answer

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """The answer of the public pages while a restored database is checked."""
        if request.path_info.startswith(CLOSED) and request.path_info not in OPEN and restores.is_closed():
            return _say_checking(request)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The answer for a WorkError: JSON for scripts, the dashboard for its forms, else an error page."""
        if not isinstance(error, WorkError):
            return None
        log.warning("page_refused", view=_view(request), reason=error.reason)
        if not isinstance(error, NeedsOperator):
            return _answer(request, _(AWAY), code="payment_away", status=503)
        _tell_staff(request, error)
        return _answer(request, error.told or _(NEEDS_STAFF), code="needs_staff", status=409)


def _say_checking(request: HttpRequest) -> HttpResponse:
    """503 with a page of its own; not an error of ours, and nothing that staff have to be told."""
    answer: HttpResponse = (
        refuse(BadInput(_(CHECKING), code="checking", status=503))
        if speaks_json(request)
        else render(request, "storefront/checking.html", {"sentence": _(CHECKING)}, status=503)
    )
    answer.headers["Retry-After"] = "600"
    return answer


def _tell_staff(request: HttpRequest, error: NeedsOperator) -> None:
    """One item for each cause: a reason that differs only in its ids is the same cause."""
    cause = re.sub(r"\b\w*\d\w*\b", "…", error.reason)
    profile = _affected_profile(request)
    attention.report(
        Cause.PAGE_REFUSED,
        cause,
        f"{error.reason} A customer could not go on at “{_view(request)}”.",
        profiles=[profile.pk] if profile else [],
    )


def _affected_profile(request: HttpRequest) -> UserProfile | None:
    """The subscriber who asks: logged in, recovering, or signing up; None for one who is not known yet."""
    signup = wizard.find_signup(request)
    return (
        profile_of(request.user)
        or recovery_session.recovering_profile(request)
        or (signup.profile if signup is not None else None)
    )


def _answer(request: HttpRequest, sentence: str, *, code: str, status: int) -> HttpResponse:
    if speaks_json(request):
        return refuse(BadInput(sentence, code=code, status=status))
    if request.method == "POST" and request.path.startswith(reverse("dashboard")):
        messages.error(request, sentence)
        return redirect("dashboard")
    return error_page(request, 503, sentence=sentence)


def _view(request: HttpRequest) -> str:
    return request.resolver_match.view_name if request.resolver_match else ""
