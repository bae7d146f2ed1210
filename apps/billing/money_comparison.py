"""Stripe's lists of refunds, credit notes and disputes, compared with our typed rows: money that went back without any event.

Reads only; the lists are cut at `MOST`. A refund can fail within a month, a dispute is decided within half a year.
"""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import Any

import stripe
from djstripe.models import Charge

from apps.billing.ledger import FAILED, Dispute, Refund, parse_dispute, parse_refund
from apps.billing.models import Subscription
from apps.billing.parsing import identify, plain
from apps.billing.payers import find_customer
from apps.billing.stripe_client import calling_stripe
from apps.core import clock

MOST = 1000
REFUNDS, DISPUTES = dt.timedelta(days=30), dt.timedelta(days=180)
MARGIN = dt.timedelta(minutes=1)  # between Stripe's clock and ours


@dataclass(frozen=True)
class Money:
    """Customers that differ, and those of them whose money may have gone back."""

    differing: frozenset[str]
    losing: frozenset[str]


def compare_money() -> Money:
    """Compare what went back lately with our rows, by customer id. Raises the errors of `calling_stripe`."""
    with calling_stripe() as client:
        refunded, disputed = _recent(client.v1.refunds, REFUNDS), _recent(client.v1.disputes, DISPUTES)
        payers = _find_payers(client, [_charge(one) for one in [*refunded, *disputed]])
        notes = _recent_notes(client)
    refunds = [(payers[identify(_charge(one))], parse_refund(one)) for one in refunded]
    refunds += [(identify(plain(one).get("customer")), parse_refund(one)) for one in notes]
    disputes = [(payers[identify(_charge(one))], parse_dispute(one)) for one in disputed]
    rows = _rows({customer for customer, _ in [*refunds, *disputes]})
    back = {who for who, one in refunds if _is_new_refund(one, rows[who])}
    changed = {who: one for who, one in disputes if _is_new_dispute(one, rows[who])}
    pending = Subscription.objects.filter(is_payment_pending=True).values_list("customer_id", flat=True)
    losing = back | {who for who, one in changed.items() if one.is_lost}
    return Money(frozenset({*back, *changed, *pending}), frozenset(losing))


def _recent(resource: Any, age: dt.timedelta, expand: tuple[str, ...] = ("data.charge",)) -> list[Any]:
    since = int((clock.now() - age).timestamp())
    found = resource.list({"created": {"gte": since}, "limit": 100, "expand": list(expand)})
    return list(islice(found.auto_paging_iter(), MOST))


def _recent_notes(client: stripe.StripeClient) -> list[Any]:
    """Credit notes: of what went back outside of Stripe there is nothing else. None when our key may not read them."""
    try:
        return _recent(client.v1.credit_notes, REFUNDS, expand=())
    except stripe.PermissionError:  # the doctor reports it
        return []


def _charge(found: Any) -> dict[str, Any]:
    return plain(plain(found).get("charge"))


def _find_payers(client: stripe.StripeClient, charges: list[dict[str, Any]]) -> dict[str, str]:
    """Charge id to customer. Of those that name none, only ours are asked for: the mirror has them."""
    named = {identify(one): identify(one.get("customer")) for one in charges}
    nameless = [one for one in charges if not named[identify(one)]]
    ours = set(Charge.objects.filter(id__in=[identify(one) for one in nameless]).values_list("id", flat=True))
    return named | {identify(one): find_customer(client, one) for one in nameless if identify(one) in ours}


def _rows(customers: set[str]) -> defaultdict[str, list[Subscription]]:
    """Our rows of these customers; none for somebody else's."""
    rows: defaultdict[str, list[Subscription]] = defaultdict(list)
    for row in Subscription.objects.filter(customer_id__in=customers - {""}):
        rows[row.customer_id].append(row)
    return rows


def _is_new_refund(one: Refund, rows: list[Subscription]) -> bool:
    """Whether we have it with another status, or not at all though we fetched before it was made."""
    known = [row.refunds[one.id] for row in rows if one.id in row.refunds]
    return known[0] != one.status if known else one.status not in FAILED and _is_later(one.at, rows)


def _is_new_dispute(one: Dispute, rows: list[Subscription]) -> bool:
    """The same for a dispute. One that was paid again, or of a payment for something else, we never have."""
    status = "lost" if one.is_lost else "open" if one.is_open else ""
    known = [each["status"] for row in rows for each in row.disputes if each["id"] == one.id]
    return known[0] != status if known else bool(status) and _is_later(one.at, rows)


def _is_later(at: dt.datetime, rows: list[Subscription]) -> bool:
    return bool(rows) and at >= max(row.fetched_at for row in rows) - MARGIN
