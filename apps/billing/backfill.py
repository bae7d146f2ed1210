"""Fetches events that Stripe could not deliver into the inbox, every 15 minutes.

docs.stripe.com/webhooks/process-undelivered-events. Changes without any event: see comparison.py.
"""

import json
from typing import Any

from django.conf import settings

from apps.billing import events
from apps.billing.intake import store
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.core import jobs

KIND = "backfill_events"
QUARTER_HOUR = 900
PAGE, PAGES = 100, 10  # a page takes Stripe up to a second; a job has a minute


def register() -> None:
    """Make the periodic job kind known."""
    jobs.register(KIND, fetch_undelivered, label="Fetch missed events", needs=("stripe",), every=QUARTER_HOUR)


def fetch_undelivered(key: str) -> None:
    """Put the events that Stripe could not deliver into the inbox; those that are there already change nothing.

    Ten pages at a time, each kept as it comes; a further job, with the last event's id as its `key`, goes on from there.
    """
    after = key if key.startswith("evt_") else ""
    for _ in range(PAGES):
        try:
            page = _undelivered(after)
        except MissingAtStripe:  # the event we stopped at has left Stripe's list of 30 days: start over
            if not after:
                raise
            page = _undelivered("")
        found = [one.to_dict() for one in page.data]
        for event in reversed(found):  # oldest first
            if event["livemode"] == settings.STRIPE_LIVE_MODE and events.needs_work(event["type"]):
                store(event, json.dumps(event, default=str), source="backfill")
        if not found or not page.has_more:
            return
        after = str(found[-1]["id"])
    jobs.defer(KIND, after, reason="the next slice")


def _undelivered(after: str) -> Any:
    with calling_stripe() as client:
        return client.v1.events.list(
            {"delivery_success": False, "limit": PAGE} | ({"starting_after": after} if after else {})  # type: ignore[arg-type]
        )
