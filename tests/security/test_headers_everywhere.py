"""The headers that every answer carries, no matter what gives it: a view, a refusal, an error, a static file, the server itself."""

import io
from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from apps.core.request_bodies import BodiesFirst
from tests.core.test_logs import REFUSALS
from tests.core.test_metrics import TOKEN

ALWAYS = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "strict-origin",
    "Cross-Origin-Resource-Policy": "same-origin", "Server": "frontdesk",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=()",
}  # fmt: skip
STATIC = "/static/admin/css/base.css"
GOOD = (
    "/", "/dashboard/", "/onboarding/", "/onboarding/plan/", "/onboarding/waitlist/", "/onboarding/success/", "/recovery/",
    "/accounts/login/", "/accounts/oidc/keycloak/login/", "/admin/", "/health/live", "/health/", STATIC, "/static/nothing.css",
)  # fmt: skip


def check(headers: Mapping[str, str], where: str) -> None:
    for name, value in ALWAYS.items():
        assert headers.get(name) == value or (name == "Referrer-Policy" and headers[name] == "no-referrer"), (
            where,
            name,
        )
    assert "default-src 'none'" in headers["Content-Security-Policy"], where
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], where
    assert "Access-Control-Allow-Origin" not in headers, where
    assert not {"X-Powered-By", "Via"} & set(headers), where
    assert ("no-store" in headers["Cache-Control"]) is (where != STATIC), where


def test_every_kind_of_answer_carries_them(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    for address in GOOD:
        ask = client.head if address == STATIC else client.get  # a file's body would stay open
        check(ask(address).headers, address)
        check(client.put(address).headers, f"PUT {address}")
    check(client.get("/metrics", headers=TOKEN).headers, "metrics")
    for name, (_status, send) in REFUSALS.items():
        check(send(Client(enforce_csrf_checks=True)).headers, name)

    def broken(*_args: Any, **_options: Any) -> None:
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr("apps.storefront.views.render", broken)
        answer = Client(raise_request_exception=False).get("/onboarding/cancel/")
        assert answer.status_code == 500
        check(answer.headers, "500")
    settings.SECURE_SSL_REDIRECT = True
    answer = Client().get("/onboarding/")
    assert answer.status_code == 301
    check(answer.headers, "to https")


def test_what_is_refused_before_django_carries_them_too(db: None) -> None:
    front = BodiesFirst(lambda _environ, _start: pytest.fail("nothing asks Django"), seats=1)
    seen: list[tuple[str, Mapping[str, str]]] = []
    environ = {"CONTENT_LENGTH": "9", "REMOTE_ADDR": "192.0.2.1", "wsgi.input": io.BytesIO(b"short")}
    front(environ, lambda status, headers: seen.append((status, dict(headers))))
    front.waiting["192.0.2.1"] = 1000
    front(environ, lambda status, headers: seen.append((status, dict(headers))))
    assert [status[:3] for status, _ in seen] == ["400", "503"]
    for status, headers in seen:
        check(headers, status)


def test_metrics_are_not_sent_in_clear_through_a_proxy(db: None, settings: Any) -> None:
    """L4: the token and the counts went over http; inside the private network Prometheus asks the process itself."""
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True
    settings.TRUSTED_PROXY_COUNT, settings.SECURE_PROXY_SSL_HEADER = 1, ("HTTP_X_FORWARDED_PROTO", "https")
    for given, status in (
        ({"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}, 403),
        ({"X-Forwarded-For": "192.0.2.1"}, 403),
        ({"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}, 200),
        ({}, 200),
    ):
        answer = Client().get("/metrics", headers={**TOKEN, **given, "Host": "web:8000"})
        assert answer.status_code == status, given
        assert ("frontdesk_jobs" in answer.text) is (status == 200)
        assert Client().get("/health/live", headers={**given, "Host": "127.0.0.1:8000"}).status_code == 200
