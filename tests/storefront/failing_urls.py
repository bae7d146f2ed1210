"""The site's routes, and pages that fail."""

from typing import NoReturn

from allauth.core.internal.ratelimit import respond_429
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest
from django.urls import path

from config import urls
from config.urls import handler400, handler403, handler404, handler429, handler500

__all__ = ["handler400", "handler403", "handler404", "handler429", "handler500"]


def forbidden(_request: HttpRequest) -> NoReturn:
    raise PermissionDenied("not shown")


def misunderstood(_request: HttpRequest) -> NoReturn:
    raise SuspiciousOperation("not shown")


def too_large(_request: HttpRequest) -> NoReturn:
    raise RequestDataTooBig("not shown")


def broken(_request: HttpRequest) -> NoReturn:
    raise LookupError("not shown")


def away(_request: HttpRequest) -> NoReturn:
    raise OperationalError("the server closed the connection")


urlpatterns = [
    path("forbidden", forbidden),
    path("misunderstood", misunderstood),
    path("too-large", too_large),
    path("limited", respond_429),
    path("broken", broken),
    path("away", away),
    *urls.urlpatterns,
]
