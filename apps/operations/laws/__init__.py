"""The laws that concern several apps: access, identity, seats and memberships."""

from apps.operations.laws import access, accounts, expiry, identity, members, products, records, seats


def register() -> None:
    """Add them."""
    for module in (access, accounts, expiry, identity, members, products, records, seats):
        module.register()
