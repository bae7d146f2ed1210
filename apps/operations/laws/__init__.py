"""The laws that concern several apps: access, identity and seats."""

from apps.operations.laws import access, accounts, expiry, identity, records, seats


def register() -> None:
    """Add them."""
    for module in (access, accounts, expiry, identity, records, seats):
        module.register()
