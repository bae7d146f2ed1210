"""One fetch answers every event that was waiting when Stripe was asked: what they report happened before.

Promise: an event that arrives while we ask keeps its job, because the answer may not know of it.
"""

import datetime as dt
from collections.abc import Iterable

from apps.billing.models import InboundEvent
from apps.core import clock, jobs

KIND = "handle_event"  # the job of each event; its key is Stripe's id of it


def find_waiting(customer_id: str) -> list[InboundEvent]:
    """The events of the customer that wait for a fetch."""
    waiting = InboundEvent.objects.filter(customer_id=customer_id, state=InboundEvent.State.RECEIVED)
    return list(waiting.only("stripe_event_id", "type", "object_id"))


def changed_sessions(events: Iterable[InboundEvent]) -> list[str]:
    """The Checkout sessions that these events are about, each once."""
    return list(dict.fromkeys(one.object_id for one in events if one.type.startswith("checkout.session.")))


def mark_covered(events: Iterable[InboundEvent], *, asked_at: dt.datetime) -> None:
    """These events are handled, and the jobs that wait for them from before `asked_at` have nothing left to do."""
    found = list(events)
    now = clock.now()
    InboundEvent.objects.filter(pk__in=[one.pk for one in found]).update(
        state=InboundEvent.State.HANDLED, handled_at=now
    )
    why = "The fetch for another event of this customer answered it."
    jobs.supersede_queued(KIND, [one.stripe_event_id for one in found], before=asked_at, why=why)
