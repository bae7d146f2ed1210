"""Stripe's products and prices: mirrored, mapped to our products, and who pays for what.

A price that is not mapped to a product (`unmapped_prices`) blocks its customers' jobs: nobody loses access over a gap in
our table. `map_price` closes the gap for the lines we have, and `retry_blocked_jobs` runs what was blocked.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import djstripe.models
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.billing.models import Subscription, UserSubscriptionItem
from apps.billing.stripe_client import calling_stripe
from apps.billing.subscriptions import SubscriptionLine, SubscriptionState
from apps.catalog.models import Product, ProductPrice
from apps.core import jobs
from apps.core.models import Job
from apps.core.states import SubscriptionStatus, values_where

UNMAPPED = "No product has the Stripe price "  # how mirror.py begins to tell staff; the ids follow
ENDED = values_where(SubscriptionStatus, lambda one: one.ended)
# The columns of subscriptions.SubscriptionLine and SubscriptionState, in their order.
LINE = ("product_id", "stripe_price_id", "quantity", "unit_amount", "currency", "interval")
STATE = (
    "stripe_id", "status", "current_period_end", "cancel_at", "ended_at", "past_due_since", "money_returned",
    "open_invoice_id", "open_invoice_url",
)  # fmt: skip


@dataclass(frozen=True)
class UnmappedPrice:
    """A Stripe price that people pay and that no product of ours has; amounts in minor units."""

    id: str
    name: str
    unit_amount: int
    currency: str
    interval: str
    holders: int


def ensure_mirrored(price_id: str) -> None:
    """Fetch a price and its product into the mirror unless they are there."""
    if not djstripe.models.Price.objects.filter(id=price_id).exists():
        refresh(price_id)


def refresh(object_id: str) -> None:
    """Fetch the present price or product and mirror it. A price of ours takes over its amount, and is withdrawn if Stripe's is.

    It is never offered by this: whether to, and which of two, is for staff to say.
    """
    with calling_stripe() as client:
        if object_id.startswith("price_"):
            price = client.v1.prices.retrieve(object_id)
            product = client.v1.products.retrieve(price["product"])
        else:
            price, product = None, client.v1.products.retrieve(object_id)
        if not getattr(product, "deleted", False):
            _sync(djstripe.models.Product, product)
    if price is not None and not getattr(price, "deleted", False):
        with transaction.atomic():
            _sync(djstripe.models.Price, price)
            ours = ProductPrice.objects.filter(stripe_price_id=price["id"])
            ours.update(unit_amount=price["unit_amount"] or 0, currency=price["currency"])
            if not price["active"]:
                ours.update(is_active=False)


def withdraw(object_id: str) -> None:
    """A price or product was deleted at Stripe: its prices are no longer offered. Who pays them keeps them."""
    gone = ProductPrice.objects.filter(stripe_price_id=object_id) | ProductPrice.objects.filter(
        product__stripe_product_id=object_id
    )
    gone.update(is_active=False)


def _sync(model: Any, stripe_object: Any) -> None:
    model.sync_from_stripe_data(stripe_object, api_key=settings.STRIPE_SECRET_KEY)


# --- prices nobody placed --------------------------------------------------------------------------------------------


def unmapped_prices() -> list[UnmappedPrice]:
    """What people pay that no product of ours has, most held first: lines without a product, and jobs stopped by it."""
    customers: dict[str, set[str]] = defaultdict(set)
    lines = UserSubscriptionItem.objects.filter(product=None).exclude(subscription__status__in=ENDED)
    for price_id, customer in lines.values_list("stripe_price_id", "subscription__customer_id"):
        customers[price_id].add(customer)
    for last_error, lane in _blocked_jobs().values_list("last_error", "lane"):
        for price_id in price_ids_in(last_error):
            customers[price_id].add(lane.removeprefix("customer:"))
    for known in ProductPrice.objects.filter(stripe_price_id__in=customers).values_list("stripe_price_id", flat=True):
        del customers[known]
    about = describe_prices(customers)
    found = [UnmappedPrice(id=one, holders=len(who), **about[one]) for one, who in customers.items()]
    return sorted(found, key=lambda one: (-one.holders, one.id))


def price_ids_in(sentence: str) -> list[str]:
    """The price ids in the sentence by which mirror.py refuses what it cannot place."""
    return re.findall(r"[\w-]+", sentence.removeprefix(UNMAPPED).partition(". ")[0])


def describe_prices(price_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Name, amount, currency and interval of prices as mirrored; empty values for what was not. At most two queries."""
    if not price_ids:
        return {}
    rows = djstripe.models.Price.objects.filter(id__in=price_ids).values_list("id", "stripe_data")
    prices = {price_id: data or {} for price_id, data in rows}
    products = {str(data.get("product", "")) for data in prices.values()}
    named = djstripe.models.Product.objects.filter(id__in=products).values_list("id", "stripe_data__name")
    names = dict(named)
    return {one: _describe_price(prices.get(one, {}), names) for one in price_ids}


