"""Stripe's products and prices: what is offered follows Stripe, and who pays for what.

A price that belongs to no product (`unmapped_prices`) is an attention item: what else its holders pay for is decided, and
nothing is taken from them until staff map it (`map_price`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import djstripe.models
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.billing import copies
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.billing.parsing import PriceFacts, identify, parse_price, plain
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.billing.subscriptions import SubscriptionLine, SubscriptionState
from apps.catalog.models import Product, ProductPrice
from apps.core import attention
from apps.core.attention import Cause
from apps.core.states import SubscriptionStatus, values_where

PAYS = values_where(SubscriptionStatus, lambda one: one.pays)
ENDED = values_where(SubscriptionStatus, lambda one: one.ended)
OFFERED_INTERVALS = ("month", "year")
# The columns of subscriptions.SubscriptionLine and SubscriptionState, in their order.
LINE = ("product_id", "stripe_price_id", "quantity", "unit_amount", "currency", "interval")
STATE = (
    "stripe_id", "status", "current_period_end", "trial_end", "after_trial", "cancel_at", "ended_at", "past_due_since", "paid_for_period",
    "left_of_period", "money_returned",
    "open_invoice_id", "open_invoice_url", "next_attempt_at", "attempts_made", "payment_due_at", "is_payment_pending",
    "disputes", "pause", "pause_ends_at",
)  # fmt: skip


@dataclass(frozen=True)
class UnmappedPrice:
    """A Stripe price that people pay and that no product of ours has; amounts in minor units, None: not known."""

    id: str
    name: str
    unit_amount: int | None
    currency: str
    interval: str
    holders: int


# --- what is offered follows Stripe ----------------------------------------------------------------------------------


def refresh_price(price_id: str) -> None:
    """Fetch the present price: ours takes over its amount, and is withdrawn where it can no longer be offered.

    It is never offered by this: whether to, and which of two, is for staff to say. Then it is copied, with its product.
    """
    price = fetch("prices", price_id)
    if price is None:
        withdraw(price_id)
        return
    facts = parse_price(price)
    _take_over(price_id, facts)
    if facts.product_id:
        refresh_product(facts.product_id)
    copies.copy_all([price])


def refresh_product(product_id: str) -> None:
    """Fetch the present product and copy it; the prices of one that is archived or deleted are withdrawn."""
    product = fetch("products", product_id)
    if product is None or getattr(product, "deleted", False) or plain(product).get("active") is False:
        mirrored = djstripe.models.Price.objects.filter(product_id=product_id).values("id")
        ours = Q(product__stripe_product_id=product_id) | Q(stripe_price_id__in=mirrored)
        _withdraw(ours, "its product is archived or deleted at Stripe")
    if product is not None:
        copies.copy_all([product])


def fetch(collection: str, object_id: str) -> Any:
    """The present object; None when Stripe has it no more."""
    try:
        with calling_stripe() as client:
            return getattr(client.v1, collection).retrieve(object_id)
    except MissingAtStripe:
        return None


def withdraw(object_id: str) -> None:
    """A price or product was deleted at Stripe: its prices are no longer offered. Who pays them keeps them."""
    _withdraw(Q(stripe_price_id=object_id) | Q(product__stripe_product_id=object_id), "it was deleted at Stripe")


@transaction.atomic
def _take_over(price_id: str, facts: PriceFacts) -> None:
    """Let our row say what Stripe's price says, and withdraw it if it cannot be offered as it is."""
    row = ProductPrice.objects.select_for_update().filter(stripe_price_id=price_id).first()
    if row is None:
        return
    obstacle = _obstacle(row, facts)
    if obstacle:
        _withdraw(Q(pk=row.pk), obstacle)
    else:
        attention.resolve(Cause.PRICE_WITHDRAWN, price_id)
    ProductPrice.objects.filter(pk=row.pk).update(
        unit_amount=facts.unit_amount, currency=facts.currency or row.currency, interval=facts.interval or row.interval
    )


