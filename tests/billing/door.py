"""Events as Stripe sends them, and as others would like to."""

import json
from typing import Any

import stripe
from django.http import HttpResponse
from django.test import Client

from apps.billing.models import InboundEvent
from apps.core import clock
from apps.core.models import Job

PATH = "/onboarding/webhook/"
SECRET, FORMER, WRONG = ("whsec_" + letter * 40 for letter in "abc")


def event(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-08-26.dahlia",
        "created": 1_800_000_000,
        "livemode": False,
        "type": "customer.subscription.updated",
        "data": {"object": {"id": "sub_1", "object": "subscription", "customer": "cus_1"}},
    }
    return {name: value for name, value in (made | changes).items() if value is not ...}


def raw(**changes: Any) -> bytes:
    return json.dumps(event(**changes)).encode()


def sign(body: bytes, secret: str = SECRET, *, late: int = 0) -> str:
    text = body.decode(errors="replace")
    return stripe.WebhookSignature.generate_signature_header(text, secret, clock.timestamp() - late)


def post(body: bytes, header: str | None = None, **more: Any) -> HttpResponse:
    """Post a body, well signed unless a header is given."""
    headers = {"Stripe-Signature": sign(body) if header is None else header}
    answer: HttpResponse = Client().post(PATH, body, content_type="application/json", headers=headers, **more)
    return answer


def nothing_stored() -> bool:
    return not InboundEvent.objects.exists() and not Job.objects.exists()
