"""Mailgun's events by hand: as its document shows them, signed with the key of the settings."""

import hashlib
import hmac
import json
import secrets
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from apps.core import clock
from apps.notifications.models import Notification

ADDRESS = "/mailgun/webhook/"
KINDS: dict[str, dict[str, Any]] = {
    "delivered": {"event": "delivered"},
    "delayed": {"event": "failed", "severity": "temporary", "reason": "generic"},
    "bounced": {"event": "failed", "severity": "permanent", "reason": "bounce"},
    "failed": {"event": "rejected", "reject": {"reason": "Spam", "description": ""}},
    "complained": {"event": "complained"},
    "opened": {"event": "opened"},
}


def told(row: Notification, kind: str, *, at: float | None = None, **more: Any) -> dict[str, Any]:
    """The `event-data` of one event about a mail."""
    status = {"code": 550, "message": f"5.1.1 <{row.to}>:\r\n  no such user", "description": "", "attempt-no": 1}
    return {
        "id": secrets.token_hex(8), "timestamp": clock.timestamp() if at is None else at, "recipient": row.to,
        "tags": [row.template], "user-variables": {"notification": str(row.pk)}, "delivery-status": status,
        "message": {"headers": {"message-id": row.provider_id.strip("<>"), "to": row.to}},
    } | KINDS[kind] | more  # fmt: skip


def sign(*, stamp: str | None = None, token: str | None = None, key: str | None = None) -> dict[str, str]:
    stamp, token = stamp or str(int(clock.timestamp())), token or secrets.token_hex(25)
    key = settings.MAILGUN_WEBHOOK_SIGNING_KEY if key is None else key
    digest = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    return {"timestamp": stamp, "token": token, "signature": digest}


def post(event: Any, **signed: str) -> HttpResponse:
    """Post one event, signed now unless `signed` says otherwise."""
    return post_body({"signature": sign(**signed), "event-data": event})


def post_body(body: Any) -> HttpResponse:
    return Client().post(ADDRESS, body, content_type="application/json")  # type: ignore[return-value]


def tell(row: Notification, *kinds: str, at: float | None = None) -> None:
    """Have Mailgun tell these of a mail, in this order."""
    for kind in kinds:
        answer = post(told(row, kind, at=at))
        assert (answer.status_code, json.loads(answer.content)) == (200, {"received": True})
