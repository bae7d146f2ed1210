"""Frontdesk's routes and more behind the same middleware: a view that answers at once, one that stores, and a page without content."""

from django.contrib.auth.decorators import login_required
from django.db import connection
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


@csrf_exempt
def stored(request: HttpRequest) -> HttpResponse:
    """Read the body, store it in one row of a table without keys, answer: less can't be done about an event."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_body (body) VALUES (%s)", [request.read().decode()])
    return HttpResponse("{}", content_type="application/json")


@login_required
def empty(request: HttpRequest) -> HttpResponse:
    """The frame of every page, for somebody who is logged in."""
    return render(request, "base.html", {"profile": profile_of(request.user)})


urlpatterns = [
    path("bench/empty/", empty),
    path("bench/bare/", bare),
    path("bench/stored/", stored),
    path("", include("config.urls")),
]
