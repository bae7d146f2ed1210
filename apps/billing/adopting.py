"""Customers whom Stripe has and nobody here: listed a page at a time, judged before anything is written, and taken over many at once.

Promises: a page of Stripe's list is read once and kept only as far as it decides; what is written at the taking over are the facts
of that list, and each customer is fetched whole soon afterwards (mirror.py), which also says what was paid.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from apps.accounts.models import UserProfile
from apps.billing import mirror
from apps.billing.fact_rows import SUMMARY, item_row, lock_prices, subscription_columns, summarize
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.billing.parsing import SubscriptionFacts, identify, listed, moment, parse_subscription, plain, text
from apps.billing.stripe_client import read_page_after
from apps.billing.subscriptions import SubscriptionLine, SubscriptionState
from apps.catalog.models import ProductPrice
from apps.core import clock, jobs
from apps.core.models import Job
from apps.core.states import SubscriptionStatus

PAGE = 100
# What parse_subscription reads; the rest of Stripe's answer is not kept.
KEPT = (
    "id", "customer", "status", "created", "currency", "trial_end", "cancel_at", "canceled_at", "ended_at", "cancel_at_period_end",
    "pause_collection", "cancellation_details", "items", "current_period_end",
)  # fmt: skip
LINE_KEPT = ("id", "quantity", "price", "plan", "current_period_start", "current_period_end")
Kept = dict[str, Any]


@dataclass(frozen=True)
class ListedSubscription:
    """One of Stripe's list, with its customer's name and address there, which Stripe does not verify."""

    customer_id: str
    email: str
    name: str
    kept: Kept


@dataclass(frozen=True)
class SubscriptionPage:
    """One page, and after which subscription the list goes on; empty: it has ended."""

    subscriptions: tuple[ListedSubscription, ...]
    following: str


def list_page(after: str = "") -> SubscriptionPage:
    """The page after that subscription, newest first. Raises the errors of calling_stripe."""
    page = read_page_after("subscriptions", after, {"status": "all", "limit": PAGE, "expand": ["data.customer"]})
    return SubscriptionPage(tuple(_listed(one) for one in page.data if identify(one)), page.following)


def _listed(found: Any) -> ListedSubscription:
    one = plain(found)
    customer = plain(one.get("customer"))
    kept = {name: one[name] for name in KEPT if one.get(name) is not None} | {"customer": identify(one.get("customer"))}
    items = [
        {name: line[name] for name in LINE_KEPT if line.get(name)}
        for line in map(plain, plain(one.get("items")).get("data") or [])
    ]
    storable = json.loads(json.dumps(kept | {"items": {"data": items}}, default=str))  # amounts may be decimals
    return ListedSubscription(str(kept["customer"]), text(customer.get("email")), text(customer.get("name")), storable)


def map_prices() -> dict[str, int]:
    """The product of each price that is or was offered, by Stripe's id of the price."""
    return dict(ProductPrice.objects.values_list("stripe_price_id", "product_id"))


def read_states(kept: Iterable[Kept], products: Mapping[str, int]) -> tuple[SubscriptionState, ...]:
    """What the policy would read of these subscriptions, if they were ours; `products`: see map_prices. No query."""
    now = clock.now()
    return tuple(_state(parse_subscription(one), products, now, _late_since(one, now)) for one in kept)


def pays_for_ours(states: Iterable[SubscriptionState]) -> bool:
    """Whether one of them still runs and has a line of a product of ours."""
    return any(
        SubscriptionStatus(one.status).may_charge and any(line.product_id for line in one.lines) for one in states
    )


def _late_since(kept: Kept, now: dt.datetime) -> dt.datetime | None:
    """Since when its payment is late, as far as the list says: its period began with the invoice that was not paid."""
    if kept.get("status") != SubscriptionStatus.PAST_DUE:
        return None
    begins = [moment(line.get("current_period_start")) for line in listed(kept.get("items"))]
    return min((one for one in begins if one), default=now)


def _state(
    one: SubscriptionFacts, products: Mapping[str, int], now: dt.datetime, late: dt.datetime | None
) -> SubscriptionState:
    columns = subscription_columns(one, None, now)
    lines = tuple(
        SubscriptionLine(
            products.get(line.price.id), line.price.id, line.quantity, line.price.unit_amount, line.price.currency,
            line.price.interval,
        )
        for line in one.lines
    )  # fmt: skip
    return SubscriptionState(
        id=one.id,
        status=one.status.value,
        current_period_end=one.current_period_end,
        trial_end=one.trial_end,
        after_trial=one.after_trial,
        cancel_at=columns["cancel_at"],
        ended_at=columns["ended_at"],
        past_due_since=late,
        paid_for_period=None,
        left_of_period=None,
        money_returned="",
        open_invoice_id="",
        open_invoice_url="",
        next_attempt_at=None,
        attempts_made=0,
        payment_due_at=None,
        is_payment_pending=False,
        disputes=[],
        pause=one.pause,
        pause_ends_at=one.pause_ends_at,
        lines=lines,
    )


@transaction.atomic
def take_over(people: Mapping[str, UserProfile], kept: Mapping[str, Collection[Kept]]) -> None:
    """Write the facts of these customers, by `cus_…`, who are the people's from now on. Nobody is told; see `fetch_later`."""
    now = clock.now()
    facts = {customer: [parse_subscription(one) for one in kept.get(customer, ())] for customer in people}
    known = lock_prices({line.price.id for found in facts.values() for one in found for line in one.lines})
    rows = [
        Subscription(
            stripe_id=parsed.id, customer_id=customer, past_due_since=_late_since(one, now),
            **subscription_columns(parsed, None, now),
        )
        for customer, found in facts.items()
        for parsed, one in zip(found, kept.get(customer, ()), strict=True)
    ]  # fmt: skip
    written = Subscription.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["stripe_id"], update_fields=["customer_id", "status", "fetched_at"]
    )
    by_id = {row.stripe_id: row for row in written}
    UserSubscriptionItem.objects.bulk_create(
        (
            item_row(people[customer], by_id[one.id], line, known)
            for customer, found in facts.items()
            for one in found
            for line in one.lines
        ),
        ignore_conflicts=True,
    )
    of_customer = defaultdict[str, list[Subscription]](list)
    for row in written:
        of_customer[row.customer_id].append(row)
    for customer, profile in people.items():
        summarize(profile, of_customer[customer], now)
    UserProfile.objects.bulk_update(people.values(), SUMMARY)


def fetch_later(customer_ids: Collection[str], *, reason: str) -> None:
    """Queue a fetch of each, when nothing else is due."""
    lanes = {one: f"customer:{one}" for one in customer_ids}
    if lanes:
        jobs.defer_many(mirror.KIND, lanes, reason=reason, importance=Job.Importance.SWEEP)


def let_go(customer_ids: Collection[str]) -> None:
    """Forget the facts of customers who are nobody's here any more; Stripe keeps them."""
    Subscription.objects.filter(customer_id__in=customer_ids).delete()
