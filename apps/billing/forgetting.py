"""Forget a customer: at Stripe when nothing was ever paid, and in our copies. What was invoiced stays at Stripe, as law wants."""

import contextlib
from typing import Any

from django.db.models import Q, QuerySet

from apps.billing.checkout import has_running_subscription
from apps.billing.mirror_rows import MODELS
from apps.billing.models import InboundEvent, Subscription
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.core import audit, jobs
from apps.core.audit_actions import AuditAction

FORGET = "forget_customer"
OF_NOBODY = ("dispute", "price", "product", "refund")  # what they are about is in the charges, or concerns nobody
NEVER_OWED = ("draft", "void")  # what becomes of the invoice of a first payment that was given up


def register() -> None:
    """Make the job kind known."""
    jobs.register(FORGET, forget_customer, label="Forget a customer", needs=("stripe",))


def forget_customer(customer_id: str) -> None:
    """The job: delete the customer at Stripe if nothing was ever invoiced; our copies go in any case."""
    deleted = delete_unpaid_customer(customer_id)
    if not deleted:
        forget_copies(customer_id)
    after = {"deleted": deleted, "invoices": "none" if deleted else "kept"}
    audit.record(subject=("customer", customer_id), action=AuditAction.ERASED_AT_STRIPE, after=after)


def list_copies(customer_id: str) -> list[QuerySet[Any]]:
    """dj-stripe's rows of this customer, by kind; the customer's own comes last, since others lose their owner with it."""
    method, rest = MODELS["payment_method"], MODELS.keys() - {"payment_method", "customer", *OF_NOBODY}
    unowned = Q(customer=None, stripe_data__customer=customer_id)  # copied before the customer was
    return [
        method.objects.filter(Q(customer__id=customer_id) | unowned),
        *(MODELS[kind].objects.filter(customer__id=customer_id) for kind in sorted(rest)),
        MODELS["customer"].objects.filter(id=customer_id),
    ]


def delete_unpaid_customer(customer_id: str) -> bool:
    """Delete the customer at Stripe, and our copies; False, and all is kept, when there is an invoice or a subscription.

    Nobody may be able to pay as this customer any more: their profile is gone, or names another.
    """
    if is_billed(customer_id):
        return False
    with contextlib.suppress(MissingAtStripe), calling_stripe() as client:
        client.v1.customers.delete(customer_id)
    forget_copies(customer_id)
    Subscription.objects.filter(customer_id=customer_id).delete()
    return True


def is_billed(customer_id: str) -> bool:
    """Whether Stripe has an invoice that counts, or a subscription, of this customer."""
    try:
        with calling_stripe() as client:
            customer = client.v1.customers.retrieve(customer_id)
        is_there = not getattr(customer, "deleted", False)
        return is_there and (has_running_subscription(customer_id) or has_invoices(customer_id))
    except MissingAtStripe:
        return False


def has_invoices(customer_id: str) -> bool:
    """Whether this customer was ever asked for money in an invoice that still counts."""
    with calling_stripe() as client:
        found = client.v1.invoices.list({"customer": customer_id, "limit": 100})
        return any(one.status not in NEVER_OWED for one in found.auto_paging_iter())


def forget_copies(customer_id: str) -> None:
    """Remove dj-stripe's copies of all that belongs to the customer, and the bodies of its events."""
    for rows in list_copies(customer_id):
        rows.delete()
    InboundEvent.objects.filter(customer_id=customer_id).exclude(state=InboundEvent.State.RECEIVED).update(body="")
