"""A site with https, asked in clear: pages lead on, programs are told that their secrets were read."""

from typing import Any

import pytest
from django.test import Client

from apps.billing.models import InboundEvent
from apps.core.clear_text import SENTENCE
from tests.billing.door import SECRET, raw, sign
from tests.core.test_metrics import TOKEN
from tests.security.addresses import all_addresses

PROBES = {"/health/", "/health/live", "/metrics"}
APIS = {
    "/onboarding/webhook/", "/mailgun/webhook/", "/onboarding/success/state/", "/onboarding/success/resend-password/",
    "/recovery/state/", "/recovery/send-code/", "/recovery/verify-code/", "/recovery/checkout-session/", "/recovery/password/",
    "/api/v1/openapi.json", "/api/v1/changes", "/api/v1/customers", "/api/v1/customers/1", "/api/v1/customers/1/history", "/api/x/",
    *(f"/onboarding/checkout/{name}/" for name in ("send-code", "verify-code", "validate", "session")),
}  # fmt: skip
CLEAR = {"Host": "frontdesk.example.com", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}
ENCRYPTED = CLEAR | {"X-Forwarded-Proto": "https"}


@pytest.fixture(autouse=True)
def production(settings: Any) -> None:
    """As `.env.example` has it: one public name, https, one proxy."""
    settings.ALLOWED_HOSTS = ["frontdesk.example.com"]
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True
    settings.TRUSTED_PROXY_COUNT, settings.SECURE_PROXY_SSL_HEADER = 1, ("HTTP_X_FORWARDED_PROTO", "https")


def test_pages_lead_to_https_and_apis_refuse(db: None) -> None:
    """By every address there is, and one that is not."""
    client = Client()
    refused = set()
    for address in {*all_addresses(), "/nothing/"} - PROBES:
        answer = client.get(address, headers=CLEAR)
        assert answer.status_code in {301, 403}, address
        if answer.status_code == 403:
            refused.add(address)
        else:
            assert answer["Location"] == f"https://frontdesk.example.com{address}"
        for method in ("POST", "OPTIONS"):
            answer = client.generic(method, address, headers=CLEAR)
            assert (answer.status_code, answer.text) == (403, SENTENCE), (method, address)
    assert refused == APIS


def test_nothing_that_came_in_clear_is_used(db: None, settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    body = raw(id="evt_1")
    for headers, status, stored in ((CLEAR, 403, 0), (ENCRYPTED, 200, 1)):
        answer = Client().post(
            "/onboarding/webhook/",
            body,
            content_type="application/json",
            headers={**headers, "Stripe-Signature": sign(body)},
        )
        assert answer.status_code == status
        assert "Location" not in answer
        assert InboundEvent.objects.count() == stored


def test_the_probes_of_a_container_are_answered(db: None) -> None:
    """It asks itself, without any proxy; what carries a key is refused where a proxy says that it came in clear."""
    direct = {"Host": "127.0.0.1:8000"}
    assert Client().get("/health/live", headers=direct).status_code == 200
    assert Client().get("/metrics", headers=direct | TOKEN).status_code == 200
    assert Client().get("/health/live", headers=CLEAR).status_code == 200
    assert Client().get("/metrics", headers=CLEAR | TOKEN).status_code == 403


def test_without_the_setting_nothing_is_refused(db: None, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    assert Client().get("/recovery/state/", headers=CLEAR).status_code == 404
