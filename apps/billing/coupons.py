"""Coupons: who uses which, on what terms and until when. For pages alone; nothing decides by it.

Stripe names a discount by its id, and shows its coupon only with the subscription, customer or invoice that has it. Promises: each
is asked for once; a customer without one costs no call and no query; what Stripe does not give now is left out and asked for when the
customer is fetched next; of a coupon that is deleted at Stripe, what was known of it stays.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog
from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from apps.accounts.models import UserProfile
from apps.billing.ledger import Ledger
from apps.billing.models import Coupon, Discount
from apps.billing.parsing import identify, moment, parse_subscription, plain, text, whole
from apps.billing.stripe_client import MissingRight, calling_stripe
from apps.core import clock
from apps.core.counting import CountUpTo
from apps.core.errors import DependencyDown, RetryLater, WorkError

log = structlog.get_logger(__name__)

MOST = 20  # objects asked for their discounts when one customer is fetched; the others follow the next time
COUPON = ".source.coupon"
EXPAND = {
    "subscription": f"discounts{COUPON}",
    "customer": f"discount{COUPON}",
    "invoice": f"total_discount_amounts.discount{COUPON}",
}


@dataclass(frozen=True)
class NamedDiscount:
    """Where a discount is named: the kind and id of the object, and whether it is in use there."""

    kind: str
    parent: str
    in_use: bool


# --- of one customer -------------------------------------------------------------------------------------------------


def note_discounts(profile: UserProfile, customer: Any, subscriptions: Iterable[Any], ledger: Ledger) -> None:
    """Keep which coupons the customer uses or used, by what was just fetched of them."""
    named = dict(reversed(list(_find_named(customer, subscriptions, ledger))))  # the first that names one counts
    if not named:
        return
    in_use = {key for key, one in named.items() if one.in_use}
    known = dict(Discount.objects.filter(profile=profile).values_list("stripe_id", "ended_at"))
    asked = dict.fromkeys((one.kind, one.parent) for key, one in named.items() if key not in known)
    found = _fetch_all(list(asked)[:MOST])
    now = clock.now()
    coupons = _keep_coupons(_coupon_of(one) for one in found.values())
    Discount.objects.bulk_create(
        (
            Discount(
                stripe_id=key, profile=profile, coupon_id=coupons.get(identify(_coupon_of(one))),
                subscription_id=text(one.get("subscription")), starts_at=moment(one.get("start")),
                ends_at=moment(one.get("end")), ended_at=None if key in in_use else now,
            )
            for key, one in found.items()
            if key in named and key not in known
        ),
        ignore_conflicts=True,
    )  # fmt: skip
    mine = Discount.objects.filter(profile=profile)
    if gone := [key for key, ended in known.items() if ended is None and key not in in_use]:
        mine.filter(stripe_id__in=gone).update(ended_at=now)
    if back := [key for key, ended in known.items() if ended is not None and key in in_use]:
        mine.filter(stripe_id__in=back).exclude(ends_at__lte=now).update(ended_at=None)


def _find_named(customer: Any, subscriptions: Iterable[Any], ledger: Ledger) -> Iterator[tuple[str, NamedDiscount]]:
    """The ids of discounts, each with what names it: what is in use first."""
    for one in map(plain, subscriptions):
        runs = not parse_subscription(one).status.ended
        discounts = one.get("discounts")
        for each in discounts if isinstance(discounts, list) else []:
            if key := identify(each):
                yield key, NamedDiscount("subscription", identify(one), runs)
    if key := identify(plain(customer).get("discount")):
        yield key, NamedDiscount("customer", identify(customer), in_use=True)
    for one in map(plain, ledger.objects):
        amounts = one.get("total_discount_amounts") if one.get("object") == "invoice" else None
        for each in map(plain, amounts if isinstance(amounts, list) else []):
            if key := identify(each.get("discount")):
                yield key, NamedDiscount("invoice", identify(one), in_use=False)


def _fetch_all(asked: Iterable[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """The discounts of these objects, by id, each with its coupon. Those of one that Stripe does not give are left out.

    When Stripe is away, or our key may not ask, the next one would get the same answer: nothing more is asked for.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, parent in asked:
        try:
            found |= _fetch(kind, parent)
        except WorkError as problem:
            log.info("discounts_not_fetched", kind=kind, problem=type(problem).__name__)
            if isinstance(problem, (RetryLater, DependencyDown, MissingRight)):
                break
    return found


