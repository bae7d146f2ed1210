"""Incident mode: staff freeze what billing takes, for everybody or for a product, and what follows when it is over.

Promises: from the moment it begins until it is over nobody loses access, a group, a seat or an account through billing, whatever asks
for it; giving goes on, and so do holds and erasures, which a person decides. What was held back stays so until the job below releases
it: it counts them as the safeguard counts a sweep's losses, and deletes their rows with the request of a fresh sync in one transaction.
A process killed before that leaves the rows, by which the minute sweep asks for the job again.
"""

import datetime as dt

from django.conf import settings
from django.db import transaction

from apps.access import freezes, reconcile
from apps.access.models import AccessFreeze, HeldBackLoss
from apps.catalog.models import Product
from apps.core import attention, audit, clock, jobs
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.job_outcomes import PERIODIC
from apps.core.locks import LockClass, lock_until_commit
from apps.core.models import Job
from apps.operations import safeguard
from apps.operations.models import SafeguardReview

KIND = "decide_held_back"
REASON = "incident mode ended"
LONG = dt.timedelta(hours=24)
EVERYBODY = "everybody"


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, decide_held_back, label="Decide again after incident mode")


# --- what staff do ---------------------------------------------------------------------------------------------------


@transaction.atomic
def begin(*, product: Product | None, until: dt.datetime, actor: str, reason: str) -> AccessFreeze:
    """Freeze for everybody, or for those who have `product`. BadInput for a bad end, or when that is frozen already."""
    lock_until_commit(LockClass.INCIDENT, 0)
    now = clock.now()
    _check_end(until, now)
    close_over()
    if AccessFreeze.objects.filter(product=product, ended_at=None).exists():
        raise BadInput(f"Incident mode is on for {product or EVERYBODY} already. Prolong it instead.", field="product")
    freeze = AccessFreeze.objects.create(product=product, reason=reason, begun_at=now, begun_by=actor, until=until)
    _record(freeze, AuditAction.INCIDENT_BEGUN, actor, reason)
    return freeze


@transaction.atomic
def change_end(freeze: AccessFreeze, *, until: dt.datetime, actor: str, reason: str) -> None:
    """Let it end later, or earlier. BadInput for a bad end, or when it is over."""
    now = clock.now()
    _check_end(until, now)
    if not AccessFreeze.in_force(now).filter(pk=freeze.pk).update(until=until):
        raise BadInput(OVER)
    freeze.until = until
    _record(freeze, AuditAction.INCIDENT_PROLONGED, actor, reason)
    # What happens next to those who are held back has another date now.
    held = HeldBackLoss.objects.values_list("profile", flat=True)
    reconcile.enqueue_many(held, reason="incident mode prolonged", importance=Job.Importance.SWEEP)


@transaction.atomic
def end(freeze: AccessFreeze, *, actor: str, reason: str, expected: int | None = None) -> None:
    """End it now, and decide about everybody again of whom something is held back.

    `expected`: how many these were when staff looked. BadInput when there are others now, or when it is over.
    """
    if expected is not None and expected != (held := HeldBackLoss.objects.count()):
        raise BadInput(f"{held} are held back now. Please check again.", field="confirmation")
    if not AccessFreeze.objects.filter(pk=freeze.pk, ended_at=None).update(ended_at=clock.now(), ended_by=actor):
        raise BadInput(OVER)
    _close(freeze, actor, reason)


OVER = "This incident is over already."


def _check_end(until: dt.datetime, now: dt.datetime) -> None:
    if until <= now:
        raise BadInput("The end must lie in the future.", field="until")
    if until > now + dt.timedelta(hours=settings.INCIDENT_MAX_HOURS):
        raise BadInput(f"Choose an end within {settings.INCIDENT_MAX_HOURS} hours. It can be prolonged.", field="until")


def _record(freeze: AccessFreeze, action: AuditAction, actor: str, reason: str) -> None:
    after = {"for": freeze.product.slug if freeze.product else EVERYBODY, "until": freeze.until.isoformat()}
    audit.record(subject=("accessfreeze", freeze.pk), action=action, actor=actor, reason=reason, after=after)


def _close(freeze: AccessFreeze, actor: str, reason: str) -> None:
    """What follows the end of one, by hand or by time."""
    _record(freeze, AuditAction.INCIDENT_ENDED, actor, reason)
    attention.resolve(Cause.INCIDENT, str(freeze.pk), why="Incident mode is over.")
    jobs.defer(KIND, PERIODIC, reason=REASON)


# --- what the minute sweep does --------------------------------------------------------------------------------------


@transaction.atomic
def watch() -> None:
    """End what is over, tell staff of what runs for long, and ask for the job where something is held back that nothing covers."""
    close_over()
    for freeze in AccessFreeze.objects.filter(ended_at=None, begun_at__lte=clock.now() - LONG).select_related(
        "product"
    ):
        told = (
            f"Incident mode has been on for {freeze.product or EVERYBODY} for more than a day: nobody loses access that is no longer"
            " paid. End it as soon as billing can be trusted again, under Incident mode in the console."
        )
        attention.report(Cause.INCIDENT, str(freeze.pk), told)
    if (waiting := list_uncovered()) and _is_news(waiting):
        jobs.defer(KIND, PERIODIC, reason="losses are held back, and incident mode is over")


def close_over() -> None:
    """End those whose time is up."""
    for freeze in AccessFreeze.objects.select_for_update().filter(ended_at=None, until__lte=clock.now()):
        AccessFreeze.objects.filter(pk=freeze.pk).update(ended_at=freeze.until, ended_by=audit.SYSTEM)
        _close(freeze, audit.SYSTEM, "Its time was up.")


def _is_news(waiting: list[int]) -> bool:
    """Whether nobody was asked about exactly these: while staff are, the job does not ask again each minute."""
    if Job.objects.filter(kind=KIND, state__in=Job.UNFINISHED).exists():
        return False
    asked = SafeguardReview.objects.filter(sweep=KIND, state=SafeguardReview.State.PENDING).first()
    return asked is None or asked.profile_ids != waiting


# --- the fresh decision ----------------------------------------------------------------------------------------------


def list_uncovered() -> list[int]:
    """The subscribers of whom something is held back, and whom no freeze covers any more."""
    held = list(HeldBackLoss.objects.order_by("profile").values_list("profile", flat=True))
    found = freezes.read_open([]) if held else None
    if found is None or found.everybody:
        return []
    holders = freezes.find_holders(held, found.products)
    return [one for one in held if not any(one in people for people in holders.values())]


def decide_held_back(_key: str) -> None:
    """The job: release what is held back of those whom nothing covers, if they are few or approved; else raises NeedsOperator."""
    release(safeguard.check(KIND, job_key=PERIODIC, losing=list_uncovered()))


@transaction.atomic
def release(people: list[int]) -> None:
    """Let billing apply to these again, who are still not covered: each is decided about afresh."""
    lock_until_commit(LockClass.INCIDENT, 0)
    ready = sorted(set(people) & set(list_uncovered()))
    reconcile.enqueue_many(ready, reason=REASON, importance=Job.Importance.CHANGE)
    HeldBackLoss.objects.filter(profile__in=ready).delete()
