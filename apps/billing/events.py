"""What each type of Stripe event makes us fetch. An event is only a trigger: its ids are used, never its data."""

from typing import Any

from apps.billing import mirror, prices
from apps.billing.models import InboundEvent
from apps.core import clock, jobs
from apps.core.errors import NeedsOperator, RetryLater
from apps.core.models import Job

KIND = "handle_event"
# Their customer's present state is fetched and mirrored. docs.stripe.com/api/events/types
CUSTOMER_EVENTS = (
    "customer.subscription.",
    "customer.updated",
    "customer.deleted",
    "checkout.session.",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice.finalization_failed",
    "charge.refunded",
    "charge.dispute.",
    "refund.",
)
CATALOG_EVENTS = ("product.", "price.")


def needs_work(event_type: str) -> bool:
    """Whether the event needs processing; the others are only kept in the inbox."""
    return event_type.startswith(CUSTOMER_EVENTS + CATALOG_EVENTS)


def customer_of(subject: dict[str, Any]) -> str:
    """The customer id of an event's object; empty when it names none."""
    found = subject.get("id" if subject.get("object") == "customer" else "customer")
    if isinstance(found, dict):
        found = found.get("id")
    return found if isinstance(found, str) and found.isascii() and found.isprintable() and len(found) <= 255 else ""


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, handle_event, label="Process Stripe event", needs=("stripe",))


def handle_event(event_id: str) -> None:
    """Fetch what the event points to, then mark it handled. Raises RetryLater for a customer we do not know yet."""
    event = InboundEvent.objects.defer("body").get(stripe_event_id=event_id)
    if _already_covered(event):
        return
    if event.type.startswith(CATALOG_EVENTS):
        _refresh_catalog(event)
    elif event.customer_id:
        if not mirror.mirror_customer(event.customer_id, session_id=_session_id(event)):
            raise RetryLater(f"No subscriber has the customer {event.customer_id} yet.")
    else:
        customer = mirror.customer_behind(event.object_id)
        if not customer:
            raise NeedsOperator(f"{event.type} {event.stripe_event_id} names no customer.")
        # This job runs in the event's own lane; the customer is written in the customer's.
        mirror.mirror_later(customer, reason=event.type)
    InboundEvent.objects.filter(pk=event.pk).update(state=InboundEvent.State.HANDLED, handled_at=clock.now())


def _already_covered(event: InboundEvent) -> bool:
    """Whether a fetch for another event has covered this one since its job was queued."""
    if event.handled_at is None:
        return False
    mine = Job.objects.filter(kind=KIND, key=event.stripe_event_id, state=Job.State.RUNNING)
    return mine.filter(created_at__lt=event.handled_at).exists()


def _refresh_catalog(event: InboundEvent) -> None:
    if event.type.endswith(".deleted"):
        prices.withdraw(event.object_id)
    else:
        prices.refresh(event.object_id)


def _session_id(event: InboundEvent) -> str:
    return event.object_id if event.type.startswith("checkout.session.") else ""
