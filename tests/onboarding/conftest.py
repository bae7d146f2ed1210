"""The shop and the visitors of the public site, for the domain behind it."""

from tests.storefront.conftest import no_limits, shop, visitor

__all__ = ["no_limits", "shop", "visitor"]
