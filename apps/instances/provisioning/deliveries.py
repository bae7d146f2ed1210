"""Writes the delivery log of webhooks, and tells a product again what should be now.

Promises: an order is in the log before it leaves; what is sent again is what should be at that moment, under a new id, by the
same job as any order.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from apps.core import audit, retention
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.instances.models import ProductAccount, WebhookDelivery
from apps.instances.provisioning.accounts import sync_soon

RETENTION_ROW = "webhook_deliveries"
WEBHOOK = "webhook"  # the kind that takes messages


def register() -> None:
    """Have the log pruned."""
    retention.register(RETENTION_ROW, lambda before: retention.delete_in_batches(old(before)), old)


def old(before: dt.datetime) -> QuerySet[WebhookDelivery]:
    """Sent before then."""
    return WebhookDelivery.objects.filter(sent_at__lt=before)


@transaction.atomic
def send_again(deliveries: Iterable[WebhookDelivery], *, actor: str, reason: str) -> int:
    """Queue an order for each of their accounts; returns how many. BadInput when none of them has one that takes messages."""
    wanted = {one.account_id for one in deliveries if one.account_id}
    found = ProductAccount.objects.filter(pk__in=wanted, instance__provisioning__kind=WEBHOOK)
    accounts = list(found.select_related("profile", "instance").order_by("pk"))
    if not accounts:
        raise BadInput(
            "There is nothing to send again: no account belongs to it, or its instance takes no webhooks now."
        )
    for account in accounts:
        sync_soon(account, reason=f"sent again by {actor}")
        audit.record(
            subject=account.profile.subject, action=AuditAction.PRODUCT_ORDER_SENT_AGAIN, actor=actor, reason=reason,
            after={"instance": account.instance.slug, "state": account.state, "quota": account.quota},
        )  # fmt: skip
    return len(accounts)


def describe(order: dict[str, Any]) -> str:
    """What a message said of an account, in a few words."""
    if not order:
        return ""
    if not order.get("exists"):
        return "deleted"
    return "open" if order.get("enabled") else "suspended"
