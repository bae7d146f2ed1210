"""The routes the console's pages and the error pages name, so that these tests do not depend on the other apps' pages."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path

NAMES = ("onboarding-welcome", "onboarding-plan", "dashboard", "recovery", "health")


def page(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("here")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("logout/", page, name="logout"),
    path("", page, name="home"),
    *(path(f"{name}/", page, name=name) for name in NAMES),
]
