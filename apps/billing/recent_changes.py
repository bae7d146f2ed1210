"""Stripe's events of the last hours, delivered or not: whose subscription changed after we last fetched it.

Reads only, and only what changed: however many subscribe, an hour without changes is one call. A date that we know (a trial,
pause, period or subscription ends) needs no event. What else changed without any, or before that, is found by the nightly
comparison of everything (comparison.py).
"""

import datetime as dt
from dataclasses import dataclass

from django.db.models import F, Max, Q

from apps.billing.models import Subscription
from apps.billing.parsing import identify, plain
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.core import clock
from apps.core.states import SubscriptionStatus, values_where

REACH = dt.timedelta(hours=3)  # two runs may be missed
PROMPT = dt.timedelta(minutes=10)  # how soon Stripe does what is due
FOLLOWED = dt.timedelta(hours=1)  # and collects for it
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
        latest, following = _read(after)
    except MissingAtStripe:  # the event we stopped at has left the list: start over
        if not after:
            raise
        latest, following = _read("")
    rows = Subscription.objects.filter(customer_id__in=latest).order_by().values_list("customer_id")
    fetched = dict(rows.annotate(at=Max("fetched_at")))
    changed = {who for who, made in latest.items() if who not in fetched or fetched[who].timestamp() < made}
    return Changes(frozenset(changed), following, len(latest))


def find_changed_since(moment: dt.datetime) -> frozenset[str] | None:
    """The customers whose subscriptions changed since then; None when these are too many for `PAGES` pages."""
    latest, following = _read("", moment)
    return None if following else frozenset(latest)


def _read(after: str, since: dt.datetime | None = None) -> tuple[dict[str, int], str]:
    """When each customer of these pages changed last, and where the list goes on."""
    latest: dict[str, int] = {}
    begin = int((since or clock.now() - REACH).timestamp())
    with calling_stripe() as client:
        for _ in range(PAGES):
            asked = {"types": list(TYPES), "created": {"gte": begin}, "limit": PAGE}
            page = client.v1.events.list(asked | ({"starting_after": after} if after else {}))  # type: ignore[arg-type]
            for event in page.data:
                who = identify(plain(plain(event)["data"]["object"]).get("customer"))
                latest[who] = max(latest.get(who, 0), event.created)
            if not page.data or not page.has_more:
                return latest, ""
            after = page.data[-1].id
    return latest, after
