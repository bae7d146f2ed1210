"""Mailgun's webhook: what became of a mail, told in one request for each event, signed.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks. The signature is over a time and a token, and not over
the event, so each token counts once and for half a day: Mailgun tries again for 8 hours. anymail reads the event. What is signed
and about no mail of ours is answered 200, so that Mailgun does not send it again.
"""

import datetime as dt
import hashlib
import hmac
import json
from typing import Any

from anymail.signals import EventType
from anymail.webhooks.mailgun import MailgunTrackingWebhookView
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.core import clock, limits, security_events
from apps.core.clear_text import for_programs
from apps.core.errors import BadInput
from apps.core.requests import client_address, is_number, note_refusal, read_event_body
from apps.core.security_events import SecurityEvent
from apps.notifications.delivery import Delivery, DeliveryEvent, clean_reason, record

OLDEST_SECONDS, EARLIEST_SECONDS = 12 * 3600, 300
LONGEST_TOKEN, LONGEST_ID = 200, 255
LATEST = dt.timedelta(days=1)  # ahead of our clock, for the time of an event
DELIVERIES = {
    EventType.DEFERRED: Delivery.DELAYED,
    EventType.DELIVERED: Delivery.DELIVERED,
    EventType.BOUNCED: Delivery.BOUNCED,
    EventType.REJECTED: Delivery.FAILED,
    EventType.COMPLAINED: Delivery.COMPLAINED,
}


@for_programs
@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """Take one signed event: 200 once it is recorded, or known, or about nothing of ours; 4xx with a sentence otherwise."""
    try:
        told = _parse(read_event_body(request))
        token = _verify(told.get("signature"), visitor=client_address(request))
        event = _read_event(told)
        with transaction.atomic():  # a token whose event could not be recorded is not used up
            if limits.allow(event_tokens=token) and event is not None:
                record(event)
    except BadInput as refusal:
        note_refusal(refusal.code)
        return JsonResponse({"error": refusal.message}, status=refusal.status)
    return JsonResponse({"received": True})


def _parse(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput("The body is not JSON.", code="json") from error
    if not isinstance(told, dict):
        raise BadInput("The body is not an event of Mailgun's.", code="shape")
    return told


def _verify(signature: Any, *, visitor: str) -> str:
    """The token of a signature that holds. BadInput otherwise; who sends many of those is refused (429)."""
    try:
        return _read_token(signature)
    except BadInput:
        if not limits.allow(refused_events_visitor=visitor):
            raise BadInput("Too many events without our signature.", code="limit", status=429) from None
        security_events.note(SecurityEvent.SIGNATURE_REFUSED, sender="mailgun")
        raise


def _read_token(signature: Any) -> str:
    """Its token, when it is ours and no older than OLDEST_SECONDS."""
    found = signature if isinstance(signature, dict) else {}
    stamp, token, digest = (_storable(found.get(name, "")) for name in ("timestamp", "token", "signature"))
    age = clock.timestamp() - (int(stamp) if is_number(stamp) else 0)
    if not -EARLIEST_SECONDS <= age <= OLDEST_SECONDS:
        raise BadInput("The signature is missing or its time is off.", code="stale")
    key, message = settings.MAILGUN_WEBHOOK_SIGNING_KEY, f"{stamp}{token}"
    expected = hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()
    if not (key and token and len(token) <= LONGEST_TOKEN and constant_time_compare(digest, expected)):
        raise BadInput("The signature does not match.", code="signature")
    return token


def _read_event(told: dict[str, Any]) -> DeliveryEvent | None:
    """What it tells of a mail of ours; None for what we do not follow, such as a click. BadInput when it cannot be read."""
    try:
        found = MailgunTrackingWebhookView().esp_to_anymail_event(told)
        number = str((found.metadata or {}).get("notification", ""))
        delivery = DELIVERIES.get(found.event_type)
    except (AttributeError, KeyError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise BadInput("The event cannot be read.", code="shape") from error
    provider_id = _storable(found.message_id or "")
    if delivery is None or not is_number(number) or not provider_id or len(provider_id) > LONGEST_ID:
        return None
    if found.timestamp is None or found.timestamp > clock.now() + LATEST:
        raise BadInput("The event's time cannot be right.", code="shape")
    reason = "" if delivery == Delivery.DELIVERED else found.mta_response or found.description or found.reject_reason
    return DeliveryEvent(
        delivery=delivery,
        at=found.timestamp,
        notification=int(number),
        provider_id=provider_id,
        recipient=_storable(found.recipient or ""),
        reason=clean_reason(_storable(reason or "")),
    )


def _storable(value: Any) -> str:
    """As text that can be encoded and stored: JSON may hold halves of characters, and the other server's words any bytes."""
    return str(value).replace("\0", "").encode("utf-8", "replace").decode()
