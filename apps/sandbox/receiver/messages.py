"""How a receiver takes messages: it verifies each by the library of Standard Webhooks, and is strict beyond what the standard asks.

Another method, type or size, a missing or wrong signature, an old timestamp, an id that it has seen, an order before the last one:
each is refused. It answers with the account as it is then.
"""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from standardwebhooks import Webhook, WebhookVerificationError

from apps.sandbox import faults
from apps.sandbox.receiver.accounts import apply_order, host_of, show

LARGEST = 4096  # bytes of a message
DRIP_SECONDS = 0.05


def receive(request: HttpRequest, host: str) -> HttpResponseBase:
    """One message."""
    if request.method != "POST":
        return _refused(405, "Only POST.")
    if request.content_type != "application/json" or len(request.body) > LARGEST:
        return _refused(415, "A message is JSON, and short.")
    state, message = host_of(host), None
    for secret in state["secrets"]:
        try:
            message = Webhook(secret).verify(request.body, dict(request.headers))
        except (WebhookVerificationError, ValueError):
            continue
    if message is None:
        return _refused(401, "The signature, or its time, is wrong.")
    if request.headers["webhook-id"] in state["seen"]:
        return _refused(409, "This message was here before.")
    state["seen"].append(request.headers["webhook-id"])
    state["messages"].append(message)
    return _acted_out(request) or _answer(request, state, message)


receive.csrf_exempt = True  # type: ignore[attr-defined]


def _answer(request: HttpRequest, state: dict[str, Any], message: dict[str, Any]) -> HttpResponse:
    data = message["data"]
    if message["type"] == "account.order" and faults.mode(request) != "order_ignored":
        if data["sequence"] <= state["sequences"].get(data["id"], 0):
            return _refused(409, "A later order was here before.")
        apply_order(state, data)
    if message["type"] not in ("account.order", "account.read") or faults.mode(request) == "silent":
        return HttpResponse(status=204)
    return JsonResponse({"account": show(state, data["id"]), "version": "7.1", "unknown": None})


def _acted_out(request: HttpRequest) -> HttpResponseBase | None:
    mode = faults.mode(request)
    if mode == "echo":
        return HttpResponse("\0".join([*map(str, request.headers.items()), request.body.decode(), "ada@example.com"]))
    if mode == "malformed":
        return HttpResponse(json.dumps({"account": {"enabled": "yes"}}))
    if mode == "redirect":
        return HttpResponse(status=307, headers={"Location": "/receiver/elsewhere"})
    return StreamingHttpResponse(_drips()) if mode == "endless" else None


def _drips() -> Iterator[bytes]:
    for _ in itertools.count():
        time.sleep(DRIP_SECONDS)
        yield b"."


def _refused(status: int, why: str) -> HttpResponse:
    return JsonResponse({"error": why}, status=status)
