"""What members have from who pays for them, as subscriptions of their own: the policy knows nothing of members.

Promises: of an open membership, each of the payer's subscriptions with what of it is shared, once, and without its invoices; of
one that has ended, a subscription that was canceled at that moment, so that its member keeps what everybody keeps who cancels.
A payer whose subscriptions cannot be read never makes a member somebody who never had one.

Where a subscription is for fewer people than share it, the rule of who goes is `find_surplus`: never the payer; first who is invited,
then who has joined, of each the newest first; and nobody while nothing runs, since it may come back, or while they pay a price of
which we do not know what it gives: it may be for all of them (billing.prices reports it to staff).
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import QuerySet

from apps.access.models import AccessOverride
from apps.accounts.models import Membership, UserProfile
from apps.billing import prices
from apps.billing.subscriptions import SubscriptionLine, SubscriptionState
from apps.catalog.entitlements import Entitlements
from apps.core import clock
from apps.core.states import SubscriptionStatus

# Decisions of staff about the payer that are about the payer's money, and so reach those who are paid for.
ABOUT_MONEY = (AccessOverride.Kind.NO_SUSPEND, AccessOverride.Kind.WAIVE_DISPUTE)
# What becomes of the payer's own affairs: what is charged next, and which invoice is open. How a trial ends is of everybody's.
SHARED: dict[str, Any] = {
    "is_shared": True,
    "current_period_end": None, "open_invoice_id": "", "open_invoice_url": "", "next_attempt_at": None,
    "attempts_made": 0, "payment_due_at": None,
}  # fmt: skip
CANCELED: dict[str, Any] = SHARED | {
    "status": SubscriptionStatus.CANCELED.value, "trial_end": None, "after_trial": "", "cancel_at": None, "past_due_since": None, "paid_for_period": None,
    "left_of_period": None, "money_returned": "", "is_payment_pending": False, "disputes": [], "pause": "", "pause_ends_at": None,
}  # fmt: skip


@dataclass(frozen=True)
class Sharing:
    """By profile id: who pays for each member now, and the subscriptions that memberships give them or gave."""

    payers: Mapping[int, int] = field(default_factory=dict)
    states: Mapping[int, tuple[SubscriptionState, ...]] = field(default_factory=dict)


def read_sharing(
    member_ids: Collection[int], catalog: Mapping[int, Entitlements], *, as_if_ended: Collection[int] = ()
) -> Sharing:
    """What these have by memberships. No query for nobody, else one, and two more where somebody pays for one of them.

    `as_if_ended`: members whose open membership is taken to end now.
    """
    if not member_ids:
        return Sharing()
    rows = Membership.objects.filter(member__in=member_ids, accepted_at__isnull=False).select_related("payer")
    found = list(rows.order_by("accepted_at", "pk"))
    for row in found:
        if row.is_open and row.member_id in as_if_ended:
            row.ended_at = row.paid_until = clock.now()
    payers = {row.member_id or 0: row.payer_id for row in found if row.is_open}
    customers = UserProfile.objects.filter(pk__in=payers.values(), stripe_customer_id__isnull=False)
    paid = prices.subscriptions_of_customers(customers.values("stripe_customer_id")) if payers else {}
    states = defaultdict[int, list[SubscriptionState]](list)
    for row in found:
        own = paid.get(row.payer.stripe_customer_id or "", ())
        states[row.member_id or 0] += _of_open(row, own, catalog) if row.is_open else [_canceled(row, row.paid_until)]
    return Sharing(payers, {one: tuple(each) for one, each in states.items()})


def _of_open(
    row: Membership, states: Iterable[SubscriptionState], catalog: Mapping[int, Entitlements]
) -> list[SubscriptionState]:
    """The payer's subscriptions that share something, but for those that had ended before the member came."""
    begun = [one for one in states if one.ended_at is None or row.accepted_at is None or one.ended_at > row.accepted_at]
    shared = [replace(one, lines=lines, **SHARED) for one in begun if (lines := shared_lines(one, catalog))]
    return shared or [_canceled(row, None)]  # kept without an end, until somebody ends the membership


def shared_lines(state: SubscriptionState, catalog: Mapping[int, Entitlements]) -> tuple[SubscriptionLine, ...]:
    """What of a subscription each of its people has: each line that is for several or may be, once."""
    shares = (
        line for line in state.lines if is_unknown(line) or (line.quantity and is_shared(line.product_id or 0, catalog))
    )
    return tuple(replace(line, quantity=1) for line in shares)


def is_unknown(line: SubscriptionLine) -> bool:
    """Whether it is paid and belongs to no product, so that nobody knows what it gives."""
    return line.product_id is None and line.quantity > 0


def is_shared(product_id: int, catalog: Mapping[int, Entitlements]) -> bool:
    """Whether one of the product is for several people, or more of it are."""
    return product_id in catalog and catalog[product_id].people > 0


def _canceled(row: Membership, at: dt.datetime | None) -> SubscriptionState:
    """A membership that gives nothing any more, as a subscription that was canceled then."""
    lines = tuple(SubscriptionLine(int(one), "", 1, None, "", "") for one in row.products)
    return SubscriptionState(id=f"membership:{row.pk}", ended_at=at, lines=lines, **CANCELED)


def count_people(states: Iterable[SubscriptionState], catalog: Mapping[int, Entitlements]) -> int:
    """For how many people the subscriptions that run are, the payer included; 0 when none runs."""
    running = [one for one in states if SubscriptionStatus(one.status).may_charge]
    counts = [
        catalog[line.product_id].times(line.quantity).people
        for one in running
        for line in one.lines
        if line.product_id and line.product_id in catalog
    ]
    return max(1, sum(counts)) if running else 0


def limit_people(states: Iterable[SubscriptionState], catalog: Mapping[int, Entitlements]) -> int:
    """How many may share the subscriptions, the payer included; 0 when nobody can say: none runs, or what a line gives is unknown."""
    running = [one for one in states if SubscriptionStatus(one.status).may_charge]
    unknown = any(is_unknown(line) for one in running for line in one.lines)
    return 0 if unknown else count_people(running, catalog)


def find_surplus(sharers: Iterable[Membership], people: int) -> list[Membership]:
    """Of those who share a subscription or are invited to, who does not fit where it is for that many, the payer included.

    Nobody for 0 (`limit_people`).
    """
    if not people:
        return []
    oldest = sorted(sharers, key=lambda row: (row.accepted_at is None, row.accepted_at or row.invited_at, row.pk))
    return oldest[max(0, people - 1) :]


def read_surplus(
    payers: QuerySet[UserProfile], catalog: Mapping[int, Entitlements], *, fewer: Mapping[str, int] | None = None
) -> list[int]:
    """The members who would not fit if products gave what `catalog` says, by all these payers. Four queries at most.

    `fewer`: by customer, how many people fewer than we know they pay for.
    """
    joined = Membership.objects.filter(payer__in=payers, ended_at=None, accepted_at__isnull=False).select_related(
        "payer"
    )
    by_payer = defaultdict[str, list[Membership]](list)
    for row in joined:
        by_payer[row.payer.stripe_customer_id or ""].append(row)
    if not by_payer:
        return []
    paid = prices.subscriptions_of_customers(payers.filter(pk__in=joined.values("payer")).values("stripe_customer_id"))
    surplus = list[Membership]()
    for who, rows in by_payer.items():
        people = limit_people(paid.get(who, ()), catalog)
        surplus += find_surplus(rows, max(1, people - (fewer or {}).get(who, 0)) if people else 0)
    return sorted(row.member_id for row in surplus if row.member_id)