def _fetch(kind: str, parent: str) -> dict[str, dict[str, Any]]:
    """The discounts of one object, by id. Raises the errors of calling_stripe."""
    query: Any = {"expand": [EXPAND[kind]]}
    with calling_stripe() as client:
        if kind == "subscription":
            found: Any = plain(client.v1.subscriptions.retrieve(parent, query)).get("discounts")
        elif kind == "customer":
            found = [plain(client.v1.customers.retrieve(parent, query)).get("discount")]
        else:
            amounts = plain(client.v1.invoices.retrieve(parent, query)).get("total_discount_amounts")
            found = [plain(one).get("discount") for one in (amounts if isinstance(amounts, list) else [])]
    return {key: plain(one) for one in (found if isinstance(found, list) else []) if (key := identify(plain(one)))}


def _coupon_of(discount: dict[str, Any]) -> Any:
    """The coupon of a discount, whole or by its id. Before 2025-09-30 it was a field of its own."""
    return plain(discount.get("source")).get("coupon") or discount.get("coupon")


# --- the coupons -----------------------------------------------------------------------------------------------------


def _keep_coupons(found: Iterable[Any]) -> dict[str, int]:
    """Keep these coupons, whole or known by their ids alone; the numbers of their rows, by id."""
    wanted = {key: one for one in found if (key := identify(one))}
    rows = [_parse(key, one) for key, one in sorted(wanted.items())]
    Coupon.objects.bulk_create(rows, ignore_conflicts=True)
    return dict(Coupon.objects.filter(stripe_id__in=wanted).values_list("stripe_id", "pk"))


def _parse(key: str, found: Any) -> Coupon:
    """The row of a coupon; of one that Stripe names and does not show, only the id."""
    one = plain(found)
    return Coupon(
        stripe_id=key, name=text(one.get("name")), percent_off=_percent(one.get("percent_off")), amount_off=whole(one.get("amount_off")),
        currency=text(one.get("currency"), 16), duration=text(one.get("duration"), 20), months=_months(one.get("duration_in_months")),
        is_deleted=not one or one.get("deleted") is True, fetched_at=clock.now(),
    )  # fmt: skip


def _months(value: Any) -> int | None:
    months = whole(value)
    return months if months is not None and months > 0 else None


def _percent(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(Decimal(str(value)), 4) if 0 < value <= 100 else None


# --- reading ---------------------------------------------------------------------------------------------------------


def in_use() -> Q:
    """The condition of a discount that takes something off the next invoice."""
    return Q(ended_at=None) & (Q(ends_at=None) | Q(ends_at__gt=clock.now()))


def narrow_to_users(people: QuerySet[Any], coupon: int) -> QuerySet[Any]:
    """The subscribers who use a coupon now."""
    return people.filter(pk__in=Discount.objects.filter(in_use(), coupon=coupon).values("profile"))


@dataclass(frozen=True)
class CouponUse:
    """How many subscribers use a coupon now, and when the last of them stops to; None: never, or nobody uses it."""

    people: int
    last_end: dt.datetime | None


def count_users(most: int) -> dict[int, CouponUse]:
    """By the number of the coupon, counted up to `most`. One query, by the indexes of what is in use, however many use it."""
    uses = Discount.objects.filter(in_use(), coupon=OuterRef("pk"))
    last = uses.order_by(F("ends_at").desc(nulls_first=True)).values("ends_at")[:1]
    found = Coupon.objects.annotate(people=CountUpTo(uses.values("profile").distinct(), most), last=Subquery(last))
    return {pk: CouponUse(*use) for pk, *use in found.values_list("pk", "people", "last") if use[0]}


def list_in_use(profile: UserProfile) -> list[Discount]:
    """What one subscriber uses now, the oldest first. One query."""
    return list(Discount.objects.filter(in_use(), profile=profile).select_related("coupon").order_by("pk"))
