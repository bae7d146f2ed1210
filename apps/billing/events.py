"""What each type of Stripe event makes us fetch. An event is only a trigger: its ids are used, never its data.

An account may serve other shops as well: what concerns no subscriber and no product of ours ends as "not ours".
"""

import datetime as dt
import json
from typing import Any

import djstripe.models
import stripe
from django.db.models import QuerySet

from apps.accounts import legal_holds
from apps.accounts.models import Signup, UserProfile
from apps.billing import api_version, customers, mirror, payers, prices, second_subscription
from apps.billing.covered_events import KIND as KIND
from apps.billing.models import InboundEvent
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.catalog.models import Product, ProductPrice
from apps.core import attention, clock, jobs, retention
from apps.core.errors import RetryLater
from apps.core.models import Job
from apps.core.states import SubscriptionStatus

# Their customer's present state is fetched and mirrored. docs.stripe.com/api/events/types
CUSTOMER_EVENTS = (
    "customer.subscription.",
    "customer.discount.",
    "customer.updated",
    "customer.deleted",
    "checkout.session.",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice.finalization_failed",
    "charge.refund",
    "credit_note.",
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


def importance_of(event: dict[str, Any]) -> Job.Importance:
    """What opens access is processed before renewals and other changes. The payload only decides this order."""
    kind, subject, before = event["type"], event["data"]["object"], event["data"].get("previous_attributes")
    paid = SubscriptionStatus(subject.get("status")).gives_access
    opens = (
        kind.startswith("checkout.session.")
        or (kind.startswith("invoice.") and subject.get("billing_reason") == "subscription_create")
        or kind in {"customer.subscription.created", "customer.subscription.resumed"}
        or (kind == "customer.subscription.updated" and paid and isinstance(before, dict) and "status" in before)
    )
    return Job.Importance.PERSON_WAITS if opens else Job.Importance.CHANGE


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, handle_event, label="Process Stripe event", needs=("stripe",))
    retention.register("events", prune, handled_events)
    retention.register("event_bodies", prune_bodies, handled_bodies)


def prune(before: dt.datetime) -> int:
    """Delete events that need nothing more."""
    return retention.delete_in_batches(handled_events(before))


def handled_events(before: dt.datetime) -> QuerySet[InboundEvent]:
    """Events that need nothing more since then, and are about nobody under a legal hold."""
    old = InboundEvent.objects.filter(handled_at__lt=before)
    return old.exclude(customer_id__in=legal_holds.held_customers())


def prune_bodies(before: dt.datetime) -> int:
    """Empty the bodies of events that need nothing more: personal data, and most of what the inbox weighs."""
    return retention.update_in_batches(handled_bodies(before), body="")


def handled_bodies(before: dt.datetime) -> QuerySet[InboundEvent]:
    """Those of them that still have a body."""
    return handled_events(before).exclude(body="")


@attention.resolving_together()
def handle_event(event_id: str) -> None:
    """Fetch what the event points to, then mark it handled, or not ours. Raises RetryLater for a customer about to be ours."""
    event = InboundEvent.objects.defer("body").get(stripe_event_id=event_id)
    if event.source == "webhook":
        api_version.note_agreement(event.api_version)
    if _already_covered(event):
        return
    if event.customer_id and mirror.mirror_customer(event.customer_id, event=event):
        return
    follow = _refresh_catalog if event.type.startswith(CATALOG_EVENTS) else _find_customer
    state = InboundEvent.State.HANDLED if follow(event) else InboundEvent.State.NOT_OURS
    InboundEvent.objects.filter(pk=event.pk).update(state=state, handled_at=clock.now())


def _already_covered(event: InboundEvent) -> bool:
    """Whether a fetch for another event has covered this one since its job was queued."""
    if event.handled_at is None:
        return False
    mine = Job.objects.filter(kind=KIND, key=event.stripe_event_id, state=Job.State.RUNNING)
    return mine.filter(created_at__lt=event.handled_at).exists()


def _refresh_catalog(event: InboundEvent) -> bool:
    """Fetch a price or product that we sell or that somebody here pays for; False for any other."""
    if not _is_in_our_catalog(event):
        return False
    if event.type.endswith(".deleted"):
        prices.withdraw(event.object_id)
    elif event.type.startswith("price."):
        prices.refresh_price(event.object_id)
    else:
        prices.refresh_product(event.object_id)
    return True


def _is_in_our_catalog(event: InboundEvent) -> bool:
    """Whether we sell or have mirrored this price or product, or it is a price of a product that we sell."""
    body = InboundEvent.objects.values_list("body", flat=True).get(pk=event.pk)
    named = json.loads(body)["data"]["object"] if body else {}  # staff may process an event again after years
    ids = [event.object_id, str(named.get("product"))]
    kind = djstripe.models.Product if event.type.startswith("product.") else djstripe.models.Price
    return (
        Product.objects.filter(stripe_product_id__in=ids).exists()
        or ProductPrice.objects.filter(stripe_price_id=event.object_id).exists()
        or kind.objects.filter(id=event.object_id).exists()
    )


def _find_customer(event: InboundEvent) -> bool:
    """An event that names none of our customers: fetch the one behind it later; False when nobody here has it."""
    if not event.customer_id:
        customer = customer_behind(event)
        if not UserProfile.objects.filter(stripe_customer_id=customer or None).exists():
            return False
        # This job runs in the event's own lane; the customer is written in the customer's.
        mirror.mirror_later(customer, reason=event.type)
        return True
    if _is_about_to_be_ours(event):
        raise RetryLater(f"No subscriber has the customer {event.customer_id} yet.")
    if event.type.startswith("customer.subscription."):
        second_subscription.note_stranger(event)
    return False


def _is_about_to_be_ours(event: InboundEvent) -> bool:
    """Whether we made this customer, or opened this session, and its id is not with the subscriber yet."""
    if Signup.objects.filter(checkout_session_id=event.object_id).exists():
        return True
    same = InboundEvent.objects.filter(customer_id=event.customer_id, state=InboundEvent.State.NOT_OURS)
    if same.exists():  # Stripe was asked for an earlier event
        return False
    owner = customers.find_owner(event.customer_id)
    return owner is not None and owner.stripe_customer_id is None


def customer_behind(event: InboundEvent) -> str:
    """The customer of a payment whose event named none: of a charge, or behind a dispute or refund; empty when there is none."""
    try:
        with calling_stripe() as client:
            return payers.find_customer(client, _fetch_charge(client, event))
    except MissingAtStripe:
        return ""


def _fetch_charge(client: stripe.StripeClient, event: InboundEvent) -> Any:
    """What the event is about that knows its payment: a charge, or a dispute or refund without one."""
    if event.type == "charge.refunded":
        return client.v1.charges.retrieve(event.object_id)
    expand: Any = {"expand": ["charge"]}
    if event.type.startswith("charge.dispute."):
        dispute = client.v1.disputes.retrieve(event.object_id, expand)
        return dispute["charge"] or dispute
    if event.type.startswith(("refund.", "charge.refund.")):
        refund = client.v1.refunds.retrieve(event.object_id, expand)
        return refund["charge"] or refund
    return None
