"""One person, one subscription: a second one that runs is charged as well, and only staff can give that money back.

So is one of somebody without an account here who pays one of our prices, by a payment link or a Checkout page of another program.

Promises: however it was made (another tab, Stripe's dashboard, a payment link, another customer of the same person),
it is one attention item with the refund that would fix it, until only one runs. What it grants is decided in access/facts.py.
"""

import json
from collections.abc import Callable
from typing import Any

from django.db.models import Q

from apps.accounts.models import UserProfile
from apps.billing import mirror
from apps.billing.models import InboundEvent, Subscription
from apps.billing.parsing import SubscriptionFacts, identify, parse_subscription, plain, text
from apps.billing.stripe_client import MissingAtStripe, calling_stripe
from apps.catalog.models import ProductPrice
from apps.core import attention, jobs
from apps.core.addresses import ascii_email
from apps.core.attention import Cause
from apps.core.models import Job
from apps.core.money import describe_period, format_money
from apps.core.states import SubscriptionStatus, values_where

OWN, STRANGERS = "report_second_subscription", "report_double_customer"  # job kinds: keys are profile and customer ids
RECHECK = "recheck_customers"
RUNNING = values_where(SubscriptionStatus, lambda one: one.may_charge)

# Called for each later one of the subscriptions that run for one person: profile, Stripe's id of it.
on_second: list[Callable[[UserProfile, str], None]] = []


def register() -> None:
    """Make the job kinds known, and listen to what was mirrored."""
    jobs.register(OWN, report_second, label="Report second subscription", needs=("stripe",))
    jobs.register(STRANGERS, report_double_customer, label="Check for a second customer", needs=("stripe",))
    label = "Check customers that are not ours"
    jobs.register(RECHECK, recheck, label=label, every=3600, importance=Job.Importance.SWEEP)
    mirror.on_customer.append(note_mirrored)


def note_mirrored(profile: UserProfile) -> None:
    """Called in the writing transaction: two that run are looked at, one closes the item."""
    if len(_running(profile)) > 1:
        jobs.defer(OWN, profile.pk, reason="more than one subscription runs")
    else:
        attention.resolve_soon(
            Cause.SECOND_SUBSCRIPTION, f"profile:{profile.pk}", why="Only one subscription runs now."
        )
    attention.resolve_soon(
        Cause.PAID_WITHOUT_ACCOUNT, profile.stripe_customer_id or "", why="This is a subscriber now."
    )


def _running(profile: UserProfile) -> list[Subscription]:
    rows = Subscription.objects.filter(customer_id=profile.stripe_customer_id or "", status__in=RUNNING)
    return list(rows.order_by("stripe_created_at", "pk"))


def report_second(profile_id: str) -> None:
    """The job: open the item, with the refund of each later subscription."""
    profile = UserProfile.objects.get(pk=profile_id)
    running = _running(profile)
    if len(running) < 2:
        return
    first, *later = running
    for one in later:
        for listener in on_second:
            listener(profile, one.stripe_id)
    fixes = " ".join(_describe_fix(one.stripe_id) for one in later)
    attention.report(
        Cause.SECOND_SUBSCRIPTION,
        f"profile:{profile.pk}",
        f"{len(later) + 1} subscriptions run for one person, and each is charged; the first is {first.stripe_id}. {fixes}",
        profiles=[profile.pk],
    )


def note_stranger(event: InboundEvent) -> None:
    """A customer nobody here has subscribed to something we sell: one of ours under another customer, or without an account."""
    body = InboundEvent.objects.values_list("body", flat=True).get(pk=event.pk)
    named = plain(json.loads(body)["data"]["object"]) if body else {}  # staff may process an event again after years
    items = [plain(item) for item in plain(named.get("items")).get("data") or []]
    sold = [identify(item.get("price")) or identify(item.get("plan")) for item in items]  # older versions name a plan
    if ProductPrice.objects.filter(stripe_price_id__in=sold).exists():
        jobs.defer(STRANGERS, event.customer_id, reason=event.type, lane=f"customer:{event.customer_id}")


