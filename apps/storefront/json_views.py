"""JSON views that list the fields they accept and refuse all others. config/openapi.json describes each of them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _

from apps.core.clear_text import for_programs
from apps.core.errors import BadInput
from apps.core.requests import json_api

JsonView = Callable[..., dict[str, Any]]
FIELDS: dict[str, tuple[str, ...]] = {}  # by module and name of the view


def json_view(*fields: str) -> Callable[[JsonView], Callable[..., HttpResponseBase]]:
    """A JSON API that accepts only `fields`."""

    def decorate(view: JsonView) -> Callable[..., HttpResponseBase]:
        FIELDS[f"{view.__module__}.{view.__name__}"] = fields

        @json_api
        @wraps(view)
        def serve(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
            unknown = sorted(set(body) - set(fields))
            if unknown:
                raise BadInput(_("“{field}” isn't expected here.").format(field=unknown[0][:40]), code="unknown_field")
            return view(request, body)

        return for_programs(serve)

    return decorate
