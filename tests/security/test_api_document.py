"""config/openapi.json and the routes agree, and its examples are what really happens."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from django.urls import resolve
from schemathesis import Response
from schemathesis.core.failures import FailureGroup

from apps.core.states import AccessState
from apps.onboarding import progress, recovery
from apps.storefront.json_views import FIELDS
from tests.security.api_document import CHECKS, DOCUMENT, Sender, load
from tests.security.test_bad_inputs import sender
from tests.test_json_apis import quick_codes

__all__ = ["quick_codes", "sender"]

ROOT = Path(__file__).resolve().parents[2]
# Where an answer in JSON is written: its routes must be described.
WRITERS = {
    "apps/billing/intake.py", "apps/core/health.py", "apps/core/requests.py", "apps/dashboard/views.py",
    "apps/storefront/views_recovery.py", "apps/storefront/views_success.py",
    "apps/notifications/tracking.py",  # but for this one: its events are of Mailgun's form, and test_delivery.py sends it the odd ones
}  # fmt: skip
OPERATIONS = {path: next(iter(item.items())) for path, item in DOCUMENT["paths"].items()}
# Whose example it is, where not everybody's; the codes of examples were never sent.
WHO = {
    "/onboarding/checkout/send-code/": "begun", "/onboarding/checkout/validate/": "proven", "/onboarding/checkout/session/": "proven",
    "/onboarding/success/state/": "paid", "/onboarding/success/resend-password/": "paid", "/recovery/state/": "recovering",
    "/recovery/checkout-session/": "recovering", "/recovery/password/": "recovering", "/dashboard/reset-password/": "subscriber",
}  # fmt: skip
CODES = {"/onboarding/checkout/verify-code/": "begun", "/recovery/verify-code/": "stranger"}


def schema_of(path: str) -> dict[str, Any]:
    """What is said of the body that a route takes; empty for one without."""
    body = OPERATIONS[path][1].get("requestBody", {"content": {"application/json": {"schema": {}}}})
    return dict(body["content"]["application/json"]["schema"])


def test_the_document_is_valid() -> None:
    load().validate()


def test_every_json_api_is_described_with_the_fields_it_takes() -> None:
    described = {}
    for path in OPERATIONS:
        view = inspect.unwrap(resolve(path).func)
        described[f"{view.__module__}.{view.__name__}"] = tuple(schema_of(path).get("properties", {}))
    joined = described.pop("apps.storefront.views_waitlist.submit")
    described["apps.storefront.views_waitlist._submit_json"] = joined  # the same route takes forms too
    assert {name: set(described.get(name, ["not described"])) for name in FIELDS} == {
        name: set(fields) for name, fields in FIELDS.items()
    }
    files = [path for path in ROOT.glob("apps/**/*.py") if "sandbox" not in path.parts]
    writers = {path for path in files if re.search(r"JsonResponse\(|return refuse\(", path.read_text())}
    assert {str(path.relative_to(ROOT)) for path in writers} - WRITERS == {
        "apps/storefront/refusals.py", "apps/storefront/views_errors.py"
    }  # fmt: skip


def test_the_words_of_the_document_are_those_of_the_code() -> None:
    def words(path: str, *names: str) -> set[str]:
        found = OPERATIONS[path][1]["responses"]["200"]["content"]["application/json"]["schema"]
        for name in names:
            found = found["items"] if name == "[]" else found["properties"][name]
        return set(found["enum"])

    proven = "/recovery/verify-code/"
    assert words(proven, "state") == {one.value for one in AccessState}
    assert words(proven, "next_step") == {one.value for one in recovery.NextStep}
    stages = {progress.WAITING, progress.BUSY, progress.DONE, progress.DELAYED}
    assert words("/onboarding/success/state/", "stages", "[]", "state") == stages


def test_what_the_examples_ask_is_answered_as_they_say(sender: Sender) -> None:
    schema = load()
    for path, (method, operation) in OPERATIONS.items():
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        sent = requests.Request(method.upper(), f"http://localhost{path}", json=body).prepare()
        if path == "/health/":
            sender.be_well()
        answer = sender.call(sent, CODES.get(path) or WHO.get(path, "stranger"))
        assert answer.status_code == (400 if path in CODES else 200), (path, answer.content)
        schema[path][method].validate_response(answer)
        _compare(operation["responses"]["200"]["content"], answer, path)


def _compare(content: dict[str, Any], answer: Response, path: str) -> None:
    """The example has the fields of the real answer, each of the same kind."""
    example = content.get("application/json", {}).get("example")
    if example is None or path in CODES:
        return
    found = json.loads(answer.content)
    assert example.keys() == found.keys(), path
    assert {name: type(value) for name, value in example.items()} == {
        name: type(value) for name, value in found.items()
    }


def test_the_checks_see_a_wrong_answer() -> None:
    """What the many inputs are judged by would notice: another status, no sentence, a field too many, a header too few."""
    operation = load()["/recovery/send-code/"]["post"]
    sent = requests.Request("POST", "http://localhost/recovery/send-code/", json={}).prepare()
    for status, text in (
        (418, '{"error": {"message": "Please fill this in.", "field": "", "code": "required"}}'),
        (400, '{"error": {"message": "KeyError", "field": "", "code": "required"}}'),
        (200, '{"sent": true, "minutes": 10, "code": "123456"}'),
        (429, '{"error": {"message": "Please wait.", "field": "", "code": "too_many"}}'),  # without Retry-After
    ):
        answer = Response(status, {"content-type": ["application/json"]}, text.encode(), sent, elapsed=0, verify=False)
        with pytest.raises(FailureGroup):
            operation.Case(body={"email": "a@b.example"}).validate_response(answer, checks=CHECKS)
