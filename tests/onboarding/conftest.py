"""The shop and the visitors of the public site, for the domain behind it."""

from tests.storefront.conftest import flushable, no_limits, shop, visitor

__all__ = ["flushable", "no_limits", "shop", "visitor"]
