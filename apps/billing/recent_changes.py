"""Stripe's events of the last hours, delivered or not: whose subscription changed after we last fetched it.

Reads only, and only what changed: however many subscribe, an hour without changes is one call. A date that we know (a trial,
pause, period or subscription ends) needs no event. What else changed without any, or before that, is found by the nightly
comparison of everything (comparison.py).
"""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import F, Max, Q

from apps.billing.models import InboundEvent, Subscription
from apps.billing.parsing import identify, plain
from apps.billing.stripe_client import MissingAtStripe, calling_stripe, read_page
from apps.core import clock
from apps.core.states import SubscriptionStatus, values_where

REACH = dt.timedelta(hours=3)  # two runs may be missed
PROMPT = dt.timedelta(minutes=10)  # how soon Stripe does what is due
FOLLOWED = dt.timedelta(hours=1)  # and collects for it
MARGIN = 60  # seconds: a fetch takes a while, Stripe's moments are whole seconds, and its clock is not ours
ENDED = values_where(SubscriptionStatus, lambda one: one.ended)
PAGE, PAGES = 100, 10  # a page takes Stripe up to a second; a job has a minute
TYPES = tuple(
    f"customer.subscription.{what}"
    for what in (
        "created",
        "updated",
        "deleted",
        "paused",
        "resumed",
        "pending_update_applied",
        "pending_update_expired",
    )
)


class ChangeEvent(NamedTuple):
    """An event of Stripe's list: whose subscription changed, and when (Unix seconds)."""

    event: str
    customer: str
    made: int


@dataclass(frozen=True)
class Changes:
    """The customers that changed after we fetched them, and the event after which the list goes on; empty: it has ended.

    `looked_at`: how many customers the list names.
    """

    customers: frozenset[str]
    following: str
    looked_at: int


def find_due() -> frozenset[str]:
    """The customers of whom a date has come that we know, and whom nobody fetched since. Asks nobody."""
    now = clock.now()
    dates = {"trial_end": Q(status="trialing"), "pause_ends_at": Q(), "cancel_at": Q(), "current_period_end": Q()}
    due = Q()
    for name, only in dates.items():
        due |= only & Q(**{f"{name}__lte": now - PROMPT, f"{name}__gt": F("fetched_at") - FOLLOWED})
    running = Subscription.objects.exclude(status__in=ENDED)
    return frozenset(running.filter(due).values_list("customer_id", flat=True))


def find_changes(after: str = "") -> Changes:
    """Up to PAGES pages of the list, from the event `after` on. Raises the errors of `calling_stripe`."""
    try:
        listed, following = _read(after)
    except MissingAtStripe:  # the event we stopped at has left the list: start over
        if not after:
            raise
        listed, following = _read("")
    customers = {one.customer for one in listed}
    return Changes(frozenset(_find_missed(listed, customers)), following, len(customers))


def find_changed_since(moment: dt.datetime) -> frozenset[str] | None:
    """The customers whose subscriptions changed since then; None when these are too many for `PAGES` pages."""
    listed, following = _read("", moment)
    return None if following else frozenset(one.customer for one in listed)


def _find_missed(listed: list[ChangeEvent], customers: set[str]) -> set[str]:
    """Those of these customers whose change no fetch of ours can know of.

    Of one made about when we fetched, no clock can tell: it is known if its event was here and is handled.
    """
    rows = Subscription.objects.filter(customer_id__in=customers).order_by().values_list("customer_id")
    fetched = {who: at.timestamp() for who, at in rows.annotate(at=Max("fetched_at"))}
    later: set[str] = set()
    close: dict[str, str] = {}
    for one in listed:
        at = fetched.get(one.customer, 0.0)
        if at < one.made:
            later.add(one.customer)
        elif at < one.made + MARGIN:
            close[one.event] = one.customer
    handled = InboundEvent.objects.filter(stripe_event_id__in=close, state=InboundEvent.State.HANDLED)
    known = set(handled.values_list("stripe_event_id", flat=True)) if close else set[str]()
    return later | {who for event, who in close.items() if event not in known}


def _read(after: str, since: dt.datetime | None = None) -> tuple[list[ChangeEvent], str]:
    """The events of these pages, and where the list goes on."""
    listed: list[ChangeEvent] = []
    begin = int((since or clock.now() - REACH).timestamp())
    with calling_stripe() as client:
        for _ in range(PAGES):
            asked = {"types": list(TYPES), "created": {"gte": begin}, "limit": PAGE}
            page = read_page(client, "events", asked | ({"starting_after": after} if after else {}))
            for event in page.data:
                who = identify(plain(event["data"]["object"]).get("customer"))
                listed.append(ChangeEvent(identify(event), who, event["created"]))
            if not page.data or not page.has_more:
                return listed, ""
            after = identify(page.data[-1])
    return listed, after
