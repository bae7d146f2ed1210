"""Stripe's events of a span of time, when staff ask: first a preview of what we never received or have not handled, then the fetching.

Promises: the preview reads and changes nothing; what is fetched twice is stored once; each fetching is a row that says who asked
and what it found (core/comparison_runs.py). Stripe lists the events of the last 30 days.
"""

import datetime as dt
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.billing import events
from apps.billing.intake import store
from apps.billing.models import InboundEvent
from apps.billing.parsing import identify
from apps.billing.stripe_client import MissingAtStripe, calling_stripe, read_page
from apps.core import audit, clock, comparison_runs, jobs
from apps.core.audit_actions import AuditAction
from apps.core.comparison_runs import Tally
from apps.core.errors import BadInput
from apps.core.models import ComparisonRun, Job

KIND = "fetch_event_span"
LISTED = dt.timedelta(days=30)
PAGE, PAGES, PREVIEWED = 100, 10, 5  # a page takes Stripe up to a second; a job has a minute, a person less patience


@dataclass(frozen=True)
class ListedEvent:
    """An event as Stripe lists it; `is_missing`: we never received it, else it is not handled."""

    id: str
    type: str
    at: dt.datetime
    customer: str
    is_missing: bool


@dataclass(frozen=True)
class SpanPreview:
    """What Stripe lists in a span, and what of it needs us. `more`: there is more of it than a preview reads."""

    looked_at: int
    open: tuple[ListedEvent, ...]
    more: bool

    @property
    def missing(self) -> int:
        return sum(one.is_missing for one in self.open)

    @property
    def unhandled(self) -> int:
        return len(self.open) - self.missing


def register() -> None:
    """The job that fetches a span."""
    jobs.register(KIND, fetch_span, label="Fetch the events of a time span", needs=("stripe",))


def check_span(since: dt.datetime, until: dt.datetime) -> None:
    """BadInput where Stripe would list nothing."""
    now = clock.now()
    if since >= until:
        raise BadInput("The span ends before it begins.", field="until")
    if since > now:
        raise BadInput("The span has not begun yet.", field="since")
    if since < now - LISTED:
        raise BadInput(f"Stripe lists the events of the last {LISTED.days} days only.", field="since")


def preview_span(since: dt.datetime, until: dt.datetime) -> SpanPreview:
    """What Stripe lists, and what of it was never received or is not handled. Raises the errors of `calling_stripe`."""
    looked_at, found, more = 0, list[ListedEvent](), False
    pages = _list_pages(since, until, "")
    for _ in range(PREVIEWED):
        page, more = next(pages)
        looked_at += len(page)
        found += _find_open(page)
        if not more:
            break
    return SpanPreview(looked_at, tuple(found), more)


def _list_pages(since: dt.datetime, until: dt.datetime, after: str) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    """Page after page of Stripe's list, the newest events first, each with whether there are more."""
    while True:
        created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
        asked: Any = {"created": created, "limit": PAGE} | ({"starting_after": after} if after else {})
        with calling_stripe() as client:
            found, has_more = read_page(client, "events", asked)
        yield found, bool(found) and has_more
        after = str(found[-1]["id"]) if found else after


def _find_open(page: list[dict[str, Any]]) -> list[ListedEvent]:
    """Those of a page that we need and never received, or have not handled."""
    needed = [one for one in page if one["livemode"] == settings.STRIPE_LIVE_MODE and events.needs_work(one["type"])]
    inbox = InboundEvent.objects.filter(stripe_event_id__in=[one["id"] for one in needed])
    states = dict(inbox.values_list("stripe_event_id", "state"))
    return [
        ListedEvent(
            id=str(one["id"]),
            type=str(one["type"]),
            at=dt.datetime.fromtimestamp(one["created"], dt.UTC),
            customer=identify(one["data"]["object"].get("customer")),
            is_missing=one["id"] not in states,
        )
        for one in needed
        if states.get(one["id"], InboundEvent.State.RECEIVED) == InboundEvent.State.RECEIVED
    ]


def start_span(*, since: dt.datetime, until: dt.datetime, actor: str, reason: str) -> ComparisonRun:
    """Have the span fetched by a job; BadInput while another is. Part of the caller's transaction."""
    check_span(since, until)
    if comparison_runs.is_moving(KIND):
        raise BadInput("Another span is being fetched. Wait until that has ended.")
    try:
        with transaction.atomic():
            comparison_runs.stop(KIND)
            run = comparison_runs.open_run(KIND, actor=actor, reason=reason, since=since, until=until)
    except IntegrityError as error:
        raise BadInput("Somebody else has just asked for a span. Wait until that has ended.") from error
    span = {"since": since.isoformat(), "until": until.isoformat()}
    audit.record(
        subject=("comparison", run.pk), action=AuditAction.COMPARISON_REQUESTED, actor=actor, reason=reason, after=span
    )
    jobs.defer(KIND, f"{run.pk}:", reason=f"requested by {actor}")
    return run


def fetch_span(key: str) -> None:
    """The job: ten pages of the span, each kept as it comes; a further job goes on after the last event."""
    number, _, after = key.partition(":")
    run = ComparisonRun.objects.filter(pk=number, state=ComparisonRun.State.RUNNING).first()
    if run is None or run.since is None or run.until is None:
        return
    pages = _list_pages(run.since, run.until, after)
    for _ in range(PAGES):
        try:
            page, more = next(pages)
        except MissingAtStripe:  # the event we stopped at has left Stripe's list of 30 days: so has what follows
            if not after:
                raise
            page, more = [], False
        comparison_runs.add(run.pk, _fetch_open(page), ended=not more)
        if not more:
            return
        after = str(page[-1]["id"])
    jobs.defer(KIND, f"{run.pk}:{after}", reason="the next slice")


def _fetch_open(page: list[dict[str, Any]]) -> Tally:
    """Store what is missing, oldest first, and queue again what nothing handles; what waits for its job is left to it."""
    bodies = {str(one["id"]): one for one in page}
    found = [
        one.id
        for one in reversed(_find_open(page))
        if one.is_missing and store(bodies[one.id], json.dumps(bodies[one.id], default=str), source="backfill")
    ]
    found += _process_again([one.id for one in _find_open(page) if not one.is_missing])
    items = tuple(("event", one, "stripe") for one in dict.fromkeys(found))
    return Tally(looked_at=len(page), found=len(items), fixed=len(items), items=items)


def _process_again(ids: Collection[str]) -> list[str]:
    """Those of the unhandled events that have no job, or only one that gave up: each gets one."""
    live = Job.objects.filter(kind=events.KIND, key__in=ids, state__in=Job.UNFINISHED)
    working = set(live.values_list("key", flat=True))
    waiting = InboundEvent.objects.filter(stripe_event_id__in=[one for one in ids if one not in working])
    again = []
    for one, customer in waiting.order_by("pk").values_list("stripe_event_id", "customer_id"):
        jobs.defer(events.KIND, one, reason="in a span that staff asked for", lane=f"customer:{customer or one}"[:400])
        again.append(one)
    return again
