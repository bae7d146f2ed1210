"""What changed at Stripe without any event: every hour its list of subscriptions is compared with our typed rows.

Whoever differs, either way, is mirrored anew. The list is walked in slices of `PAGES` pages, newest subscription first, each
slice a job of its own that names the next: cost and memory of a job stay the same however many subscribe, and a killed
slice is done again by itself. A list that would take access from many is doubted, not believed: who would lose is mirrored
last, when the whole list was seen, and only if they are few or staff have confirmed it (accounts/mass.py).
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from apps.accounts import mass
from apps.accounts.models import UserProfile
from apps.billing import mirror
from apps.billing.models import Subscription
from apps.billing.stripe_client import calling_stripe
from apps.core import jobs
from apps.core.models import Job

KIND = "compare_subscriptions"
HOUR = 3600
PAGE, PAGES = 100, 10  # a page takes Stripe up to a second; a job has a minute
GIVES_ACCESS = frozenset({"active", "trialing"})
MAY_GIVE_ACCESS = GIVES_ACCESS | {"past_due"}


@dataclass(frozen=True)
class Place:
    """How far the walk is: after which subscription, made when (Unix seconds)."""

    after: str = ""
    created: int = 0

    @classmethod
    def read(cls, key: str) -> "Place":
        """The place a job's key names; any other key is the beginning."""
        after, _, created = key.partition(":")
        return cls(after, int(created)) if created else cls()

    def key(self) -> str:
        """The key of the job that goes on from here."""
        return f"{self.after}:{self.created}"


def register() -> None:
    """Make the periodic job kind known."""
    jobs.register(KIND, compare, needs=("stripe",), every=HOUR)


def compare(key: str) -> None:
    """Compare one slice of Stripe's list with ours, mirror the customers that differ, and ask for the next slice.

    Raises NeedsOperator when the walk would take access from more than max(20, 5 %): then the list is to be doubted.
    """
    place = Place.read(key)
    if not place.after:
        if _under_way():
            return
        mass.begin(KIND)
    listed, more = _slice(place)
    theirs = {one["id"]: _fingerprint(one) | {"customer": one["customer"]} for one in listed}
    ours = _rows(place, listed, more)
    differing = {one["customer"] for key, one in theirs.items() if key not in ours or not _same(one, ours[key])}
    differing |= {row.customer_id for key, row in ours.items() if key not in theirs and row.status != "canceled"}
    losing = {row.customer_id for row in ours.values() if _loses_access(row, theirs.get(row.stripe_id))}
    _mirror(UserProfile.objects.filter(stripe_customer_id__in=differing - losing))
    who = UserProfile.objects.filter(stripe_customer_id__in=losing, access_state__in=mass.HAS_ACCESS)
    mass.gather(KIND, who.values_list("pk", flat=True))
    _mirror(UserProfile.objects.filter(stripe_customer_id__in=losing).exclude(access_state__in=mass.HAS_ACCESS))
    if more:
        jobs.defer(KIND, Place(listed[-1]["id"], listed[-1]["created"]).key(), reason="the next slice")
    else:
        _mirror(UserProfile.objects.filter(pk__in=mass.judge(KIND, job_key=key)))


def _mirror(people: QuerySet[UserProfile]) -> None:
    for customer in people.order_by("pk").values_list("stripe_customer_id", flat=True):
        mirror.mirror_later(str(customer), reason="differs from Stripe's list")


def _under_way() -> bool:
    return Job.objects.filter(kind=KIND, state__in=[Job.State.QUEUED, Job.State.RUNNING], key__contains=":").exists()


def _slice(place: Place) -> tuple[list[Any], bool]:
    """The next subscriptions of Stripe's list, and whether there are more behind them."""
    listed: list[Any] = []
    after, more = place.after, True
    with calling_stripe() as client:
        for _ in range(PAGES):
            page = client.v1.subscriptions.list(
                {"status": "all", "limit": PAGE} | ({"starting_after": after} if after else {})  # type: ignore[arg-type]
            )
            listed += page.data
            more = page.has_more and bool(page.data)
            if not more:
                break
            after = page.data[-1].id
    return listed, more


def _rows(place: Place, listed: list[Any], more: bool) -> dict[str, Subscription]:
    """Our rows of the slice: those it names, and those of its span of time, which it ought to name."""
    span = Q()
    if place.after:
        span &= Q(stripe_created_at__lt=_moment(place.created))
    if more:
        span &= Q(stripe_created_at__gt=_moment(listed[-1]["created"]))
    rows = Subscription.objects.filter(span | Q(stripe_id__in=[one["id"] for one in listed])) if span else None
    found = (Subscription.objects.all() if rows is None else rows).prefetch_related("items")
    return {row.stripe_id: row for row in found}


def _moment(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _loses_access(row: Subscription, theirs: dict[str, Any] | None) -> bool:
    """Whether what Stripe lists gives less than what we have; a payment that is late may be within its grace."""
    if row.status not in MAY_GIVE_ACCESS:
        return False
    return theirs is None or theirs["status"] not in {*GIVES_ACCESS, row.status}


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
