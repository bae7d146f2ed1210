"""The facts that decide about access, written as typed rows: subscriptions, their lines, and the profile's summary.

Promise: what could be parsed is written, whatever else is unknown; a fact that decides and cannot be read leaves an
attention item. Who must know registers in `on_customer`, which is called inside the writing transaction.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Collection
from copy import copy
from typing import Any

from django.db import transaction
from django.db.models import Q

from apps.accounts.models import UserProfile
from apps.billing import payment_notes, prices
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.billing.parsing import LineFacts, SubscriptionFacts
from apps.billing.payments import PaymentFacts
from apps.catalog.models import ProductPrice
from apps.core import attention, clock
from apps.core.attention import Cause
from apps.core.money import per_month
from apps.core.states import SubscriptionStatus

# Best first: which subscription represents the subscriber in lists and on pages.
STATUS_RANK = [
    "active",
    "trialing",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
    "incomplete",
    "unknown",
    "incomplete_expired",
]

MOST = 10**15  # minor units a month; what is more is no price, and sums of it would overflow
SUMMARY = (
    "stripe_subscription_id",
    "subscription_status",
    "monthly_amount",
    "monthly_currency",
    "subscription_synced_at",
)
ITEM_KEYS = {"id", "stripe_item_id"}

on_customer: list[Callable[[UserProfile], None]] = []


@transaction.atomic
def write_customer(profile: UserProfile, found: list[SubscriptionFacts], sums: dict[str, PaymentFacts | None]) -> None:
    """In one transaction: our typed rows, the profile's summary, what staff have to know, and the listeners."""
    now, ids = clock.now(), [one.id for one in found]
    known = lock_prices({line.price.id for one in found for line in one.lines})
    of_customer = Q(customer_id=profile.stripe_customer_id)
    rows = {row.stripe_id: row for row in Subscription.objects.filter(of_customer | Q(stripe_id__in=ids))}
    for one in found:
        rows[one.id] = _write_subscription(profile, one, sums[one.id], rows.get(one.id), now)
        _write_items(profile, rows[one.id], one.lines, known)
        _report_unknown(profile, one, sums[one.id])
    _end_missing([row for key, row in rows.items() if key not in ids], now)
    prices.report_unmapped(profile.pk, _unmapped(found, known))
    _update_profile(profile, rows.values(), now)
    for listener in on_customer:
        listener(profile)


def _end_missing(rows: Collection[Subscription], now: dt.datetime) -> None:
    """These are no longer at Stripe, nor to be had by their ids: the customer was deleted, and its subscriptions with it."""
    for row in rows:
        if row.pause:
            attention.resolve(Cause.COLLECTION_PAUSED, row.stripe_id, why="The customer was deleted at Stripe.")
        if row.status != SubscriptionStatus.CANCELED:
            row.status, row.ended_at, row.fetched_at, row.pause = SubscriptionStatus.CANCELED.value, now, now, ""
            row.save(update_fields=["status", "ended_at", "fetched_at", "pause"])


def _unmapped(found: Collection[SubscriptionFacts], known: Collection[str]) -> set[str]:
    """The prices of running subscriptions that belong to no product of ours."""
    return {line.price.id for one in found if one.status.pays for line in one.lines} - set(known)


def lock_prices(price_ids: Collection[str]) -> dict[str, ProductPrice]:
    """Our prices among these, by Stripe id; locked, so that none is mapped to another product meanwhile."""
    rows = ProductPrice.objects.raw(
        "SELECT * FROM catalog_productprice WHERE stripe_price_id = ANY(%s) ORDER BY id FOR SHARE", [sorted(price_ids)]
    )
    return {row.stripe_price_id: row for row in rows}


def _write_subscription(
    profile: UserProfile,
    one: SubscriptionFacts,
    sums: PaymentFacts | None,
    known: Subscription | None,
    now: dt.datetime,
) -> Subscription:
    """The typed row. What is not known about the money stays as it was."""
    fields: dict[str, Any] = subscription_columns(one, known, now) | {
        "customer_id": profile.stripe_customer_id,
        "past_due_since": _late_since(known, sums, now) if one.status == SubscriptionStatus.PAST_DUE else None,
    }
    if sums is not None:
        fields |= payment_columns(sums)
    row = copy(known) if known else Subscription(stripe_id=one.id)
    for name, value in fields.items():
        setattr(row, name, value)
    row.save(update_fields=fields.keys() if known else None)
    payment_notes.record_changes(profile, known, row)
    return row


def subscription_columns(one: SubscriptionFacts, known: Subscription | None, now: dt.datetime) -> dict[str, Any]:
    """The columns that a subscription itself says, without whose it is and its payments. `known`: the row as it was."""
    ended = one.ended_at or one.canceled_at or (known.ended_at if known else None) or now
    return {
        "status": one.status.value,
        "stripe_created_at": one.created_at or (known.stripe_created_at if known else now),
        "current_period_end": one.current_period_end,
        "trial_end": one.trial_end,
        "after_trial": one.after_trial,
        "cancel_at": one.leaves_at,
        "ended_at": ended if one.status == SubscriptionStatus.CANCELED else None,
        "pause": one.pause,
        "pause_ends_at": one.pause_ends_at,
        "lines_digest": digest_lines(one.lines),
        "monthly_amount": cost_per_month(one.lines),
        "currency": one.lines[0].price.currency if one.lines else "",
        "cancellation_reason": one.cancellation_reason,
        "cancellation_feedback": one.cancellation_feedback,
        "fetched_at": now,
    }


