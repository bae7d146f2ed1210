"""Refusals of the customer API as RFC 9457 says: `application/problem+json` with a sentence for people and a code for programs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import HttpResponse

from apps.core import origins
from apps.core.requests import note_refusal

DOCUMENT = "/api/v1/openapi.json"


@dataclass(frozen=True)
class ApiProblem(Exception):
    """A request that is refused: the answer to it. `detail` must name nothing personal."""

    status: int
    code: str
    title: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self) -> HttpResponse:
        """As a response; the log says its code."""
        note_refusal(self.code)
        body = {
            "type": f"{DOCUMENT}#{self.code}", "title": self.title, "status": self.status, "detail": self.detail,
            "code": self.code, "request_id": origins.request_id(),
        }  # fmt: skip
        text = json.dumps(body, ensure_ascii=False)
        return HttpResponse(
            text, status=self.status, content_type="application/problem+json", headers=dict(self.headers)
        )


def bad_parameter(detail: str) -> ApiProblem:
    """400 for what the query of a request says."""
    return ApiProblem(400, "bad_parameter", "A parameter is not understood", detail)


def not_found(detail: str = "There is no customer with this number.") -> ApiProblem:
    """404."""
    return ApiProblem(404, "not_found", "Not found", detail)


def wrong_method() -> ApiProblem:
    """405: nothing can be changed here."""
    return ApiProblem(405, "method", "Method not allowed", "Use GET or HEAD.", {"Allow": "GET, HEAD"})


def invalid_key(detail: str, code: str = "invalid_key") -> ApiProblem:
    """401 for a key that is missing, wrong or not valid any more; RFC 6750 says what the header says."""
    error = "" if code == "no_key" else ', error="invalid_token"'
    return ApiProblem(
        401, code, "A valid key is needed", detail, {"WWW-Authenticate": f'Bearer realm="customer API"{error}'}
    )


def missing_scope(scope: str) -> ApiProblem:
    """403 for a key that may not do this."""
    header = f'Bearer realm="customer API", error="insufficient_scope", scope="{scope}"'
    detail = f"The key does not have the scope {scope}. An admin can make one that has."
    return ApiProblem(403, "missing_scope", "The key may not do this", detail, {"WWW-Authenticate": header})


def too_many(wait: int) -> ApiProblem:
    """429 with the seconds to wait."""
    seconds = max(1, wait)
    detail = f"Too many requests. Ask again in {seconds} s."
    return ApiProblem(429, "too_many", "Too many requests", detail, {"Retry-After": str(seconds)})
