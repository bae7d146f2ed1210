"""Brings Stripe's current state of one customer into Postgres: first the facts that decide, then copies for pages.

Promises: everything is fetched again before it is written; no transaction is open over a call; jobs run in the lane of
their customer, so an older answer never overwrites a newer one; whatever can be read of the answer is written, and what
cannot is told to staff. Who must know registers in `fact_rows.on_customer` (in the writing transaction) or `on_session`.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import stripe
import structlog
from django.db import transaction

from apps.accounts.models import UserProfile
from apps.billing import comparison, copies, coupons, paused_trials, payment_notes, payments, upcoming
from apps.billing.covered_events import changed_sessions, find_waiting, mark_covered
from apps.billing.fact_rows import on_customer, write_customer
from apps.billing.ledger import Ledger, fetch_ledger
from apps.billing.models import InboundEvent, Subscription
from apps.billing.parsing import LineFacts, SubscriptionFacts, amount_in, identify, parse_subscription, plain
from apps.billing.stripe_client import calling_stripe
from apps.core import attention, clock, jobs, retention
from apps.core.errors import RetryLater
from apps.core.models import Job
from apps.core.states import SubscriptionStatus, values_where

log = structlog.get_logger(__name__)

KIND, COPY_KIND = "mirror_customer", "compare_copies"
DAY = 86_400

on_session: list[Callable[[str], None]] = []

__all__ = ["KIND", "mirror_customer", "mirror_later", "on_customer", "on_session", "register"]


def register() -> None:
    """Make the job kinds known."""
    jobs.register(KIND, mirror_or_retry, label="Refresh from Stripe", needs=("stripe",))
    jobs.register(COPY_KIND, copy_again, label="Compare copies of Stripe", every=DAY, importance=Job.Importance.SWEEP)
    retention.register("stripe_details", copies.prune, copies.count_overdue)


def mirror_later(customer_id: str, *, reason: str, importance: Job.Importance | None = None) -> None:
    """Queue a fetch of the customer's current state, in its lane."""
    jobs.defer(KIND, customer_id, reason=reason, lane=f"customer:{customer_id}", importance=importance)


def copy_again(_key: str) -> None:
    """The nightly job: fetch the customers whose copies do not say what the facts say; a killed worker may leave some."""
    for customer_id in sorted(comparison.find_outdated_copies()):
        mirror_later(customer_id, reason="the copy differs from the facts", importance=Job.Importance.SWEEP)


def mirror_or_retry(customer_id: str) -> None:
    """The job: mirror the customer; RetryLater when nobody here has it."""
    if not mirror_customer(customer_id):
        raise RetryLater(f"No subscriber has the customer {customer_id} yet.")


@attention.resolving_together()
def mirror_customer(customer_id: str, *, event: InboundEvent | None = None) -> bool:
    """Fetch what decides about the customer, write it, then copy what was fetched; False: not ours.

    Marks `event` and every waiting event of the customer handled. Raises the errors of calling_stripe.
    """
    profile = UserProfile.objects.filter(stripe_customer_id=customer_id).first()
    if profile is None:
        return False
    asked_at = clock.now()
    waiting, failures = find_waiting(customer_id)
    events = {one.pk: one for one in [*waiting, *([event] if event else [])]}.values()
    with calling_stripe() as client:
        customer, found = _fetch_customer(client, customer_id)
        is_deleted = bool(getattr(customer, "deleted", False))
        ledger = Ledger() if is_deleted else fetch_ledger(client, customer_id)
        if paused_trials.resume(client, customer, found, ledger):
            customer, found = _fetch_customer(client, customer_id)
            ledger = fetch_ledger(client, customer_id)
        sums = {identify(one): None if is_deleted else _payment_facts(ledger, one, failures) for one in found}
        facts = [_read_facts(client, one, customer) for one in found]
    _write(profile, facts, sums, changed_sessions(events))
    payment_notes.note_other_disputes(profile, ledger, set(sums))
    payment_notes.note_late_payments(profile, ledger, facts)
    _copy(profile, customer, found, ledger)
    coupons.note_discounts(profile, customer, found, ledger)
    charges = upcoming.fetch_next_charges(facts)
    with transaction.atomic():
        upcoming.store_next_charges(charges)
        mark_covered(events, asked_at=asked_at)
    return True


