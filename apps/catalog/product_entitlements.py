"""What each product gives, as entitlements: read in two queries and never cached beyond one decision."""

from collections.abc import Iterable
from dataclasses import dataclass

from apps.catalog.entitlements import Entitlements, total
from apps.catalog.models import Product


@dataclass(frozen=True)
class CatalogEntitlements:
    """What one of each product gives, by product id, and the sum over all: the names that are ours."""

    by_product: dict[int, Entitlements]
    everything: Entitlements


def read_catalog() -> CatalogEntitlements:
    """What each product gives: itself if it is an app, the apps it includes, its numbers.

    Inactive products count in the sum, and so does what a product gave before.
    """
    products = list(Product.objects.prefetch_related("includes"))
    by_product = {product.pk: _entitlements_of(product, product.includes.all()) for product in products}
    given = {str(name): 0 for product in products for name in product.names_given}
    return CatalogEntitlements(by_product, total([*by_product.values(), Entitlements(grants=given)]))


def entitlements_by_product() -> dict[int, Entitlements]:
    """What one of each product gives, by product id."""
    return read_catalog().by_product


def _entitlements_of(product: Product, included: Iterable[Product]) -> Entitlements:
    apps = [app for app in [product, *included] if app.is_app]
    return Entitlements(
        apps=frozenset(app.slug for app in apps),
        seats=frozenset(app.slug for app in apps if app.needs_instance),
        grants={str(name): int(amount) for name, amount in product.grants.items()},
        people=product.people,
    )
