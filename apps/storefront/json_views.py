"""JSON views that list the fields they accept, refuse all others, and say when to try again."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from apps.core.clear_text import for_programs
from apps.core.errors import BadInput
from apps.core.requests import json_api

RETRY_AFTER = {429: "60", 503: "30"}

JsonView = Callable[..., dict[str, Any]]


def json_view(*fields: str) -> Callable[[JsonView], Callable[..., HttpResponseBase]]:
    """A JSON API that accepts only `fields`. An answer that asks to wait carries Retry-After."""

    def decorate(view: JsonView) -> Callable[..., HttpResponseBase]:
        @json_api
        @wraps(view)
        def checked(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
            unknown = sorted(set(body) - set(fields))
            if unknown:
                raise BadInput(f"“{unknown[0][:40]}” isn't expected here.", code="unknown_field")
            return view(request, body)

        @wraps(view)
        def serve(request: HttpRequest) -> HttpResponseBase:
            response = checked(request)
            if response.status_code in RETRY_AFTER:
                response.headers["Retry-After"] = RETRY_AFTER[response.status_code]
            return response

        return for_programs(serve)

    return decorate
