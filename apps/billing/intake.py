"""Stripe's webhook: verify, store and enqueue in one statement, answer. Nothing is fetched or applied here.

Any version of the API is good: an event only says what to fetch. Staff are told when it is another than ours (api_version.py).

Nothing is written before the signature has been verified. While the secret is rotated, the previous one is accepted too.
"""

import json
import time
from typing import Any

import stripe
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.billing import api_version, events
from apps.core import clock, origins, security_events, wake_ups
from apps.core.clear_text import for_programs
from apps.core.errors import BadInput
from apps.core.requests import is_number, note_refusal, read_event_body
from apps.core.security_events import SecurityEvent

log = structlog.get_logger(__name__)

TOLERANCE_SECONDS = 300
THIN = "v2.core.event"
FIELDS = {"id": str, "type": str, "created": int, "livemode": bool, "data": dict}


@for_programs
@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """Take one signed Stripe event: 200 once it is stored (also when it was already), 4xx with a sentence otherwise."""
    try:
        body = read_event_body(request)
        verify(body, request.headers.get("Stripe-Signature", ""))
        event = parse(body)
        if event["object"] == THIN:
            api_version.report_thin_events()
        elif store(event, body.decode()):
            api_version.report_difference(_storable(event.get("api_version")))
    except BadInput as refusal:
        note_refusal(refusal.code)
        if refusal.code in ("signature", "stale"):
            security_events.note(SecurityEvent.SIGNATURE_REFUSED, sender="stripe")
        return JsonResponse({"error": refusal.message}, status=refusal.status)
    return JsonResponse({"received": True})


def verify(body: bytes, header: str) -> None:
    """Check Stripe's signature against both secrets, and its time stamp on both sides; BadInput when it does not hold.

    docs.stripe.com/webhooks#verify-manually. The SDK checks only that the stamp is not too old.
    """
    stamps = [part[2:] for part in header.split(",") if part.startswith("t=")]
    stamp = int(stamps[0]) if stamps and is_number(stamps[0]) else 0
    if abs(clock.timestamp() - stamp) > TOLERANCE_SECONDS:
        raise BadInput("The signature is missing or its time is off by more than five minutes.", code="stale")
    for secret in (settings.STRIPE_WEBHOOK_SECRET, settings.STRIPE_WEBHOOK_SECRET_PREVIOUS):
        if secret and _signed_with(secret, body, header):
            return
    raise BadInput("The signature does not match.", code="signature")


def _signed_with(secret: str, body: bytes, header: str) -> bool:
    try:
        # The stamp was checked above, against our own clock.
        return bool(stripe.WebhookSignature.verify_header(body.decode(), header, secret, tolerance=None))
    except (stripe.SignatureVerificationError, UnicodeDecodeError, TypeError, ValueError):
        return False


def parse(body: bytes) -> dict[str, Any]:
    """The event as a dict; BadInput when it is not a v1 event of our mode, or a thin one, of which nothing is checked."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput("The body is not JSON.", code="json") from error
    if not (isinstance(event, dict) and event.get("object") == THIN):
        _check_shape(event)
    return dict(event)


def _check_shape(event: Any) -> None:
    """A v1 event with an object, and with an id, a type and a time that Postgres can hold."""
    if not isinstance(event, dict) or event.get("object") != "event":
        raise BadInput("The body is not a Stripe event.", code="shape")
    if any(type(event.get(name)) is not kind for name, kind in FIELDS.items()):
        raise BadInput("The event lacks a field or has one of the wrong type.", code="shape")
    if not isinstance(event.get("api_version"), str | None):
        raise BadInput("The event's API version is no text.", code="shape")
    if not isinstance(event["data"].get("object"), dict):
        raise BadInput("The event has no object.", code="shape")
    if not (_word(event["id"], 255) and _word(event["type"], 80) and 0 < event["created"] < 2**33):
        raise BadInput("The event's id, type or time cannot be right.", code="shape")
    if event["livemode"] != settings.STRIPE_LIVE_MODE and _is_of_our_account(event):
        raise BadInput("The event is of the other mode (test or live).", code="mode")


def _is_of_our_account(event: dict[str, Any]) -> bool:
    """False for what a connected account does: Stripe tells its platform's endpoint of that, in both modes."""
    return event.get("account") in (None, settings.STRIPE_ACCOUNT_ID)


def _word(value: str, limit: int) -> bool:
    return 0 < len(value) <= limit and value.isascii() and value.isprintable()


STORE = f"""
WITH event AS (
    INSERT INTO billing_inboundevent (stripe_event_id, type, object_id, customer_id, api_version, livemode,
        stripe_created_at, received_at, state, handled_at, source, body)
    VALUES (%(id)s, %(type)s, %(object)s, %(customer)s, %(version)s, %(livemode)s, to_timestamp(%(created)s), %(now)s,
        %(state)s, CASE WHEN %(state)s <> 'received' THEN %(now)s END, %(source)s, %(body)s)
    ON CONFLICT (stripe_event_id) DO NOTHING RETURNING stripe_event_id, state),
job AS (
    INSERT INTO core_job (kind, key, lane, state, reason, importance, attempts, runs, not_before, parked_on, created_at, last_error,
        history, request_id)
    SELECT %(kind)s, stripe_event_id, %(lane)s, 'queued', %(reason)s, %(importance)s, 0, 0, %(now)s, '', %(now)s, '', '[]', %(request)s
    FROM event WHERE state = 'received'
    ON CONFLICT (kind, key) WHERE state = 'queued' DO NOTHING RETURNING id)
SELECT count(*), (SELECT min({wake_ups.NOTIFY}::text) FROM job) FROM event
"""  # noqa: S608


def store(event: dict[str, Any], body: str, *, source: str = "webhook") -> bool:
    """Put the event into the inbox with its job and the job's wake-up, in one statement; False if it was there before."""
    subject = event["data"]["object"]
    customer = events.customer_of(subject) if _is_of_our_account(event) else ""
    values = {
        "kind": events.KIND,
        "id": event["id"],
        "type": event["type"],
        "object": _storable(subject.get("id")),
        "customer": customer,
        "version": _storable(event.get("api_version"))[:40],
        "livemode": event["livemode"],
        "created": event["created"],
        "now": clock.now(),
        "state": _first_state(event),
        "source": source,
        "body": body,
        "lane": f"customer:{customer or event['id']}"[:400],
        "reason": f"{event['type']} by {source}",
        "importance": events.importance_of(event),
        "request": origins.request_id(),
    }
    started = time.monotonic()
    new = _insert(values)
    log.info(
        "event_stored",
        stripe_event=event["id"],
        type=event["type"],
        new=new,
        ms=round(1000 * (time.monotonic() - started)),
    )
    return new


def _first_state(event: dict[str, Any]) -> str:
    if not _is_of_our_account(event):
        return "not_ours"
    return "received" if events.needs_work(event["type"]) else "ignored"


def _insert(values: dict[str, Any]) -> bool:
    """Run the statement; once more where its connection has died: what is there already is not stored again.

    So Django need not ask before whether the connection lives, which would be a second way to the database and back.
    """
    connection.health_check_done = True  # type: ignore[attr-defined]  # django-stubs lacks it
    try:
        return _execute(values)
    except (InterfaceError, OperationalError):
        if connection.in_atomic_block or connection.is_usable():
            raise
        connection.close()
        return _execute(values)


def _execute(values: dict[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(STORE, values)
        return bool(cursor.fetchone()[0])


def _storable(value: Any) -> str:
    """An id of the payload as text Postgres can keep; empty when it is none."""
    return value[:255] if isinstance(value, str) and value.isascii() and value.isprintable() else ""
