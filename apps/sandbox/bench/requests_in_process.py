"""Signed webhook requests to the WSGI application in this process, without a client's or a server's cost."""

import hashlib
import hmac
import io
import json
import time
import uuid
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

from apps.core import clock

WEBHOOK, BARE, STORED = "/onboarding/webhook/", "/bench/bare/", "/bench/stored/"


def event(size: int = 3700) -> bytes:
    """An event of its own id, with the size of an updated subscription."""
    subject = {
        "id": "sub_bench1",
        "object": "subscription",
        "customer": "cus_bench1",
        "status": "active",
        "metadata": {},
    }
    made: dict[str, Any] = {
        "id": f"evt_{uuid.uuid4().hex}", "object": "event", "type": "customer.subscription.updated", "livemode": False,
        "created": int(time.time()), "api_version": settings.STRIPE_API_VERSION, "data": {"object": subject},
    }  # fmt: skip
    made["data"]["object"]["items"] = [
        {"id": f"si_{number}", "amount": 500, "currency": "eur"} for number in range(size // 60)
    ]
    return json.dumps(made).encode()


def sign(body: bytes) -> str:
    """The header Stripe-Signature."""
    stamp = clock.timestamp()
    digest = hmac.new(settings.STRIPE_WEBHOOK_SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def request(path: str, body: bytes) -> dict[str, Any]:
    """The WSGI environment of one signed POST."""
    return {
        "REQUEST_METHOD": "POST", "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1", "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0), "wsgi.run_once": False,
        "wsgi.multithread": True, "wsgi.multiprocess": True, "HTTP_STRIPE_SIGNATURE": sign(body),
    }  # fmt: skip


class Application:
    """The site as granian runs it, with the benchmark's own route."""

    def __init__(self) -> None:
        self.handler = WSGIHandler()

    def answer(self, environ: dict[str, Any]) -> None:
        """Answer one request; LookupError unless it is 200."""
        statuses: list[str] = []
        response = self.handler(environ, lambda status, _headers: statuses.append(status))  # type: ignore[arg-type]
        b"".join(response)
        response.close()
        if not statuses[0].startswith("200"):
            raise LookupError(f"{environ['PATH_INFO']} answered {statuses[0]}")
