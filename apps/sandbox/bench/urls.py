"""Frontdesk's routes and one more: a view that answers at once, behind the same middleware."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def bare(request: HttpRequest) -> HttpResponse:
    """Read the body, answer."""
    request.read()
    return HttpResponse("{}", content_type="application/json")


urlpatterns = [path("bench/bare/", bare), path("", include("config.urls"))]
