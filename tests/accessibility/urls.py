"""The site's routes, pages that fail, and the pages of a login that does not work out."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from apps.login import error_pages
from tests.storefront import failing_urls
from tests.storefront.failing_urls import handler400, handler403, handler404, handler429, handler500

__all__ = ["handler400", "handler403", "handler404", "handler429", "handler500"]


def _login_failed(request: HttpRequest) -> HttpResponse:
    return error_pages.login_failed(request, cancelled="cancelled" in request.GET, away="away" in request.GET)


def _logged_out(request: HttpRequest) -> HttpResponse:
    return render(request, "account/logged_out.html", {"at_keycloak": request.GET.get("at_keycloak", "")})


urlpatterns = [
    path("shown/login-failed/", _login_failed),
    path("shown/too-weak/", lambda request: error_pages.too_weak(request, again="/dashboard/")),
    path("shown/ask-first/", error_pages.ask_first),
    path("shown/no-account/", error_pages.no_account),
    path("shown/logged-out/", _logged_out),
    *failing_urls.urlpatterns,
]
