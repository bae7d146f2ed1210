"""Stripe's list of customers, a page at a time: who was made by us says so in its metadata. Reads only."""

from dataclasses import dataclass

from apps.billing.parsing import plain
from apps.billing.stripe_client import read_page_after

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
    """The page after that customer, newest first. Raises the errors of calling_stripe."""
    page = read_page_after("customers", after, {"limit": PAGE})
    found = (ListedCustomer(one["id"], str(plain(one.get("metadata")).get("onboarding_id") or "")) for one in page.data)
    return CustomerPage(tuple(found), page.following)
