"""What no webhook told us: events Stripe could not deliver, and objects that changed without any event.

Every 15 minutes the undelivered events are fetched into the inbox; every hour each subscription Stripe lists is compared
with our typed row, and whoever differs is mirrored anew. docs.stripe.com/webhooks/process-undelivered-events
"""

import json
from typing import Any

from django.conf import settings

from apps.accounts.models import UserProfile
from apps.billing import events, mirror
from apps.billing.intake import store
from apps.billing.models import Subscription
from apps.billing.stripe_client import calling_stripe
from apps.core import jobs
from apps.core.errors import NeedsOperator

QUARTER_HOUR, HOUR = 900, 3600
MASS_FLOOR, MASS_SHARE = 20, 0.05
GIVES_ACCESS = frozenset({"active", "trialing"})


def register() -> None:
    """Make the periodic job kinds known."""
    jobs.register("backfill_events", fetch_undelivered, needs=("stripe",), every=QUARTER_HOUR)
    jobs.register("compare_subscriptions", compare_all, needs=("stripe",), every=HOUR)


def fetch_undelivered(_key: str) -> None:
    """Put every event that Stripe could not deliver into the inbox; those that are there already change nothing."""
    with calling_stripe() as client:
        listed = client.v1.events.list({"delivery_success": False, "limit": 100})
        found = [one.to_dict() for one in listed.auto_paging_iter()]
    for event in reversed(found):  # oldest first
        if event["livemode"] == settings.STRIPE_LIVE_MODE and events.needs_work(event["type"]):
            store(event, json.dumps(event, default=str), source="backfill")


def compare_all(_key: str) -> None:
    """Compare Stripe's list of subscriptions with ours, both ways, and mirror the customers that differ.

    Stops with NeedsOperator when it would take access from more than max(20, 5 %): then the list is to be doubted.
    """
    with calling_stripe() as client:
        listed = client.v1.subscriptions.list({"status": "all", "limit": 100})
        theirs = {one["id"]: _fingerprint(one) | {"customer": one["customer"]} for one in listed.auto_paging_iter()}
    ours = {row.stripe_id: row for row in Subscription.objects.prefetch_related("items")}
    _refuse_mass_loss(theirs, ours)
    known = set(UserProfile.objects.exclude(stripe_customer_id=None).values_list("stripe_customer_id", flat=True))
    differing = {one["customer"] for key, one in theirs.items() if key not in ours or not _same(one, ours[key])}
    differing |= {row.customer_id for key, row in ours.items() if key not in theirs and row.status != "canceled"}
    for customer in sorted(differing & known):
        mirror.mirror_later(customer, reason="differs from Stripe's list")


def _fingerprint(one: Any) -> dict[str, Any]:
    """What must be equal, of a Stripe subscription."""
    lines = one["items"]["data"]
    ends = [line["current_period_end"] for line in lines if line["current_period_end"]]
    return {
        "status": one["status"],
        "lines": sorted(
            (line["id"], line["price"]["id"], line["quantity"] if "quantity" in line else 1) for line in lines
        ),
        "end": min(ends, default=None),
        "leaves": bool(one["cancel_at"] or one["cancel_at_period_end"]) and one["status"] != "canceled",
    }


def _same(theirs: dict[str, Any], row: Subscription) -> bool:
    lines = sorted((item.stripe_item_id, item.stripe_price_id, item.quantity) for item in row.items.all())
    end = int(row.current_period_end.timestamp()) if row.current_period_end else None
    mine = {"status": row.status, "lines": lines, "end": end, "leaves": row.cancel_at is not None}
    return all(theirs[name] == value for name, value in mine.items())


def _refuse_mass_loss(theirs: dict[str, dict[str, Any]], ours: dict[str, Subscription]) -> None:
    active = [key for key, row in ours.items() if row.status in GIVES_ACCESS]
    losing = [key for key in active if theirs.get(key, {"status": ""})["status"] not in GIVES_ACCESS]
    if len(losing) > max(MASS_FLOOR, MASS_SHARE * len(active)):
        raise NeedsOperator(
            f"Stripe's list would take access from {len(losing)} of {len(active)} subscribers. Check it, then retry."
        )
