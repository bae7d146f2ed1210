"""Which language a person reads: of those that the site offers, the one they chose in this browser, else the one that is kept with
their account, else the one their browser asks for.

Staff pages and everything outside a request are English. What is sent to a person is written `speaking` their language.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

STAFF_PATHS = ("/admin/",)
DEFAULT = "en"
CHOSEN_ELSEWHERE = "language_chosen_elsewhere"  # of a request: what its browser is to keep from now on
NAMES = {"en": "English", "de": "Deutsch"}  # as each calls itself
DJANGO_CODES = {"en": settings.LANGUAGE_CODE, "de": "de"}  # English with the formats of dates that staff know


def _short(code: str | None) -> str:
    """`de` for `de-AT`."""
    return (code or "").replace("_", "-").split("-")[0].lower()


def offered() -> dict[str, str]:
    """The languages of the site, by code, in the operator's order; the first is for those who read none of them."""
    return {code: NAMES[code] for code in settings.SITE_LANGUAGES}


def best(code: str | None) -> str:
    """`find_offered`, or else the first language of the site."""
    return find_offered(code) or next(iter(offered()))


def find_offered(code: object) -> str:
    """The offered language that a code such as `de-AT` names; empty for what is no code, or of none."""
    found = _short(code) if isinstance(code, str) else ""
    return found if found in offered() else ""


def active() -> str:
    """The language that texts are written in now."""
    code = _short(translation.get_language())
    return code if code in NAMES else DEFAULT


def speaking_to(code: str) -> AbstractContextManager[None]:
    """Write texts to a person whose language this is, as far as the site offers it."""
    return speaking(best(code))


def speaking(code: str) -> AbstractContextManager[None]:
    """Write texts in this language inside the `with`."""
    return translation.override(DJANGO_CODES.get(code, settings.LANGUAGE_CODE))


def operators_text(name: str) -> Any:
    """A text that the operator wrote into the settings, in the reader's language, else as it stands under `name` alone."""
    return getattr(settings, f"{name}_{active().upper()}", None) or getattr(settings, name)


def choose_language(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware, after those of sessions and users: `_of_request`; English for staff pages."""

    def serve(request: HttpRequest) -> HttpResponse:
        is_staff_page = request.path.startswith(STAFF_PATHS)
        code = DEFAULT if is_staff_page else _of_request(request)
        with speaking(code):
            request.LANGUAGE_CODE = code
            response = get_response(request)
            response.headers.setdefault("Content-Language", active())
        if chosen := getattr(request, CHOSEN_ELSEWHERE, ""):
            remember(response, chosen)
        if not is_staff_page:
            patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response

    return serve


def chosen_in(request: HttpRequest) -> str:
    """The language that was chosen by the switch in this browser; empty when it was never used there."""
    chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
    return best(chosen) if chosen else ""


def _of_request(request: HttpRequest) -> str:
    """Of the switch in this browser, else of the account that is logged in, else of the browser."""
    if chosen := chosen_in(request):
        return chosen
    if profile := _profile_of(request):
        return best(profile.language)
    asked = (_short(code) for code, _weight in parse_accept_lang_header(request.headers.get("Accept-Language", "")))
    return next((code for code in asked if code in offered()), best(None))


def _profile_of(request: HttpRequest) -> Any:
    """The account that is logged in; None also while the database is away, which the page itself has to say."""
    try:
        return getattr(request.user, "profile", None)
    except DatabaseError:
        return None


def remember_later(request: HttpRequest, code: str) -> None:
    """Where this browser has a choice of its own, keep that one in it from now on: it was made later, elsewhere."""
    if chosen_in(request):
        setattr(request, CHOSEN_ELSEWHERE, code)


def remember(response: HttpResponse, code: str) -> None:
    """Keep the choice in this browser for a year."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        best(code),
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )
