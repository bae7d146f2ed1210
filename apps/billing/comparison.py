"""Stripe's list of subscriptions, compared with our typed rows: finds what changed at Stripe without any event.

Reads only. The list is read in slices of `PAGES` pages, newest subscription first, so that cost and memory stay the same
however many subscribe. Who is mirrored because of it, and when, is decided in operations/stripe_comparison.py.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import batched
from typing import Any

import djstripe.models
from django.db.models import Q

from apps.billing.models import Subscription
from apps.billing.parsing import identify, parse_subscription
from apps.billing.stripe_client import MissingAtStripe, calling_stripe, read_page
from apps.catalog.models import ProductPrice
from apps.core.states import SubscriptionStatus, values_where

BATCH = 500
UNSEEN = values_where(SubscriptionStatus, lambda one: one.ended)  # the copies of deleted customers stay as they were
PAGE, PAGES = 100, 10  # a page takes Stripe up to a second; a job has a minute


@dataclass(frozen=True)
class Cursor:
    """How far the walk is: after which subscription, made when (Unix seconds)."""

    after: str = ""
    created: int = 0

    @classmethod
    def read(cls, key: str) -> "Cursor":
        """The cursor a job's key names; any other key is the beginning."""
        after, _, created = key.partition(":")
        return cls(after, int(created)) if created else cls()

    def key(self) -> str:
        """The key of the job that goes on from here."""
        return f"{self.after}:{self.created}"


@dataclass(frozen=True)
class Slice:
    """What one slice of the list says: customers that differ, those of them who would lose access, and where it goes on.

    `fewer`: by customer, how many people fewer they would pay for. `looked_at`: how many subscriptions it has, there and here.
    """

    differing: frozenset[str]
    losing: frozenset[str]
    fewer: Mapping[str, int]
    following: Cursor | None
    looked_at: int


@dataclass(frozen=True)
class Listing:
    """One slice of Stripe's list beside our rows of it: fingerprints and rows by subscription id; `last` is the last one listed."""

    theirs: dict[str, dict[str, Any]]
    ours: dict[str, Subscription]
    last: Any
    more: bool

    def find_differences(self) -> dict[str, str]:
        """The subscriptions that differ, each with its customer."""
        wrong = {
            key: one["customer"]
            for key, one in self.theirs.items()
            if key not in self.ours or not _same(one, self.ours[key])
        }
        gone = {key: row for key, row in self.ours.items() if key not in self.theirs and row.status != "canceled"}
        return wrong | {key: row.customer_id for key, row in gone.items()}


def compare_slice(cursor: Cursor, *, pause_may_close: bool) -> Slice:
    """Compare one slice of Stripe's list with our rows, by customer id. Raises the errors of `calling_stripe`.

    `pause_may_close`: a paused collection closes access for some, so one that we do not know of counts as a loss.
    """
    found = read_listing(cursor)
    losing = {
        row.customer_id
        for row in found.ours.values()
        if _loses_access(row, found.theirs.get(row.stripe_id), pause_may_close)
    }
    people = dict(ProductPrice.objects.filter(product__people__gt=0).values_list("stripe_price_id", "product__people"))
    fewer = Counter[str]()
    for row in found.ours.values():
        if listed := found.theirs.get(row.stripe_id):
            fewer[row.customer_id] += _count_fewer(row, listed, people)
    following = Cursor(found.last["id"], found.last["created"]) if found.more else None
    looked_at = len(found.theirs.keys() | found.ours.keys())
    differing = frozenset(found.find_differences().values())
    return Slice(differing, frozenset(losing), +fewer, following, looked_at)


def read_listing(cursor: Cursor) -> Listing:
    """One slice of Stripe's list, and our rows of it. Raises the errors of `calling_stripe`."""
    try:
        listed, more = _slice(cursor)
    except MissingAtStripe:  # the subscription we stopped at is gone: start over
        if not cursor.after:
            raise
        cursor = Cursor()
        listed, more = _slice(cursor)
    return Listing(_fingerprints(listed), _rows(cursor, listed, more), listed[-1] if listed else None, more)


def read_customer(customer_id: str) -> Listing:
    """All that Stripe lists of one customer, and our rows of it. Raises the errors of `calling_stripe`."""
    with calling_stripe() as client:
        found = client.v1.subscriptions.list({"customer": customer_id, "status": "all", "limit": PAGE})
        listed = list(found.auto_paging_iter())
    rows = Subscription.objects.filter(customer_id=customer_id).prefetch_related("items")
    return Listing(_fingerprints(listed), {row.stripe_id: row for row in rows}, None, more=False)


