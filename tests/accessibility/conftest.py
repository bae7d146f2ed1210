"""What the states share with the storefront's tests."""

from tests.storefront.conftest import no_limits

__all__ = ["no_limits"]
