"""What each product gives, as entitlements: read in two queries and never cached beyond one decision."""

from collections.abc import Iterable

from apps.catalog.entitlements import Entitlements, total
from apps.catalog.models import Product


def entitlements_by_product() -> dict[int, Entitlements]:
    """What one of each product gives, by product id: itself if it is an app, the apps it includes, its numbers."""
    products = list(Product.objects.prefetch_related("includes"))
    return {product.pk: _entitlements_of(product, product.includes.all()) for product in products}


def _entitlements_of(product: Product, included: Iterable[Product]) -> Entitlements:
    apps = [app for app in [product, *included] if app.is_app]
    return Entitlements(
        apps=frozenset(app.slug for app in apps),
        seats=frozenset(app.slug for app in apps if app.needs_instance),
        grants={str(name): int(amount) for name, amount in product.grants.items()},
    )


def all_entitlements() -> Entitlements:
    """The sum over the whole catalog: the names that are ours. Inactive products count, and what a product gave before."""
    products = list(Product.objects.prefetch_related("includes"))
    given = {str(name): 0 for product in products for name in product.names_given}
    return total(
        [*(_entitlements_of(product, product.includes.all()) for product in products), Entitlements(grants=given)]
    )