def recheck(_key: str) -> None:
    """The hourly job: somebody may have signed up since, and an event about the end may be lost."""
    about = attention.open_items().filter(cause__in=[Cause.SECOND_SUBSCRIPTION, Cause.PAID_WITHOUT_ACCOUNT])
    for customer_id in about.exclude(key__startswith="profile:").values_list("key", flat=True):
        jobs.defer(STRANGERS, customer_id, reason="the hourly check", lane=f"customer:{customer_id}")


def report_double_customer(customer_id: str) -> None:
    """The job: open the item about this customer's running subscriptions, or close it when nothing runs any more."""
    try:
        with calling_stripe() as client:
            customer = client.v1.customers.retrieve(customer_id)
            listed = client.v1.subscriptions.list({"customer": customer_id, "status": "all", "limit": 100})
            found = [parse_subscription(one) for one in listed.auto_paging_iter()]
    except MissingAtStripe:
        customer, found = None, []
    ours = UserProfile.objects.filter(stripe_customer_id=customer_id).exists()
    running = [] if ours else [one for one in found if one.status.may_charge and _describe_offers([one])]
    profile = _same_person(customer_id, plain(customer).get("email"))
    fixes = " ".join(_describe_fix(one.id) for one in running)
    sentences = {Cause.SECOND_SUBSCRIPTION: "", Cause.PAID_WITHOUT_ACCOUNT: ""}
    if running and profile:
        sentences[Cause.SECOND_SUBSCRIPTION] = (
            f"A subscriber also pays as {customer_id}, another customer at Stripe, and gets nothing for it. {fixes}"
        )
    elif offered := _describe_offers(running):
        sentences[Cause.PAID_WITHOUT_ACCOUNT] = (
            f"{customer_id} pays for {offered}, without an account here, and gets nothing for it. {fixes}"
            " Or write to them first, and invite them to sign up here: what they paid at Stripe does not count here."
        )
    for cause, sentence in sentences.items():
        if sentence:
            attention.report(cause, customer_id, sentence, profiles=[profile.pk] if profile else [])
        else:
            attention.resolve(cause, customer_id, why="It no longer runs, or is somebody else's.")


def _describe_offers(running: list[SubscriptionFacts]) -> str:
    """Which of our products these subscriptions pay for, and how much: `1 × Personal (€5 per month)`; empty for none of ours."""
    lines = [line for one in running for line in one.lines]
    ours = ProductPrice.objects.filter(stripe_price_id__in=[line.price.id for line in lines])
    names = dict(ours.values_list("stripe_price_id", "product__name"))
    return ", ".join(
        f"{line.quantity} × {names[line.price.id]} ({format_money(line.price.unit_amount, line.price.currency)} per {describe_period(line.price.interval, line.price.interval_count)})"
        for line in lines
        if line.price.id in names
    )


def _same_person(customer_id: str, address: Any) -> UserProfile | None:
    """The subscriber with this customer's address."""
    known = UserProfile.customers().exclude(Q(stripe_customer_id=customer_id))
    return known.filter(email__iexact=ascii_email(text(address))).first() if address else None


def _describe_fix(subscription_id: str) -> str:
    """What staff would do at Stripe about one subscription: cancel it and refund its last payment."""
    with calling_stripe() as client:
        paid = client.v1.invoices.list({"subscription": subscription_id, "status": "paid", "limit": 1}).data
        payments = client.v1.invoice_payments.list({"invoice": paid[0]["id"], "status": "paid"}).data if paid else []
    invoice = plain(paid[0]) if paid else {}
    if not payments or not invoice.get("amount_paid"):
        return f"Cancel {subscription_id}; nothing was paid for it."
    payment = plain(plain(payments[0]).get("payment"))
    named = identify(payment.get("payment_intent")) or identify(payment.get("charge")) or identify(invoice)
    amount = format_money(invoice["amount_paid"], text(invoice.get("currency")))
    return f"Cancel {subscription_id} and refund {amount}, its last payment ({named})."
