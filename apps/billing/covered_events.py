"""One fetch answers every event that was waiting when Stripe was asked: what they report happened before.

Promise: an event that arrives while we ask keeps its job, because the answer may not know of it.
"""

import datetime as dt
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q

from apps.billing.models import InboundEvent
from apps.core import clock, jobs

UNPAID = ("invoice.payment_failed", "invoice.payment_action_required")
KIND = "handle_event"  # the job of each event; its key is Stripe's id of it


def find_waiting(customer_id: str) -> tuple[list[InboundEvent], dict[str, dt.datetime]]:
    """The events of the customer that wait for a fetch; and when Stripe first told us of each invoice that it was not paid."""
    waits, unpaid = Q(state=InboundEvent.State.RECEIVED), Q(type__in=UNPAID)
    found = InboundEvent.objects.filter(waits | unpaid, customer_id=customer_id).order_by("stripe_created_at")
    events = list(found.only("stripe_event_id", "type", "object_id", "state", "stripe_created_at"))
    failures: dict[str, dt.datetime] = {}
    for one in events:
        if one.type in UNPAID:
            failures.setdefault(one.object_id, one.stripe_created_at)
    return [one for one in events if one.state == InboundEvent.State.RECEIVED], failures


def is_confirmation_asked(invoice_id: str) -> bool:
    """Whether Stripe has told us that the customer's bank wants the payment of this invoice confirmed."""
    return InboundEvent.objects.filter(object_id=invoice_id, type="invoice.payment_action_required").exists()


def changed_sessions(events: Iterable[InboundEvent]) -> list[str]:
    """The Checkout sessions that these events are about, each once."""
    return list(dict.fromkeys(one.object_id for one in events if one.type.startswith("checkout.session.")))


@transaction.atomic
def mark_covered(events: Iterable[InboundEvent], *, asked_at: dt.datetime) -> None:
    """These events are handled; their jobs from before `asked_at`, failed ones too, have nothing left to do."""
    found = list(events)
    now = clock.now()
    InboundEvent.objects.filter(pk__in=[one.pk for one in found]).update(
        state=InboundEvent.State.HANDLED, handled_at=now
    )
    why = "A later fetch of this customer answered it."
    jobs.supersede_waiting(KIND, [one.stripe_event_id for one in found], before=asked_at, why=why)
