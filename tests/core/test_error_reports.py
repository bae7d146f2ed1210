"""What is told to Sentry: every error that is logged, and nothing of a person or a secret."""

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import brotli
import pytest
import sentry_sdk
import structlog
from django.test import RequestFactory

from apps.core import egress, error_reports


@pytest.fixture
def reports(settings: Any) -> Iterator[list[dict[str, Any]]]:
    """A server that takes reports, and what it was told."""
    found: list[dict[str, Any]] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = brotli.decompress(body) if self.headers["Content-Encoding"] == "br" else gzip.decompress(body)
            found.extend(json.loads(line) for line in body.splitlines() if b"exception" in line or b"logentry" in line)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.SENTRY_DSN = f"http://key@127.0.0.1:{server.server_port}/1"
    error_reports.begin()
    yield found
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    server.shutdown()
    server.server_close()


def test_an_error_is_told_with_its_place_and_without_people_or_secrets(
    reports: list[dict[str, Any]], settings: Any
) -> None:
    secret = "sk_live_0123456789abcdef"
    try:
        int(f"nora@example.com used {secret}")
    except ValueError:
        logging.getLogger("django.request").exception("It failed for nora@example.com")
    asked = RequestFactory().get("/join/secret-token/", {"q": "Nora Smith"})
    logging.getLogger("django.request").error("%s", "a page failed", extra={"request": asked, "status_code": 500})
    structlog.get_logger("apps.core.jobs").error("job_failed", kind="reconcile")
    logging.getLogger("apps").warning("a warning is not told")
    sentry_sdk.flush(5)
    assert len(reports) == 3
    text = json.dumps(reports)
    assert "ValueError" in text
    assert "test_error_reports.py" in text
    assert "job_failed" in text
    for never in ("nora@", "q=Nora", "WSGIRequest", secret, '"vars"', '"user"'):
        assert never not in text
    assert "127.0.0.1" in egress.allowed_hosts()


def test_without_an_address_nothing_begins(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SENTRY_DSN = ""
    monkeypatch.setattr(sentry_sdk, "init", lambda **_: pytest.fail("it began"))
    error_reports.begin()
