"""What the Stripe account sells, as staff pick from it, and the nightly check that what we offer is still for sale.

Nothing about a price is typed: staff choose one of Stripe's, and its facts are fetched.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from apps.billing import prices
from apps.billing.parsing import PriceFacts, identify, parse_price, plain, text
from apps.billing.stripe_client import calling_stripe
from apps.catalog.models import Product, ProductPrice
from apps.core import jobs
from apps.core.models import Job
from apps.core.money import format_money

KIND = "check_prices"
DAY = 24 * 3600
MOST = 1000  # prices and products read for one page


@dataclass(frozen=True)
class StripeProduct:
    """A product of the Stripe account with its active prices."""

    id: str
    name: str
    description: str
    prices: tuple[PriceFacts, ...]


def register() -> None:
    """Make the job kind known."""
    jobs.register(
        KIND,
        check_offered_prices,
        label="Check offered prices",
        needs=("stripe",),
        every=DAY,
        importance=Job.Importance.SWEEP,
    )


def list_products() -> list[StripeProduct]:
    """The active products and their active prices, by name. Two calls for each hundred; the errors of calling_stripe."""
    active: Any = {"active": True, "limit": 100}
    with calling_stripe() as client:
        products = _first(client.v1.products.list(active).auto_paging_iter())
        found = _first(client.v1.prices.list(active).auto_paging_iter())
    by_product: dict[str, list[PriceFacts]] = defaultdict(list)
    for price in found:
        facts = parse_price(price)
        by_product[facts.product_id].append(facts)
    listed = [
        StripeProduct(identify(one), text(one.get("name"), 80), text(one.get("description"), 200), tuple(by_product[identify(one)]))
        for one in products
    ]  # fmt: skip
    return sorted(listed, key=lambda one: (one.name.lower(), one.id))


def _first(objects: Iterable[Any]) -> list[Mapping[str, Any]]:
    return [plain(one) for one in islice(objects, MOST)]


def fetch_price(price_id: str) -> PriceFacts | None:
    """The present facts of one price; None when Stripe has none of that id."""
    found = prices.fetch("prices", price_id)
    return parse_price(found) if found is not None else None


def describe_price(facts: PriceFacts) -> str:
    """Amount, period and id, and why it cannot be offered if so."""
    amount = format_money(facts.unit_amount, facts.currency) if facts.unit_amount is not None else "no fixed amount"
    period = f" / {facts.interval}" if facts.interval else ""
    why = prices.explain_unsellable(facts)
    return f"{amount}{period} · {facts.id}" + (f" (cannot be offered: {why})" if why else "")


def import_product(found: StripeProduct, *, slug: str, position: int) -> Product:
    """Make a product of ours of one of Stripe's, not on sale yet, with those of its prices that can be offered.

    Of several prices for one period and currency the first is offered. Part of the caller's transaction.
    """
    product = Product.objects.create(
        slug=slug, name=found.name or slug, summary=found.description, stripe_product_id=found.id, is_active=False,
        position=position, placement=Product.Placement.PLAN,
    )  # fmt: skip
    ids = [one.id for one in found.prices]
    known = set(ProductPrice.objects.filter(stripe_price_id__in=ids).values_list("stripe_price_id", flat=True))
    sellable = [one for one in found.prices if one.id not in known and not prices.explain_unsellable(one)]
    offered = {(one.interval, one.currency): one for one in reversed(sellable)}  # the first of each wins
    for facts in offered.values():
        ProductPrice.objects.create(product=product, stripe_price_id=facts.id, **facts_of_price(facts))
    return product


def facts_of_price(facts: PriceFacts) -> dict[str, Any]:
    """The columns of ProductPrice that Stripe decides."""
    return {"interval": facts.interval, "unit_amount": facts.unit_amount, "currency": facts.currency}


def check_offered_prices(_key: str) -> None:
    """The nightly job: fetch each offered price again; what was archived, changed or deleted is withdrawn."""
    for price_id in (
        ProductPrice.objects.filter(is_active=True).order_by("pk").values_list("stripe_price_id", flat=True)
    ):
        prices.refresh_price(price_id)
