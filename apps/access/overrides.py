"""Dated staff decisions: hold, grant, no-suspend, waiver, keep-seat, and ending them. Each queues a reconcile.

Before staff confirm one, `imagine` and `imagine_ended` give the facts as they would be, for `reconcile.preview`.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from django.conf import settings
from django.db import transaction

from apps.access import memberships, reconcile, sharing
from apps.access.facts import override_fact, read_facts
from apps.access.models import AccessOverride
from apps.access.policy import Facts, OverrideFact, decide
from apps.accounts.models import UserProfile
from apps.billing import subscriptions
from apps.catalog.entitlements import total
from apps.catalog.models import Product
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core import attention, audit, clock
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.dates import day
from apps.core.errors import BadInput
from apps.core.states import SubscriptionStatus


def hold(*, profile: UserProfile, actor: str, reason: str, until: dt.datetime | None = None) -> AccessOverride:
    """No access, whatever is paid, until `until` or until staff end it."""
    return _add(profile, AccessOverride.Kind.HOLD, until=until, actor=actor, reason=reason)


def grant(
    *,
    profile: UserProfile,
    products: Sequence[Product],
    until: dt.datetime,
    actor: str,
    reason: str,
    syncs: bool = True,
) -> AccessOverride:
    """Access to `products` without payment, until `until`. `syncs`: False where the caller queues the reconcile."""
    if not products:
        raise BadInput("Choose at least one product.", field="products")
    return _add(
        profile,
        AccessOverride.Kind.GRANT,
        until=until,
        actor=actor,
        reason=reason,
        products=products,
        syncs=syncs,
    )


def no_suspend(*, profile: UserProfile, until: dt.datetime, actor: str, reason: str) -> AccessOverride:
    """A late payment does not suspend until `until`."""
    return _add(profile, AccessOverride.Kind.NO_SUSPEND, until=until, actor=actor, reason=reason)


@transaction.atomic
def extend_grace(*, profile: UserProfile, days: int, actor: str, reason: str, approved: bool = False) -> AccessOverride:
    """A late payment does not suspend for `days` more, counted from the end of grace; alone within limits that a helpdesk may use.

    Raises BadInput when no payment is late, and for what `refuse_alone` says unless a second person has `approved` it.
    """
    profile = UserProfile.objects.select_for_update(of=("self",)).select_related("user").get(pk=profile.pk)
    known = read_facts(profile)
    if refusal := refuse_grace(known):
        raise BadInput(refusal)
    if not 1 <= days <= settings.GRACE_EXTENSION_APPROVED_DAYS:
        raise BadInput(f"Choose 1 to {settings.GRACE_EXTENSION_APPROVED_DAYS} days.", field="days")
    if not approved and (refusal := refuse_alone(profile, days)):
        raise BadInput(refusal, field="days")
    return no_suspend(profile=profile, until=extended_grace(known, days=days), actor=actor, reason=reason)


def refuse_grace(known: Facts) -> str:
    """Why the grace period of somebody of whom this is known cannot be extended now, for staff; empty when it can."""
    if not any(one.status == SubscriptionStatus.PAST_DUE for one in known.subscriptions):
        return "No payment of this subscriber is late, or Stripe has stopped trying to collect it."
    return ""


def refuse_alone(profile: UserProfile, days: int) -> str:
    """Why so many more days of grace need a second person; empty within GRACE_EXTENSION_DAYS, once in GRACE_EXTENSION_PAUSE_DAYS."""
    if days > settings.GRACE_EXTENSION_DAYS:
        return f"More than {settings.GRACE_EXTENSION_DAYS} days need an operator's approval."
    since = clock.now() - dt.timedelta(days=settings.GRACE_EXTENSION_PAUSE_DAYS)
    rows = AccessOverride.objects.filter(profile=profile, kind=AccessOverride.Kind.NO_SUSPEND, created_at__gt=since)
    if last := rows.order_by("-created_at").first():
        return f"It was extended on {day(last.created_at)} already, so this needs an operator's approval."
    return ""


def extended_grace(known: Facts, *, days: int) -> dt.datetime:
    """The end of the day so many days after the end of grace, or after today where that is over."""
    ends = [moment for _, moment in decide(known).grace_ends]
    last = max([known.now, *ends]) + dt.timedelta(days=days)
    return dt.datetime.combine(last.date() + dt.timedelta(days=1), dt.time(), dt.UTC)


@transaction.atomic
def waive_dispute(*, profile: UserProfile, actor: str, reason: str) -> AccessOverride:
    """What was disputed until now does not suspend, even if it is lost; until staff end it."""
    for subscription in subscriptions.read_subscriptions(profile.stripe_customer_id):
        for dispute in subscription.disputes:
            attention.resolve(Cause.DISPUTE, dispute["id"], why=f"Waived by {actor}.")
    return _add(profile, AccessOverride.Kind.WAIVE_DISPUTE, until=None, actor=actor, reason=reason)


def keep_seat(*, profile: UserProfile, until: dt.datetime, actor: str, reason: str) -> AccessOverride:
    """Keep seats and entitlements after a cancellation until `until`, if that is later than the terms say."""
    return _add(profile, AccessOverride.Kind.KEEP_SEAT, until=until, actor=actor, reason=reason)


@transaction.atomic
def _add(  # noqa: PLR0913  (all of a decision)
    profile: UserProfile,
    kind: AccessOverride.Kind,
    *,
    until: dt.datetime | None,
    actor: str,
    reason: str,
    products: Sequence[Product] = (),
    syncs: bool = True,
) -> AccessOverride:
    now = clock.now()
    if until is not None and until <= now:
        raise BadInput("The end must lie in the future.", field="until")
    override = AccessOverride.objects.create(
        profile=profile,
        kind=kind,
        reason=reason,
        created_by=actor,
        created_at=now,
        starts_at=now,
        ends_at=until,
    )
    override.products.set(products)
    after = {
        "kind": str(kind),
        "until": until.isoformat() if until else None,
        "products": [product.slug for product in products],
    }
    if syncs:
        _sync(profile, kind, reason=f"{kind} by {actor}")
    audit.record(subject=profile.subject, action=AuditAction.OVERRIDE_ADDED, actor=actor, reason=reason, after=after)
    return override


@transaction.atomic
def lift(*, override: AccessOverride, actor: str, reason: str) -> None:
    """End an override now; ending it twice changes nothing."""
    if not AccessOverride.objects.filter(pk=override.pk, lifted_at=None).update(lifted_at=clock.now()):
        return
    profile = override.profile
    _sync(profile, override.kind, reason=f"{override.kind} lifted by {actor}")
    audit.record(
        subject=profile.subject,
        action=AuditAction.OVERRIDE_ENDED,
        before={"kind": override.kind},
        actor=actor,
        reason=reason,
    )


def _sync(profile: UserProfile, kind: str, *, reason: str) -> None:
    """The subscriber, and those for whom they pay where it is about that."""
    reconcile.enqueue(profile, reason=reason)
    if kind in sharing.ABOUT_MONEY:
        memberships.sync_later(profile, reason=reason)


def imagine(
    profile: UserProfile,
    kind: AccessOverride.Kind,
    *,
    until: dt.datetime | None = None,
    products: Sequence[Product] = (),
) -> Facts:
    """The facts about `profile` as they would be with one more decision, from now on."""
    catalog = entitlements_by_product()
    known = read_facts(profile, catalog)
    gives = total(catalog[product.pk] for product in products)
    return replace(known, overrides=(*known.overrides, OverrideFact(str(kind), known.now, until, gives)))


def imagine_ended(override: AccessOverride) -> Facts:
    """The facts about its subscriber as they would be without it."""
    catalog = entitlements_by_product()
    known, ended = read_facts(override.profile, catalog), override_fact(override, catalog)
    others = list(known.overrides)
    if ended in others:
        others.remove(ended)
    return replace(known, overrides=tuple(others))
