"""Stripe's list of customers, a page at a time: who was made by us says so in its metadata. Reads only."""

from dataclasses import dataclass
from typing import Any

from apps.billing.parsing import plain
from apps.billing.stripe_client import MissingAtStripe, calling_stripe

PAGE = 100


@dataclass(frozen=True)
class ListedCustomer:
    """A customer at Stripe, and the signup's mark that we wrote there; empty: not made by us."""

    id: str
    onboarding_id: str


@dataclass(frozen=True)
class CustomerPage:
    """One page, and after whom the list goes on; empty: it has ended."""

    customers: tuple[ListedCustomer, ...]
    following: str


def list_page(after: str = "") -> CustomerPage:
    """The page after that customer, newest first; from the beginning when they are gone. Raises the errors of calling_stripe."""
    try:
        return _fetch(after)
    except MissingAtStripe:
        if not after:
            raise
        return _fetch("")


def _fetch(after: str) -> CustomerPage:
    asked: Any = {"limit": PAGE} | ({"starting_after": after} if after else {})
    with calling_stripe() as client:
        page = client.v1.customers.list(asked)
    found = tuple(
        ListedCustomer(one.id, str(plain(plain(one).get("metadata")).get("onboarding_id") or "")) for one in page.data
    )
    return CustomerPage(found, found[-1].id if found and page.has_more else "")