def digest_lines(lines: Collection[LineFacts]) -> str:
    """Short, and another one when prices or quantities are others."""
    text = ",".join(sorted(f"{line.price.id}*{line.quantity}" for line in lines))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cost_per_month(lines: Collection[LineFacts]) -> int | None:
    """What the lines cost in a month, in minor units; None when one of them has no fixed amount, or they are in several currencies."""
    amounts = [one.price.unit_amount for one in lines]
    if None in amounts or len({one.price.currency for one in lines}) > 1:
        return None
    costs = (
        per_month(one.price.unit_amount * one.quantity, one.price.interval, one.price.interval_count)
        for one in lines
        if one.price.unit_amount is not None
    )
    total = sum(costs)
    return total if total <= MOST else None


def payment_columns(sums: PaymentFacts) -> dict[str, Any]:
    """The columns that say what was paid and what is owed."""
    return {
        "money_returned": sums.returned,
        "paid_for_period": sums.paid,
        "left_of_period": sums.left,
        "is_payment_pending": sums.is_pending,
        "open_invoice_id": sums.open_invoice_id,
        "open_invoice_url": sums.open_invoice_url,
        "disputes": payment_notes.dispute_rows(sums.disputes),
        "refunds": dict(sums.refunds),
        "next_attempt_at": sums.next_attempt_at,
        "attempts_made": sums.attempts_made,
        "payment_due_at": sums.due_at,
    }


def _late_since(known: Subscription | None, sums: PaymentFacts | None, now: dt.datetime) -> dt.datetime | None:
    """Since when the payment is late: always a fixed moment, because grace has to end. None while nothing is late."""
    if sums and sums.is_pending:
        return None
    stored = known.past_due_since if known else None
    if known and sums and known.open_invoice_id and sums.open_invoice_id not in {"", known.open_invoice_id}:
        stored = None  # that was about another invoice
    return (sums.late_since if sums else None) or stored or now


def _write_items(
    profile: UserProfile, row: Subscription, lines: Collection[LineFacts], known: dict[str, ProductPrice]
) -> None:
    """Replace the typed lines; a line of an unknown price is kept without a product."""
    UserSubscriptionItem.objects.filter(subscription=row).exclude(
        stripe_item_id__in=[line.id for line in lines]
    ).delete()
    rows = {line.id: item_row(profile, row, line, known) for line in lines}
    names = [field.name for field in UserSubscriptionItem._meta.concrete_fields if field.name not in ITEM_KEYS]
    UserSubscriptionItem.objects.bulk_create(
        rows.values(), update_conflicts=True, unique_fields=["stripe_item_id"], update_fields=names
    )


def item_row(
    profile: UserProfile, row: Subscription, line: LineFacts, known: dict[str, ProductPrice]
) -> UserSubscriptionItem:
    """One typed line, unsaved."""
    return UserSubscriptionItem(
        stripe_item_id=line.id,
        profile=profile,
        subscription=row,
        stripe_price_id=line.price.id,
        product_id=known[line.price.id].product_id if line.price.id in known else None,
        quantity=line.quantity,
        unit_amount=line.price.unit_amount,
        currency=line.price.currency,
        interval=line.price.interval,
        interval_count=line.price.interval_count,
        current_period_end=line.current_period_end,
    )


def _report_unknown(profile: UserProfile, one: SubscriptionFacts, sums: PaymentFacts | None) -> None:
    """Tell staff of a fact that decides and that we cannot read; end what was told once all can be read.

    What was paid for one that has ended decides nothing, and of a deleted customer Stripe does not list it.
    """
    problem = "" if sums or one.status.ended else "has payments in a form that is new to us"
    if one.status == SubscriptionStatus.UNKNOWN:
        problem = f"has the status “{one.stripe_status}”, which is new to us"
    if problem:
        sentence = f"Subscription {one.id} {problem}. Access stays as it is. Check it at Stripe, and update Frontdesk."
        attention.report(Cause.UNKNOWN_FACT, one.id, sentence, profiles=[profile.pk])
    else:
        attention.resolve_soon(Cause.UNKNOWN_FACT, one.id)


def _update_profile(profile: UserProfile, rows: Collection[Subscription], now: dt.datetime) -> None:
    """The profile's own columns, from its best subscription."""
    summarize(profile, rows, now)
    profile.save(update_fields=SUMMARY)


def summarize(profile: UserProfile, rows: Collection[Subscription], now: dt.datetime) -> None:
    """The same without saving them."""
    best = min(
        rows,
        key=lambda row: (STATUS_RANK.index(row.status), -row.stripe_created_at.timestamp()),
        default=None,
    )
    earning = [row for row in rows if SubscriptionStatus(row.status).earns]
    profile.stripe_subscription_id = best.stripe_id if best else None
    profile.subscription_status = best.status if best else ""
    profile.monthly_amount = _sum_of(earning)
    profile.monthly_currency = earning[0].currency if earning else ""
    profile.subscription_synced_at = now


def _sum_of(rows: Collection[Subscription]) -> int | None:
    """What they cost together in a month; None where one's amount is unknown, or is in another currency than the first's."""
    amounts = [row.monthly_amount for row in rows]
    known = [one for one in amounts if one is not None]
    return sum(known) if len(known) == len(amounts) and len({row.currency for row in rows}) < 2 else None
