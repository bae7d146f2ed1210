"""Payments whose money went back, a page of Stripe's lists at a time: refunded in full, or lost in a dispute. Reads only.

For customers who are nobody's here yet: of all others mirror.py knows it. Promises: two lists, however many customers there are, and
of these only what is younger than the longest period; a payment of which a part was given back is none of them.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.billing.ledger import FAILED
from apps.billing.parsing import identify, listed, moment, parse_subscription, plain, text
from apps.billing.stripe_client import read_page_after
from apps.core import clock
from apps.core.reasons import as_moment

PAGE = 100
REACH = dt.timedelta(days=400)  # a year, and the days until it is paid
REFUNDS, DISPUTES = "refunds", "disputes"


@dataclass(frozen=True)
class ReturnedPayment:
    """Whose payment, when it was made, and whether it was lost in a dispute."""

    customer_id: str
    paid_at: dt.datetime
    is_lost: bool


@dataclass(frozen=True)
class ReturnedPage:
    """One page, and where the lists go on; empty: they have ended."""

    payments: tuple[ReturnedPayment, ...]
    following: str


def list_page(cursor: str = "") -> ReturnedPage:
    """The page at that place, newest first: first all refunds, then all disputes. Raises the errors of calling_stripe."""
    which, _, after = cursor.partition(":")
    which = which or REFUNDS
    since = {"gte": int((clock.now() - REACH).timestamp())}
    page = read_page_after(which, after, {"limit": PAGE, "created": since, "expand": ["data.charge"]})
    following = f"{which}:{page.following}" if page.following else f"{DISPUTES}:" if which == REFUNDS else ""
    found = (_returned(plain(one), which) for one in page.data)
    return ReturnedPage(tuple(one for one in found if one), following)


def _returned(found: Mapping[str, Any], which: str) -> ReturnedPayment | None:
    """None where the customer keeps paying for it: a part, a refund that failed, a dispute that is open or won."""
    charge = plain(found.get("charge"))
    customer, paid_at = identify(charge.get("customer")), moment(charge.get("created"))
    status, is_lost = text(found.get("status"), 40), which == DISPUTES
    is_gone = status == "lost" if is_lost else status not in FAILED and charge.get("refunded") is True
    return ReturnedPayment(customer, paid_at, is_lost) if customer and paid_at and is_gone else None


def pays_for_present(subscriptions: list[dict[str, Any]], returned: str) -> bool:
    """Whether a payment made then belongs to the present period of one of these that run, as Stripe lists them."""
    paid_at = as_moment(returned)
    begins = [
        moment(line.get("current_period_start"))
        for one in subscriptions
        if parse_subscription(one).status.may_charge
        for line in map(plain, listed(one.get("items")))
    ]
    return paid_at is not None and any(one is not None and one <= paid_at for one in begins)