def _fingerprints(listed: list[Any]) -> dict[str, dict[str, Any]]:
    return {
        identify(one): _fingerprint(one) | {"customer": identify(one["customer"]), "made_at": _moment(one["created"])}
        for one in listed
    }


def _slice(cursor: Cursor) -> tuple[list[Any], bool]:
    """The next subscriptions of Stripe's list, and whether there are more after them."""
    listed: list[Any] = []
    after, more = cursor.after, True
    with calling_stripe() as client:
        for _ in range(PAGES):
            query = {"status": "all", "limit": PAGE} | ({"starting_after": after} if after else {})
            page = read_page(client, "subscriptions", query)
            listed += page.data
            more = page.has_more and bool(page.data)
            if not more:
                break
            after = identify(page.data[-1])
    return listed, more


def _rows(cursor: Cursor, listed: list[Any], more: bool) -> dict[str, Subscription]:
    """Our rows of the slice: those it names, and those of its span of time, which it ought to name."""
    span = Q()
    if cursor.after:
        span &= Q(stripe_created_at__lt=_moment(cursor.created))
    if more:
        span &= Q(stripe_created_at__gt=_moment(listed[-1]["created"]))
    rows = Subscription.objects.filter(span | Q(stripe_id__in=[one["id"] for one in listed])) if span else None
    found = (Subscription.objects.all() if rows is None else rows).prefetch_related("items__product")
    return {row.stripe_id: row for row in found}


def _moment(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _loses_access(row: Subscription, theirs: dict[str, Any] | None, pause_may_close: bool) -> bool:
    """Whether what Stripe lists gives less than what we have; a payment that is late may be within its grace."""
    if not SubscriptionStatus(row.status).may_give_access:
        return False
    if theirs and pause_may_close and theirs["pause"][0] and not row.pause:
        return True
    kept = {SubscriptionStatus.UNKNOWN.value, row.status}  # of an unknown status nothing follows: access stays as it is
    return theirs is None or not (SubscriptionStatus(theirs["status"]).gives_access or theirs["status"] in kept)


def _count_fewer(row: Subscription, theirs: dict[str, Any], people: Mapping[str, int]) -> int:
    """How many people fewer what Stripe lists is for than what we have; below 0 for more. `people`: of one, by its price."""
    if not SubscriptionStatus(row.status).may_charge:
        return 0
    ours = sum(one.product.people * one.quantity for one in row.items.all() if one.product)
    listed: int = sum(people.get(price, 0) * quantity for _, price, quantity in theirs["lines"])
    return int(ours) - listed


def _fingerprint(one: Any) -> dict[str, Any]:
    """What must be equal, of a Stripe subscription."""
    facts = parse_subscription(one)
    return {
        "status": facts.status.value,
        "lines": sorted((line.id, line.price.id, line.quantity) for line in facts.lines),
        "end": facts.current_period_end,
        "leaves": facts.leaves_at is not None,
        "trial": facts.trial_end,
        "pause": ("", None) if facts.status.ended else (facts.pause, facts.pause_ends_at),
    }


def _same(theirs: dict[str, Any], row: Subscription) -> bool:
    lines = sorted((item.stripe_item_id, item.stripe_price_id, item.quantity) for item in row.items.all())
    ended = SubscriptionStatus(row.status).ended
    mine = {
        "status": row.status,
        "lines": lines,
        "end": row.current_period_end,
        "leaves": row.cancel_at is not None,
        "trial": row.trial_end,
        "pause": ("", None) if ended else (row.pause, row.pause_ends_at),
    }
    return all(theirs[name] == value for name, value in mine.items())


def find_outdated_copies() -> set[str]:
    """The customers of running subscriptions whose copy for pages does not say what the facts say. Asks nobody."""
    running = Subscription.objects.exclude(status__in=UNSEEN).prefetch_related("items").order_by("pk")
    batches = batched(running.iterator(chunk_size=BATCH), BATCH, strict=False)
    return {row.customer_id for rows in batches for row in outdated_of(rows)}


def outdated_of(rows: Collection[Subscription]) -> list[Subscription]:
    """Those of these subscriptions, read with their items, whose copy for pages is missing or says something else."""
    copies = djstripe.models.Subscription.objects.filter(id__in=[row.stripe_id for row in rows])
    said = {copy_id: _fingerprint(data) for copy_id, data in copies.values_list("id", "stripe_data")}
    return [row for row in rows if row.stripe_id not in said or not _same(said[row.stripe_id], row)]