def _describe_price(data: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": names.get(str(data.get("product", ""))) or "",
        "unit_amount": data.get("unit_amount") or 0,
        "currency": data.get("currency") or "",
        "interval": (data.get("recurring") or {}).get("interval") or "",
    }


def _blocked_jobs() -> QuerySet[Job]:
    return Job.objects.filter(state=Job.State.BLOCKED, last_error__startswith=UNMAPPED)


def map_price(price_id: str, product: Product) -> int:
    """Map all lines of a price to `product`; returns how many changed. Part of the caller's transaction."""
    lines = UserSubscriptionItem.objects.filter(stripe_price_id=price_id).exclude(product=product)
    return lines.update(product=product)


def retry_blocked_jobs(price_id: str, *, actor: str) -> int:
    """Run the jobs again that this price had stopped; returns how many. Two statements for each kind of job."""
    kinds: dict[str, dict[str, str]] = defaultdict(dict)
    for kind, key, lane, last_error in _blocked_jobs().values_list("kind", "key", "lane", "last_error"):
        if price_id in price_ids_in(last_error):
            kinds[kind][key] = lane
    for kind, lanes in kinds.items():
        jobs.defer_many(kind, lanes, reason=f"{price_id} was placed by {actor}")
    return sum(len(lanes) for lanes in kinds.values())


# --- who pays for what -----------------------------------------------------------------------------------------------


def paying_profiles(products: Collection[int], price_ids: Collection[str]) -> QuerySet[Any, Any]:
    """The profiles that pay for one of these products or at one of these prices, as a subquery; ended ones are left out."""
    lines = UserSubscriptionItem.objects.filter(Q(product__in=products) | Q(stripe_price_id__in=price_ids))
    return lines.exclude(subscription__status__in=ENDED).values("profile_id")


def subscriptions_of_customers(customer_ids: QuerySet[Any, Any]) -> dict[str, list[SubscriptionState]]:
    """`read_subscriptions` of many at once, by customer: two queries, and no model made of each row."""
    rows = Subscription.objects.filter(customer_id__in=customer_ids)
    lines: dict[int, list[SubscriptionLine]] = defaultdict(list)
    items = UserSubscriptionItem.objects.filter(subscription__in=rows.values("pk")).order_by("pk")
    for subscription_id, *values in items.values_list("subscription_id", *LINE):
        lines[subscription_id].append(SubscriptionLine(*values))
    found: dict[str, list[SubscriptionState]] = defaultdict(list)
    for pk, customer, *values in rows.values_list("pk", "customer_id", *STATE):
        fields: list[Any] = [*values, tuple(lines[pk])]
        found[customer].append(SubscriptionState(*fields))
    return found


# --- making them at Stripe -------------------------------------------------------------------------------------------


def create_product(*, slug: str, name: str) -> str:
    """Create a product at Stripe, once per slug and day (its idempotency key); returns `prod_…`."""
    params: Any = {"name": name, "metadata": {"slug": slug}}
    with calling_stripe() as client:
        return str(client.v1.products.create(params, {"idempotency_key": f"product:{slug}"})["id"])


def create_price(*, product_id: str, interval: str, unit_amount: int, currency: str) -> str:
    """Create a recurring price (minor units); returns `price_…`."""
    params: Any = {
        "product": product_id,
        "currency": currency,
        "unit_amount": unit_amount,
        "recurring": {"interval": interval},
        "tax_behavior": "inclusive",
    }
    key = f"price:{product_id}:{interval}:{unit_amount}:{currency}"
    with calling_stripe() as client:
        return str(client.v1.prices.create(params, {"idempotency_key": key})["id"])