def explain_unsellable(facts: PriceFacts) -> str:
    """Why a price cannot be offered to anybody, as the end of a sentence; empty when it can."""
    if facts.obstacle or not facts.active:
        return facts.obstacle or "it is archived at Stripe"
    return "" if facts.interval in OFFERED_INTERVALS else f"it is charged by the {facts.interval}"


def _obstacle(row: ProductPrice, facts: PriceFacts) -> str:
    """Why the price cannot be offered, as the end of a sentence; empty when it can."""
    if why := explain_unsellable(facts):
        return why
    others = ProductPrice.objects.filter(
        product=row.product, interval=facts.interval, currency=facts.currency, is_active=True
    )
    return "another price is offered for this period" if others.exclude(pk=row.pk).exists() else ""


def _withdraw(which: Q, why: str) -> None:
    """Offer these prices to nobody new, and tell staff about each that was offered until now."""
    for row in ProductPrice.objects.filter(which, is_active=True).select_related("product"):
        ProductPrice.objects.filter(pk=row.pk).update(is_active=False)
        sentence = (
            f"{row} ({row.stripe_price_id}) is no longer offered: {why}. Who pays it keeps it. Offer another price."
        )
        attention.report(Cause.PRICE_WITHDRAWN, row.stripe_price_id, sentence)


# --- prices that belong to no product --------------------------------------------------------------------------------


def unmapped_lines() -> QuerySet[UserSubscriptionItem]:
    """The lines of running subscriptions whose price belongs to no product of ours."""
    return UserSubscriptionItem.objects.filter(product=None, subscription__status__in=PAYS)


def report_unmapped(profile_id: int, price_ids: Collection[str]) -> None:
    """Tell staff of the prices this subscriber pays that belong to no product, and end what no longer applies.

    Part of the caller's transaction, which has written the lines.
    """
    for price_id in sorted(price_ids):
        sentence = (
            f"Subscribers pay the Stripe price {price_id}, which belongs to no product. They keep what they have. "
            "Map it to a product."
        )
        attention.report(Cause.UNMAPPED_PRICE, price_id, sentence, profiles=[profile_id])
    close_mapped()


def close_mapped() -> None:
    """End the items of prices that nobody pays any more without a product."""
    waiting = unmapped_lines().values("stripe_price_id")
    attention.resolve_all_but(Cause.UNMAPPED_PRICE, waiting, why="It is mapped, or nobody pays it any more.")


def unmapped_prices() -> list[UnmappedPrice]:
    """What people pay that no product of ours has, most held first."""
    customers: dict[str, set[str]] = defaultdict(set)
    seen: dict[str, tuple[int | None, str, str]] = {}
    columns = ("stripe_price_id", "subscription__customer_id", "unit_amount", "currency", "interval")
    for price_id, customer, *about in unmapped_lines().values_list(*columns):
        customers[price_id].add(customer)
        seen[price_id] = (about[0], about[1], about[2])
    for known in ProductPrice.objects.filter(stripe_price_id__in=customers).values_list("stripe_price_id", flat=True):
        del customers[known]
    names = product_names(customers)
    found = [UnmappedPrice(one, names.get(one, ""), *seen[one], holders=len(who)) for one, who in customers.items()]
    return sorted(found, key=lambda one: (-one.holders, one.id))


def product_names(price_ids: Iterable[str]) -> dict[str, str]:
    """The name of each price's product at Stripe, as mirrored. At most two queries."""
    rows = djstripe.models.Price.objects.filter(id__in=list(price_ids)).values_list("id", "stripe_data")
    products = {price_id: identify((data or {}).get("product")) for price_id, data in rows}
    named = djstripe.models.Product.objects.filter(id__in=products.values()).values_list("id", "stripe_data__name")
    names = dict(named)
    return {price_id: str(names.get(product) or "") for price_id, product in products.items()}


def map_price(price_id: str, product: Product) -> int:
    """Map all lines of a price to `product`; returns how many changed. Part of the caller's transaction."""
    changed = (
        UserSubscriptionItem.objects.filter(stripe_price_id=price_id).exclude(product=product).update(product=product)
    )
    close_mapped()
    return changed


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
