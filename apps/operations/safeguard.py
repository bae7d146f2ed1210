"""The safeguard: a sweep that would take access from more than max(20, 5 %) of those who have it stops and asks staff.

Promises: a sweep takes nothing from anybody before all of it was counted; beyond the limit nobody loses anything until staff
approve exactly these subscribers, for a day; within the limit nothing is asked. A loss with an event or a date of its own is
not a sweep's and never comes here.

A sweep calls `start_collecting`, then `collect` for each slice with those who would lose access, and at the end `check`,
which returns who may be reconciled or raises NeedsOperator. Subscribers who lose nothing are never delayed.

    collecting --check--> (deleted)           within the limit, or approved: the sweep goes on
               --check--> pending             too many: staff are asked
    pending    --approve--> confirmed         valid for a day and for these subscribers
               --check--> obsolete            the cause is gone

A pending review has an attention item, so that staff are told of it wherever they are.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection

from django.db import transaction
from django.db.models import CharField, Exists, Func, IntegerField, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from apps.access import reconcile
from apps.access.policy import Decision, SeatDecision
from apps.accounts.models import UserProfile
from apps.core import attention, audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput, NeedsOperator
from apps.core.states import AccessState, values_where
from apps.instances.models import Seat
from apps.operations import approvals, bulk_facts
from apps.operations.models import ApprovalRequest, SafeguardReview

FLOOR, SHARE = 20, 0.05
HAS_ACCESS = values_where(AccessState, lambda one: one.has_access)
KEPT_A_SEAT = values_where(AccessState, lambda one: one.awaits_expiry)
APPROVED_FOR = dt.timedelta(days=1)
State = SafeguardReview.State

# --- how many are too many -------------------------------------------------------------------------------------------


def count_with_access() -> int:
    """How many have access, by their last sync."""
    return UserProfile.objects.filter(access_state__in=HAS_ACCESS).count()


def loss_limit(with_access: int) -> int:
    """How many of `with_access` may lose access in one sweep without an approval."""
    return int(max(FLOOR, SHARE * with_access))


def exceeds_limit(losing: int, with_access: int) -> bool:
    """Whether staff have to approve."""
    return losing > loss_limit(with_access)


# --- what a sweep calls ----------------------------------------------------------------------------------------------


@transaction.atomic
def start_collecting(sweep: str) -> None:
    """Begin a walk, and drop what an unfinished one had collected."""
    SafeguardReview.objects.filter(sweep=sweep, scope="", state=State.COLLECTING).delete()
    now = clock.now()
    SafeguardReview.objects.create(sweep=sweep, opened_at=now, seen_at=now)


@transaction.atomic
def collect(sweep: str, losing: Collection[int]) -> None:
    """Add the profiles of one slice that would lose access. Repeating a slice changes nothing."""
    row = _reviews(sweep, "").filter(state=State.COLLECTING).first()
    if row is None:
        # The last slice is repeated after the check: what was collected is in the review that it opened or used.
        now = clock.now()
        last = _reviews(sweep, "").filter(Q(state=State.PENDING) | Q(state=State.CONFIRMED, until__gt=now)).first()
        row = SafeguardReview(sweep=sweep, opened_at=now, seen_at=now, profile_ids=last.profile_ids if last else [])
    row.profile_ids = sorted({*row.profile_ids, *losing})
    row.save()


def check(sweep: str, *, job_key: str, scope: str = "", losing: Collection[int] = ()) -> list[int]:
    """Return who may lose access now, of those collected and of `losing`: all of them, if few or approved.

    Otherwise opens a review for staff and raises NeedsOperator; `job_key` names the job that continues once approved.
    """
    sentence, allowed = _check(sweep, job_key, scope, losing)
    if sentence:
        raise NeedsOperator(sentence)
    return allowed


@transaction.atomic
def _check(sweep: str, job_key: str, scope: str, losing: Collection[int]) -> tuple[str, list[int]]:
    collected = _reviews(sweep, scope).filter(state=State.COLLECTING).first()
    profile_ids = sorted({*losing, *(collected.profile_ids if collected else [])})
    with_access, now = count_with_access(), clock.now()
    if collected:
        collected.delete()
    pending = _reviews(sweep, scope).filter(state=State.PENDING).first()
    if not exceeds_limit(len(profile_ids), with_access):
        _close(pending)
        return "", profile_ids
    approved = _reviews(sweep, scope).filter(state=State.CONFIRMED, until__gt=now).first()
    if approved and set(profile_ids) <= set(approved.profile_ids):
        _close(pending)
        allowed = profile_ids if approved.used_at else approved.profile_ids
        SafeguardReview.objects.filter(pk=approved.pk, used_at=None).update(used_at=now)
        return "", allowed
    review = pending or SafeguardReview(sweep=sweep, scope=scope, state=State.PENDING, opened_at=now)
    review.profile_ids, review.with_access, review.job_key, review.seen_at = profile_ids, with_access, job_key, now
    review.save()
    sentence = review_sentence(review)
    attention.report(
        attention.Cause.SAFEGUARD, str(review.pk), sentence, profiles=profile_ids[: attention.MAX_PROFILES]
    )
    return sentence, []


def _reviews(sweep: str, scope: str) -> QuerySet[SafeguardReview]:
    return SafeguardReview.objects.select_for_update().filter(sweep=sweep, scope=scope).order_by("-pk")


def _close(pending: SafeguardReview | None) -> None:
    if pending is not None:
        SafeguardReview.objects.filter(pk=pending.pk).update(state=State.OBSOLETE, seen_at=clock.now())
        attention.resolve(attention.Cause.SAFEGUARD, str(pending.pk), why="The sweep no longer asks.")


# --- what staff see and do -------------------------------------------------------------------------------------------


def list_reviews() -> QuerySet[SafeguardReview]:
    """The reviews with `losing`, how many would lose access; who they are is read only where asked for."""
    rows = SafeguardReview.objects.exclude(state=State.COLLECTING).defer("profile_ids")
    return rows.annotate(losing=Func("profile_ids", function="cardinality", output_field=IntegerField()))


def review_sentence(review: SafeguardReview) -> str:
    """What staff are asked."""
    return (
        f"{review.sweep_label} would take access from {len(review.profile_ids)} of {review.with_access} subscribers;"
        f" more than {loss_limit(review.with_access)} at once need an approval. Nobody has lost access yet. Check who they"
        " are under Safeguard and approve it there, or fix the cause: the next sweep then no longer asks."
    )


@transaction.atomic
def approve(review: SafeguardReview, *, expected: int, actor: str, reason: str) -> None:
    """Let the sweep take access from exactly these subscribers, within a day; it continues at once.

    `expected` is how many there were when staff looked. BadInput when that has changed, the review is no longer open, or they
    are more than one person may decide about.
    """
    row = SafeguardReview.objects.select_for_update().get(pk=review.pk)
    refuse_approval(row, expected=expected)
    approvals.refuse_alone(ApprovalRequest.Action.APPROVE_REVOCATION, expected, actor=actor)
    now = clock.now()
    row.state, row.decided_by, row.decided_at, row.reason = State.CONFIRMED, approvals.name_deciders(actor), now, reason
    row.until = now + APPROVED_FOR
    row.save()
    audit.record(
        subject=("safeguardreview", row.pk), action=AuditAction.REVOCATION_APPROVED, actor=actor, reason=reason,
        after={"sweep": row.sweep, "subscribers": len(row.profile_ids), "until": row.until.isoformat()},
    )  # fmt: skip
    attention.resolve(attention.Cause.SAFEGUARD, str(row.pk), why=f"Approved by {actor}.")
    jobs.defer(row.sweep, row.job_key, reason=f"approved by {actor}")


def refuse_approval(review: SafeguardReview, *, expected: int) -> None:
    """Raise BadInput when it is no longer open, or about others than when staff looked."""
    if review.state != State.PENDING:
        raise BadInput("This review is no longer open.")
    if expected != len(review.profile_ids):
        raise BadInput(f"There are now {len(review.profile_ids)} of them. Please check again.", field="confirmation")


# --- who would lose --------------------------------------------------------------------------------------------------


def find_losing(people: QuerySet[UserProfile] | Collection[int]) -> list[int]:
    """Those who have access by their last sync, or a seat, and would lose it if reconciled now. Fifteen queries, no call.

    Not counted: subscribers whose own date has come, or whose reconcile is already queued. A sweep is not the cause there.
    """
    profiles = UserProfile.objects.filter(pk__in=people, access_state__in=(*HAS_ACCESS, *KEPT_A_SEAT))  # type: ignore[misc]
    running = reconcile.in_progress().filter(key=Cast(OuterRef("pk"), CharField()))
    profiles = profiles.exclude(access_until__lte=clock.now()).filter(Q(pending_since=None) | ~Exists(running))
    found = dict(profiles.order_by("pk").values_list("pk", "access_state"))
    if not found:
        return []
    seats, decided = _seats(profiles), bulk_facts.decide_many(profiles)
    return [pk for pk, state in found.items() if pk in decided and _loses(state, decided[pk], seats[pk])]


def _seats(people: QuerySet[UserProfile]) -> dict[int, dict[str, str]]:
    """The state of the assigned or retained seats that each has, by product."""
    seats: dict[int, dict[str, str]] = defaultdict(dict)
    rows = Seat.objects.filter(profile__in=people, state__in=[Seat.State.ASSIGNED, Seat.State.RETAINED])
    for pk, slug, state in rows.values_list("profile_id", "product__slug", "state"):
        seats[pk][slug] = state
    return seats


def _loses(state: str, decision: Decision, seats: dict[str, str]) -> bool:
    """Whether one subscriber who is in `state` by the last sync loses access or a kept seat."""
    if state in KEPT_A_SEAT:
        return bool(seats) and decision.seats == SeatDecision.RELEASED
    stays = decision.entitlements.seats | {slug for slug in decision.kept if seats.get(slug) == Seat.State.RETAINED}
    return decision.state not in HAS_ACCESS or (not decision.partial and bool(seats.keys() - stays))
