"""Instances as staff manage them: creation, caps, availability, location, notices. Seats are allocation.py's.

Every change writes one audit entry about the instance, and offers the room it makes to waiting subscribers.
"""

import datetime as dt
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.instances import allocation
from apps.instances.models import Instance


@transaction.atomic
def create_instance(instance: Instance, *, actor: str, reason: str) -> Instance:
    """Save a new instance together with its Django group, which is named like its Keycloak group."""
    _check_caps(instance)
    instance.group, _ = Group.objects.get_or_create(name=instance.keycloak_group)
    instance.allocated_seats = instance.reserved = instance.assigned = instance.retained = 0
    instance.over_cap_since = None
    instance.save(force_insert=True)
    after = _caps(instance) | _availability(instance) | _location(instance)
    _record(instance, AuditAction.INSTANCE_CREATED, actor, reason, {}, after)
    allocation.offer_later(instance.product_id)
    return instance


@transaction.atomic
def change_caps(
    *,
    instance: Instance,
    soft_cap: int,
    allocation_cap: int,
    hard_cap: int,
    actor: str,
    reason: str,
) -> Instance:
    """Set the caps; BadInput unless soft < allocation < hard. Nobody is removed: the instance is marked over cap."""
    found = Instance.objects.select_for_update().get(pk=instance.pk)
    before = _caps(found)
    found.soft_cap, found.allocation_cap, found.hard_cap = soft_cap, allocation_cap, hard_cap
    _check_caps(found)
    over = found.allocated_seats > found.hard_cap
    found.over_cap_since = (found.over_cap_since or clock.now()) if over else None
    found.save(update_fields=["soft_cap", "allocation_cap", "hard_cap", "over_cap_since"])
    _record(found, AuditAction.INSTANCE_CAPS_CHANGED, actor, reason, before, _caps(found))
    allocation.offer_later(found.product_id)
    return found


@transaction.atomic
def set_availability(*, instance: Instance, is_active: bool, auto_allocate: bool, actor: str, reason: str) -> Instance:
    """Set whether the instance is in use, and whether new subscribers are assigned to it. Existing seats stay."""
    found = Instance.objects.select_for_update().get(pk=instance.pk)
    if found.draining_since and auto_allocate:
        raise BadInput(f"{found} is being drained. End its seat plan before it opens.", field="auto_allocate")
    before = _availability(found)
    found.is_active, found.auto_allocate = is_active, auto_allocate
    found.save(update_fields=["is_active", "auto_allocate"])
    _record(found, AuditAction.INSTANCE_AVAILABILITY_CHANGED, actor, reason, before, _availability(found))
    allocation.offer_later(found.product_id)
    return found


@transaction.atomic
def set_location(*, instance: Instance, location: str, country: str, actor: str, reason: str) -> Instance:
    """Set where the data of its users lives, as they read it."""
    found = Instance.objects.select_for_update().get(pk=instance.pk)
    before = _location(found)
    found.location, found.country = location, country
    found.save(update_fields=["location", "country"])
    _record(found, AuditAction.INSTANCE_LOCATION_CHANGED, actor, reason, before, _location(found))
    return found


@transaction.atomic
def set_notice(
    *, instance: Instance, notice: str, between: tuple[dt.datetime, dt.datetime] | None, actor: str, reason: str
) -> Instance:
    """Tell its users of maintenance or a disruption `between` two moments; without a `notice`, that there is none any more."""
    begins, ends = between if notice and between else (None, None)
    if notice and (begins is None or ends is None or ends <= begins):
        raise BadInput("A notice ends after it begins.", field="until")
    if ends and ends <= clock.now():
        raise BadInput("That is over already.", field="until")
    found = Instance.objects.select_for_update().get(pk=instance.pk)
    before = _notice(found)
    found.notice, found.notice_from, found.notice_until = notice, begins, ends
    found.save(update_fields=["notice", "notice_from", "notice_until"])
    _record(found, AuditAction.INSTANCE_NOTICE_CHANGED, actor, reason, before, _notice(found))
    return found


@transaction.atomic
def begin_drain(*, instance: Instance, actor: str, reason: str) -> bool:
    """From here on nobody comes in; returns whether it was open to new subscribers. BadInput when it is draining already."""
    found = Instance.objects.select_for_update().get(pk=instance.pk)
    if found.draining_since:
        raise BadInput(f"{found} is being drained already.")
    was_open = found.auto_allocate
    found.draining_since, found.auto_allocate = clock.now(), False
    _save_drain(found, actor, reason, was_open=was_open)
    return was_open


@transaction.atomic
def end_drain(*, instance: Instance, reopen: bool, actor: str, reason: str) -> None:
    """It is an instance as any other again; `reopen`: new subscribers come in, too."""
    found = Instance.objects.select_for_update().get(pk=instance.pk)
    found.draining_since, found.auto_allocate = None, reopen
    _save_drain(found, actor, reason, was_open=False)
    allocation.offer_later(found.product_id)


def _save_drain(instance: Instance, actor: str, reason: str, *, was_open: bool) -> None:
    instance.save(update_fields=["draining_since", "auto_allocate"])
    drains = instance.draining_since is not None
    before = _availability(instance) | {"auto_allocate": was_open, "draining": not drains}
    after = _availability(instance) | {"draining": drains}
    _record(instance, AuditAction.INSTANCE_AVAILABILITY_CHANGED, actor, reason, before, after)


def _check_caps(instance: Instance) -> None:
    if not 0 <= instance.soft_cap < instance.allocation_cap < instance.hard_cap:
        raise BadInput(
            "The soft cap must be below the allocation cap, and that below the hard cap.",
            field="soft_cap",
        )


def _caps(instance: Instance) -> dict[str, Any]:
    return {name: getattr(instance, name) for name in ("soft_cap", "allocation_cap", "hard_cap")}


def _availability(instance: Instance) -> dict[str, Any]:
    return {"is_active": instance.is_active, "auto_allocate": instance.auto_allocate}


def _location(instance: Instance) -> dict[str, Any]:
    return {"location": instance.location, "country": instance.country}


def _notice(instance: Instance) -> dict[str, Any]:
    moments = {"from": instance.notice_from, "until": instance.notice_until}
    return {"notice": instance.notice} | {name: at.isoformat() if at else None for name, at in moments.items()}


def _record(
    instance: Instance,
    action: AuditAction,
    actor: str,
    reason: str,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    audit.record(
        subject=("instance", instance.pk),
        action=action,
        actor=actor,
        reason=reason,
        before=before,
        after=after,
    )