def _read_facts(client: stripe.StripeClient, one: Any, customer: Any) -> SubscriptionFacts:
    found = replace(parse_subscription(one), after_trial=paused_trials.read_after_trial(one, customer))
    return _with_options(client, found)


@transaction.atomic
def _write(
    profile: UserProfile,
    facts: list[SubscriptionFacts],
    sums: dict[str, payments.PaymentFacts | None],
    sessions: list[str],
) -> None:
    """The facts; and first, who waits for these Checkout sessions, because what follows from the facts depends on it."""
    for session_id in sessions:
        for listener in on_session:
            listener(session_id)
    write_customer(profile, facts, sums)


def _fetch_customer(client: stripe.StripeClient, customer_id: str) -> tuple[Any, list[Any]]:
    """The customer and all of its subscriptions, each with all of its lines.

    Stripe's list shows the customer with each subscription, which spares the call for it. It has none of a customer who was
    deleted: those we know are fetched by their ids, for when they ended, and with what.
    """
    found = _list_subscriptions(client, customer_id)
    shown = [one["customer"] for one in found if plain(plain(one).get("customer"))]
    customer = shown[0] if shown else client.v1.customers.retrieve(customer_id)
    if getattr(customer, "deleted", False):
        known = Subscription.objects.filter(customer_id=customer_id).values_list("stripe_id", flat=True)
        return customer, [one for one in copies.fetch_subscriptions(known) if parse_subscription(one).status.ended]
    # One we know that is not listed is fetched by its id; "No such subscription" is then an error for staff.
    found += [client.v1.subscriptions.retrieve(each) for each in _unlisted(customer_id, found)]
    for one in found:
        one["customer"] = customer_id
        if plain(plain(one).get("items")).get("has_more"):
            rest = client.v1.subscription_items.list({"subscription": one["id"], "limit": 100})
            one["items"]["data"] = list(rest.auto_paging_iter())
    return customer, found


def _list_subscriptions(client: stripe.StripeClient, customer_id: str) -> list[Any]:
    query: Any = {"customer": customer_id, "status": "all", "limit": 100, "expand": ["data.customer"]}
    try:
        listed = client.v1.subscriptions.list(query)
        return [one for one in listed.auto_paging_iter() if identify(one)]
    except stripe.InvalidRequestError as error:
        if error.code != "resource_missing":  # a customer who is gone has no list
            raise
        return []


def _unlisted(customer_id: str, found: list[Any]) -> list[str]:
    """The customer's running subscriptions that Stripe's list lacks."""
    known = Subscription.objects.filter(customer_id=customer_id).exclude(
        status__in=values_where(SubscriptionStatus, lambda one: one.ended)
    )
    return list(known.exclude(stripe_id__in=[identify(one) for one in found]).values_list("stripe_id", flat=True))


def _payment_facts(ledger: Ledger, one: Any, failures: dict[str, dt.datetime]) -> payments.PaymentFacts | None:
    """What was paid and what is owed; None when Stripe's answer about it has a form that is new to us."""
    try:
        return payments.read_payments(ledger, one, now=clock.now(), failures=failures)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        log.exception("payment_facts_unknown", subscription=identify(one))
        return None


def _with_options(client: stripe.StripeClient, facts: SubscriptionFacts) -> SubscriptionFacts:
    """The facts with the amounts of prices in further currencies, which Stripe shows only when asked."""
    return replace(facts, lines=tuple(_with_option(client, line) for line in facts.lines))


def _with_option(client: stripe.StripeClient, line: LineFacts) -> LineFacts:
    if not line.options_missing:
        return line
    try:
        price = client.v1.prices.retrieve(line.price.id, {"expand": ["currency_options"]})
    except stripe.StripeError:
        return line  # the amount stays unknown: it is for pages only
    return replace(line, price=replace(line.price, unit_amount=amount_in(price, line.price.currency)))


def _copy(profile: UserProfile, customer: Any, found: list[Any], ledger: Ledger) -> None:
    """Copy what was fetched into dj-stripe's mirror, those first that others refer to."""
    if getattr(customer, "deleted", False):
        copies.copy_all([customer, *found], profiles=[profile.pk])
        return
    copies.fetch_missing_products(found, profiles=[profile.pk])
    methods = copies.fetch_payment_methods(identify(customer))
    copies.copy_all([*methods, customer, *found, *ledger.objects], profiles=[profile.pk])
