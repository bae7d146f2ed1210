"""What comes unencrypted to a site with https: a browser that asks for a page is led to https, a program is refused.

Led on, a program that sends its key or its data in clear would work, and nobody would notice.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import resolve

from apps.core.probes import PROBES
from apps.core.requests import note_refusal

SENTENCE = (
    "This address answers over https only. What you have sent was not encrypted on its way: change the secrets in it.\n"
)


def for_programs[**Given, Answer: HttpResponseBase](view: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """Mark a view that programs and scripts ask by GET; whatever comes by POST is no page anyway."""
    view.for_programs = True  # type: ignore[attr-defined]  # functions have a place for this
    return view


def refuse_clear_text(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware, before the one that redirects to https. Probes decide for themselves (probes.py, metrics.py)."""

    def serve(request: HttpRequest) -> HttpResponse:
        probe = request.path_info.removesuffix("/") in PROBES
        if not settings.SECURE_SSL_REDIRECT or request.is_secure() or probe or _is_page(request):
            return get_response(request)
        note_refusal("not encrypted")
        return HttpResponse(SENTENCE, status=403, content_type="text/plain; charset=utf-8")

    return serve


def _is_page(request: HttpRequest) -> bool:
    if request.method not in {"GET", "HEAD"}:
        return False
    try:
        return not hasattr(resolve(request.path_info).func, "for_programs")
    except Http404:
        return True
