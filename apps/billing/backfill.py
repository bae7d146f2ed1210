"""Fetches events that Stripe could not deliver into the inbox, every 15 minutes.

docs.stripe.com/webhooks/process-undelivered-events. Changes without any event: see comparison.py.
"""

import json
from typing import Any

from django.conf import settings

from apps.billing import events
from apps.billing.intake import store
from apps.billing.stripe_client import ListPage, MissingAtStripe, calling_stripe, read_page
from apps.core import comparison_runs, jobs
from apps.core.comparison_runs import Tally
from apps.core.models import Job

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
    run = comparison_runs.resume(KIND) if after or _goes_on() else comparison_runs.begin(KIND)
    for _ in range(PAGES):
        try:
            page = _undelivered(after)
        except MissingAtStripe:  # the event we stopped at has left Stripe's list of 30 days: start over
            if not after:
                raise
            page = _undelivered("")
        found = page.data
        is_last = not found or not page.has_more
        comparison_runs.add(run, store_missing(found), ended=is_last and not _goes_on())
        if is_last:
            return
        after = str(found[-1]["id"])
    jobs.defer(KIND, after, reason="the next slice")


def store_missing(found: list[dict[str, Any]]) -> Tally:
    """Put those of a page of Stripe's list that we need and never received into the inbox."""
    missing = []
    for event in reversed(found):  # oldest first
        needed = event["livemode"] == settings.STRIPE_LIVE_MODE and events.needs_work(event["type"])
        if needed and store(event, json.dumps(event, default=str), source="backfill"):
            missing.append(str(event["id"]))
    items = tuple(("event", one, "stripe") for one in missing)
    return Tally(looked_at=len(found), found=len(missing), fixed=len(missing), items=items)


def _goes_on() -> bool:
    """Whether a further job of an earlier run is waiting: what this one finds is counted there."""
    waiting = Job.objects.filter(kind=KIND, state=Job.State.QUEUED, key__startswith="evt_")
    return waiting.exists()


def _undelivered(after: str) -> ListPage:
    with calling_stripe() as client:
        query = {"delivery_success": False, "limit": PAGE} | ({"starting_after": after} if after else {})
        return read_page(client, "events", query)
