"""Dated staff decisions: hold, grant, no-suspend, waiver, keep-seat, and ending them. Each queues a reconcile."""

import datetime as dt
from collections.abc import Sequence

from django.db import transaction

from apps.access import reconcile
from apps.access.models import AccessOverride
from apps.accounts.models import UserProfile
from apps.billing import subscriptions
from apps.catalog.models import Product
from apps.core import attention, audit, clock
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput


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
) -> AccessOverride:
    """Access to `products` without payment, until `until`."""
    if not products:
        raise BadInput("Choose at least one product.", field="products")
    return _add(
        profile,
        AccessOverride.Kind.GRANT,
        until=until,
        actor=actor,
        reason=reason,
        products=products,
    )


def no_suspend(*, profile: UserProfile, until: dt.datetime, actor: str, reason: str) -> AccessOverride:
    """A late payment does not suspend until `until`."""
    return _add(profile, AccessOverride.Kind.NO_SUSPEND, until=until, actor=actor, reason=reason)


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
def _add(
    profile: UserProfile,
    kind: AccessOverride.Kind,
    *,
    until: dt.datetime | None,
    actor: str,
    reason: str,
    products: Sequence[Product] = (),
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
    audit.record(subject=profile.subject, action=AuditAction.OVERRIDE_ADDED, actor=actor, reason=reason, after=after)
    reconcile.enqueue(profile, reason=f"{kind} by {actor}")
    return override


@transaction.atomic
def lift(*, override: AccessOverride, actor: str, reason: str) -> None:
    """End an override now; ending it twice changes nothing."""
    if not AccessOverride.objects.filter(pk=override.pk, lifted_at=None).update(lifted_at=clock.now()):
        return
    profile = override.profile
    audit.record(
        subject=profile.subject,
        action=AuditAction.OVERRIDE_ENDED,
        before={"kind": override.kind},
        actor=actor,
        reason=reason,
    )
    reconcile.enqueue(profile, reason=f"{override.kind} lifted by {actor}")
