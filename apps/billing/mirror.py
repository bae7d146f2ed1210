"""Writes Stripe's current state into Postgres: dj-stripe's mirror, our typed rows, and a call to those who listen.

Promises: everything is fetched again before it is written; no transaction is open over a call; jobs run
in the lane of their customer, so an older answer never overwrites a newer one. Listeners register in
`on_customer` (called inside the writing transaction) or `on_session`.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

import djstripe.models
from django.conf import settings
from django.db import transaction

from apps.accounts.models import UserProfile
from apps.billing import payments, prices
from apps.billing.models import InboundEvent, Subscription, UserSubscriptionItem
from apps.billing.stripe_client import calling_stripe
from apps.catalog.models import ProductPrice
from apps.core import clock, jobs
from apps.core.errors import NeedsOperator, RetryLater
from apps.core.models import Job
from apps.core.states import SubscriptionStatus, values_where

KIND = "mirror_customer"
# Best first: which subscription represents the subscriber in lists and on pages.
STATUS_RANK = [
    "active",
    "trialing",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
    "incomplete",
    "incomplete_expired",
]

on_customer: list[Callable[[UserProfile], None]] = []
on_session: list[Callable[[str], None]] = []


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, mirror_or_retry, label="Refresh from Stripe", needs=("stripe",))


def mirror_later(customer_id: str, *, reason: str, importance: Job.Importance | None = None) -> None:
    """Queue a fetch of the customer's current state, in its lane."""
    jobs.defer(KIND, customer_id, reason=reason, lane=f"customer:{customer_id}", importance=importance)


def mirror_or_retry(customer_id: str) -> None:
    """The job: mirror the customer; RetryLater when nobody here has it."""
    if not mirror_customer(customer_id):
        raise RetryLater(f"No subscriber has the customer {customer_id} yet.")


def mirror_customer(customer_id: str, *, session_id: str = "") -> bool:
    """Fetch the customer's subscriptions and what decides about their money, and write all of it; False: not ours.

    Raises the errors of calling_stripe.
    """
    profile = UserProfile.objects.filter(stripe_customer_id=customer_id).first()
    if profile is None:
        return False
    received = _received_before(customer_id)
    with calling_stripe() as client:
        customer = client.v1.customers.retrieve(customer_id)
        gone = bool(getattr(customer, "deleted", False))
        listed = client.v1.subscriptions.list({"customer": customer_id, "status": "all", "limit": 100})
        found = [] if gone else list(listed.auto_paging_iter())
        if not gone:
            # One we know that is not listed is fetched by its id; "No such subscription" is then an error for staff.
            found += [client.v1.subscriptions.retrieve(each) for each in _unlisted(customer_id, found)]
        sums = {one["id"]: payments.fetch_payment_facts(client, one) for one in found}
    for price_id in {item["price"]["id"] for one in found for item in one["items"]["data"]}:
        prices.ensure_mirrored(price_id)
    _refuse_unmapped_prices(found)
    write_customer(profile, customer, found, sums)
    InboundEvent.objects.filter(pk__in=received).update(state=InboundEvent.State.HANDLED, handled_at=clock.now())
    if session_id:
        for listener in on_session:
            listener(session_id)
    return True


def _received_before(customer_id: str) -> list[int]:
    """The waiting events that this fetch covers: what they report happened before we ask Stripe.

    Events of a Checkout session are left out: they also trigger the signup.
    """
    waiting = InboundEvent.objects.filter(customer_id=customer_id, state=InboundEvent.State.RECEIVED)
    return list(waiting.exclude(type__startswith="checkout.session.").values_list("pk", flat=True))


def _unlisted(customer_id: str, found: list[Any]) -> list[str]:
    """The customer's running subscriptions that Stripe's list lacks."""
    known = Subscription.objects.filter(customer_id=customer_id).exclude(
        status__in=values_where(SubscriptionStatus, lambda one: one.ended)
    )
    return list(known.exclude(stripe_id__in=[one["id"] for one in found]).values_list("stripe_id", flat=True))


def _refuse_unmapped_prices(found: list[Any]) -> None:
    """Refuse a live line with an unmapped price: nobody loses access over a gap in our price table."""
    live = {
        item["price"]["id"] for one in found if SubscriptionStatus(one["status"]).pays for item in one["items"]["data"]
    }
    known = set(ProductPrice.objects.filter(stripe_price_id__in=live).values_list("stripe_price_id", flat=True))
    if live - known:
        raise NeedsOperator(f"{prices.UNMAPPED}{', '.join(sorted(live - known))}. Add it, then retry.")


