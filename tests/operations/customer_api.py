"""The customer API as another system uses it: a key, requests, and answers that are checked against the document."""

import copy
import datetime as dt
import json
from typing import Any

from django.http import HttpResponse
from django.test import Client
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from apps.core import clock
from apps.operations.api import keys, views
from apps.operations.models import CustomerApiKey

DOCUMENT: dict[str, Any] = json.loads(views.DOCUMENT.read_text())
BASE = "/api/v1/"
BY: Any = {"actor": "staff:ada", "reason": "for the tests"}
READ, PERSONAL = CustomerApiKey.Scope


def make_key(*scopes: str, days: float = 30, networks: tuple[str, ...] = ()) -> tuple[CustomerApiKey, str]:
    ends = clock.now() + dt.timedelta(days=days)
    return keys.make_key(name="CRM", scopes=scopes or [READ], networks=networks, expires_at=ends, **BY)


def _closed(value: Any) -> Any:
    """The document with no fields beside those that it names: what is not described is not answered."""
    if isinstance(value, dict):
        found = {name: _closed(one) for name, one in value.items()}
        if found.get("type") == "object" and "properties" in found:
            found["additionalProperties"] = False
        return found
    return [_closed(one) for one in value] if isinstance(value, list) else value


CLOSED = _closed(copy.deepcopy(DOCUMENT))


def check(template: str, answer: HttpResponse) -> Any:
    """That an answer is one which the document has for this route; its content."""
    described = CLOSED["paths"][template]["get"]["responses"][str(answer.status_code)]
    if "$ref" in described:
        described = CLOSED["components"]["responses"][described["$ref"].rpartition("/")[2]]
    for name, header in described.get("headers", {}).items():
        assert name in answer.headers or not header["required"], name
    if "content" not in described:
        assert not answer.content
        return None
    ((kind, content),) = described["content"].items()
    assert answer.headers["Content-Type"] == kind
    said = json.loads(answer.content)
    schema = {"components": CLOSED["components"], **content["schema"]}
    assert validator_for(schema, default=Draft202012Validator) is Draft202012Validator
    Draft202012Validator(schema).validate(said)
    return said


class System:
    """Another system with one key."""

    def __init__(self, *scopes: str, **terms: Any) -> None:
        self.key, self.text = make_key(*scopes, **terms)
        self.client = Client()

    def get(self, path: str, *, headers: dict[str, str] | None = None, **query: str | int) -> HttpResponse:
        sent = {"Authorization": f"Bearer {self.text}"} | (headers or {})
        found: Any = self.client.get(f"{BASE}{path}", query, headers=sent)
        assert not found.cookies
        assert found.headers["Cache-Control"] == "no-store"
        return found  # type: ignore[no-any-return]

    def read(self, path: str, *, status: int = 200, template: str = "", **query: str | int) -> Any:
        """The content of an answer with this status, which the document describes."""
        answer = self.get(path, **query)
        assert answer.status_code == status, answer.content
        return check(f"{BASE}{template or path}", answer)

    def customer(self, number: int) -> Any:
        return self.read(f"customers/{number}", template="customers/{id}")
