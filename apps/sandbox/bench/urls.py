"""Frontdesk's routes and two more behind the same middleware: a view that answers at once, and a page without content."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from apps.login.sessions import profile_of


@csrf_exempt
def bare(request: HttpRequest) -> HttpResponse:
    """Read the body, answer."""
    request.read()
    return HttpResponse("{}", content_type="application/json")


@login_required
def empty(request: HttpRequest) -> HttpResponse:
    """The frame of every page, for somebody who is logged in."""
    return render(request, "base.html", {"profile": profile_of(request.user)})


urlpatterns = [path("bench/empty/", empty), path("bench/bare/", bare), path("", include("config.urls"))]