@transaction.atomic
def write_customer(
    profile: UserProfile, customer: Any, found: list[Any], sums: dict[str, payments.PaymentFacts]
) -> None:
    """In one transaction: dj-stripe's rows, our typed rows, the profile's summary, and the listeners."""
    now = clock.now()
    if not getattr(customer, "deleted", False):
        _sync(djstripe.models.Customer, customer)
    for one in found:
        _sync(djstripe.models.Subscription, one)
        for invoice in sums[one["id"]].invoices:
            _sync(djstripe.models.Invoice, invoice)
    known = _prices_in(found)
    for one in found:
        row = _write_subscription(one, sums[one["id"]], now)
        _write_items(profile, row, one["items"]["data"], known)
    stale = Subscription.objects.filter(customer_id=profile.stripe_customer_id).exclude(
        stripe_id__in=[s["id"] for s in found]
    )
    # The customer was deleted, and its subscriptions with it.
    stale.exclude(status="canceled").update(status="canceled", ended_at=now, fetched_at=now)
    _update_profile(profile, now)
    for listener in on_customer:
        listener(profile)


def _prices_in(found: list[Any]) -> dict[str, ProductPrice]:
    """Our prices in these subscriptions, by Stripe id; locked, so that none is mapped to another product meanwhile."""
    wanted = sorted({item["price"]["id"] for one in found for item in one["items"]["data"]})
    rows = ProductPrice.objects.raw(
        "SELECT * FROM catalog_productprice WHERE stripe_price_id = ANY(%s) ORDER BY id FOR SHARE", [wanted]
    )
    return {row.stripe_price_id: row for row in rows}


def _sync(model: Any, stripe_object: Any) -> None:
    model.sync_from_stripe_data(stripe_object, api_key=settings.STRIPE_SECRET_KEY)


def moment(seconds: Any) -> dt.datetime | None:
    """Stripe's Unix seconds as an aware datetime; None for null or absent."""
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC) if seconds else None


def _write_subscription(one: Any, sums: payments.PaymentFacts, now: dt.datetime) -> Subscription:
    """The typed row. Periods lie on the items; the earliest end counts (docs.stripe.com/changelog/basil)."""
    ends = [item["current_period_end"] for item in one["items"]["data"] if item["current_period_end"]]
    end = moment(min(ends)) if ends else None
    leaves = moment(one["cancel_at"]) or (end if one["cancel_at_period_end"] else None)
    late = one["status"] == "past_due"
    known = Subscription.objects.filter(stripe_id=one["id"]).first()
    since = sums.due_since or (known.past_due_since if known else None) or now
    row, _ = Subscription.objects.update_or_create(
        stripe_id=one["id"],
        defaults={
            "customer_id": one["customer"],
            "status": one["status"],
            "stripe_created_at": dt.datetime.fromtimestamp(one["created"], tz=dt.UTC),
            "current_period_end": end,
            "trial_end": moment(one["trial_end"]),
            "cancel_at": leaves if one["status"] != "canceled" else None,
            "ended_at": moment(one["ended_at"]) or moment(one["canceled_at"]) if one["status"] == "canceled" else None,
            "past_due_since": since if late else None,  # always a fixed moment: grace has to end
            "money_returned": sums.returned,
            "open_invoice_id": sums.open_invoice_id,
            "open_invoice_url": sums.open_invoice_url,
            "fetched_at": now,
        },
    )
    return row


def _write_items(profile: UserProfile, row: Subscription, lines: list[Any], known: dict[str, ProductPrice]) -> None:
    """Replace the typed lines; a line of an unknown price is kept without a product."""
    UserSubscriptionItem.objects.filter(subscription=row).exclude(
        stripe_item_id__in=[line["id"] for line in lines]
    ).delete()
    for line in lines:
        price = line["price"]
        ours = known.get(price["id"])
        UserSubscriptionItem.objects.update_or_create(
            stripe_item_id=line["id"],
            defaults={
                "profile": profile,
                "subscription": row,
                "stripe_price_id": price["id"],
                "product_id": ours.product_id if ours else None,
                "quantity": line["quantity"] if "quantity" in line else 1,
                "unit_amount": price["unit_amount"] or 0,
                "currency": price["currency"],
                "interval": price["recurring"]["interval"] if price["recurring"] else "",
                "current_period_end": moment(line["current_period_end"]),
            },
        )


def _update_profile(profile: UserProfile, now: dt.datetime) -> None:
    """The profile's own columns, from its best subscription."""
    rows = Subscription.objects.filter(customer_id=profile.stripe_customer_id)
    best = min(
        rows,
        key=lambda row: (STATUS_RANK.index(row.status), -row.stripe_created_at.timestamp()),
        default=None,
    )
    profile.stripe_subscription_id = best.stripe_id if best else None
    profile.subscription_status = best.status if best else ""
    profile.subscription_synced_at = now
    profile.save(update_fields=["stripe_subscription_id", "subscription_status", "subscription_synced_at"])
