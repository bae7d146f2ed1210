"""Seat plans: staff drain an instance or even out the load of a product, each person is asked, and who says yes is moved.

Promises: data does not move with a seat, so nobody is moved without a recorded yes, which the database holds too; a plan of a
product is the only open one; once `pause` or `end` has returned, nobody is moved; an instance that drains takes nobody in; caps and
counters are allocation.py's, which moves each seat. Asking and moving is seat_plan_job.py's.

Each change of a move locks its plan, then the move, then what allocation.py locks.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import batched
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import audit, clock, jobs, languages
from apps.core.audit_actions import AuditAction
from apps.core.dates import day
from apps.core.errors import BadInput
from apps.core.locks import LockClass, lock_until_commit
from apps.core.states import AccessState
from apps.instances import allocation, deployments
from apps.instances.models import Instance, Provisioning, Seat
from apps.notifications.mail import notify
from apps.operations import approvals, seat_placement
from apps.operations.models import ApprovalRequest, SeatMove, SeatPlan
from apps.operations.seat_placement import Placement, PlannedRoom

KIND = "move_seats"
ASKED, REMINDED, MOVED = "seat_move", "seat_move_reminder", "seat_moved"  # emails
MOST = 500  # moves of one plan that evens out; another plan may follow
Kind, State, Answer = SeatPlan.Kind, SeatMove.State, SeatMove.Answer
TAKEN_BACK = "The seat was moved or released in the meantime."


@dataclass(frozen=True)
class ProposedPlan:
    """What a plan would hold if it were started now. `held`: seats on the instance that somebody is paying for; they are planned later."""

    kind: SeatPlan.Kind
    product: Product
    instance: Instance | None
    placements: tuple[Placement, ...]
    held: int

    @cached_property
    def placed(self) -> int:
        return sum(one.target_id is not None for one in self.placements)

    @property
    def unplaced(self) -> int:
        return len(self.placements) - self.placed


# --- what would be planned -------------------------------------------------------------------------------------------


def propose(kind: SeatPlan.Kind, product: Product, instance: Instance | None = None) -> ProposedPlan:
    """The plan as it would be now; nothing is changed. Three queries, whatever the number of seats."""
    rooms = read_rooms(product)
    if kind == Kind.DRAIN and instance is not None:
        ids = list(movable_seats(product).filter(instance=instance).order_by("pk").values_list("pk", flat=True))
        placements = seat_placement.empty_out(instance.pk, ids, rooms)
        held = Seat.objects.filter(instance=instance, state=Seat.State.RESERVED).count()
        return ProposedPlan(kind, product, instance, tuple(placements), held)
    seats: dict[int, list[int]] = {}
    # The newest first: they have the least data. Who has no access cannot answer, and is left where they are.
    using = movable_seats(product).filter(state=Seat.State.ASSIGNED).order_by("-pk")
    for pk, instance_id in using.values_list("pk", "instance_id"):
        seats.setdefault(instance_id, []).append(pk)
    return ProposedPlan(kind, product, None, tuple(seat_placement.even_out(rooms, seats, most=MOST)), 0)


def movable_seats(product: Product) -> QuerySet[Seat]:
    """Seats with a person behind them; one that is held for a payment may still come to nothing."""
    return Seat.objects.filter(product=product, state__in=[Seat.State.ASSIGNED, Seat.State.RETAINED])


def read_rooms(product: Product, plan: SeatPlan | None = None) -> list[PlannedRoom]:
    """The product's instances, with the seats that the plan has still to move counted where they go."""
    coming: dict[int, int] = {}
    if plan is not None:
        waiting = plan.moves.filter(state__in=SeatMove.TAKES_ROOM).order_by().values("target_id")
        coming = dict(waiting.annotate(count=Count("pk")).values_list("target_id", "count"))
    return [
        PlannedRoom(
            id=one.pk, name=one.name, taken=one.allocated_seats + coming.get(one.pk, 0), allocation_cap=one.allocation_cap,
            hard_cap=one.hard_cap, is_open=one.is_active and one.auto_allocate,
        )
        for one in Instance.objects.filter(product=product).order_by("pk")
    ]  # fmt: skip


# --- starting and ending ---------------------------------------------------------------------------------------------


@transaction.atomic
def start(proposed: ProposedPlan, *, expected: int, actor: str, reason: str) -> SeatPlan:
    """Start what is proposed now, if it still has `expected` moves. An instance that drains takes nobody in from here on."""
    kind, product, instance = proposed.kind, proposed.product, proposed.instance
    lock_until_commit(LockClass.SEAT_PLAN, product.pk)
    if live := SeatPlan.objects.filter(product=product, state__in=SeatPlan.LIVE).first():
        raise BadInput(f"{product.name} has an open {live}. End it first.")
    now = propose(kind, product, instance)
    if now.placed != expected:
        raise BadInput(f"{now.placed} can be moved now, and not {expected}. Read the plan again.", field="expected")
    if not now.placements:
        raise BadInput("There is nobody to move.")
    approvals.refuse_alone(ApprovalRequest.Action.START_SEAT_PLAN, now.placed, actor=actor)
    plan = SeatPlan(kind=kind, product=product, instance=instance, actor=actor, reason=reason, created_at=clock.now())
    plan.save()
    add_moves(plan, now.placements)
    if instance is not None:
        plan.was_open = deployments.begin_drain(instance=instance, actor=actor, reason=reason)
        plan.save(update_fields=["was_open"])
    after = {"kind": kind.value, "product": product.slug, "moves": now.placed, "no_room": now.unplaced}
    _record(
        plan, AuditAction.SEAT_PLAN_STARTED, actor, reason, after | ({"instance": instance.slug} if instance else {})
    )
    jobs.defer(KIND, plan.pk, reason=f"started by {actor}")
    return plan


def add_moves(plan: SeatPlan, placements: Collection[Placement]) -> None:
    """A row for each; its person is the seat's."""
    for batch in batched(placements, 1000, strict=False):
        people = dict(Seat.objects.filter(pk__in=[one.seat_id for one in batch]).values_list("pk", "profile_id"))
        SeatMove.objects.bulk_create(
            SeatMove(
                plan=plan, seat_id=one.seat_id, profile_id=people[one.seat_id], source_id=one.source_id, target_id=one.target_id,
                why=one.why[:300], state=State.PLANNED if one.target_id else State.UNPLACED,
            )
            for one in batch
        )  # fmt: skip


@transaction.atomic
def pause(plan: SeatPlan, *, actor: str, reason: str) -> None:
    """From here on nobody is asked or moved until `resume`; waits for the move that is being made."""
    row = lock_plan(plan.pk)
    if row.state != SeatPlan.State.OPEN:
        raise BadInput("Only an open plan can be paused.")
    _set_state(row, SeatPlan.State.PAUSED)
    _record(row, AuditAction.SEAT_PLAN_PAUSED, actor, reason)


@transaction.atomic
def resume(plan: SeatPlan, *, actor: str, reason: str) -> None:
    """Go on asking and moving; also notices who got or gave up a seat, and new room."""
    row = lock_plan(plan.pk)
    if not row.is_live:
        raise BadInput("The plan has ended.")
    _set_state(row, SeatPlan.State.OPEN)
    _record(row, AuditAction.SEAT_PLAN_RESUMED, actor, reason)
    jobs.defer(KIND, row.pk, reason=f"resumed by {actor}")


@transaction.atomic
def end(plan: SeatPlan, *, reopen: bool, actor: str, reason: str) -> None:
    """Nobody is asked or moved any more. Who was moved stays there; `reopen`: the instance takes new subscribers again."""
    row = lock_plan(plan.pk)
    if not row.is_live:
        raise BadInput("The plan has ended already.")
    row.ended_at = clock.now()
    _set_state(row, SeatPlan.State.ENDED, "ended_at")
    if row.instance is not None:
        deployments.end_drain(instance=row.instance, reopen=reopen, actor=actor, reason=reason)
    _record(
        row,
        AuditAction.SEAT_PLAN_ENDED,
        actor,
        reason,
        {state: count for state, count in count_moves(row).items() if count},
    )


def _set_state(plan: SeatPlan, state: SeatPlan.State, *also: str) -> None:
    plan.state = state
    plan.save(update_fields=["state", *also])


def count_moves(plan: SeatPlan) -> dict[str, int]:
    """How many moves are in each state."""
    names = {one.value: Count("pk", filter=Q(state=one)) for one in State}
    return dict(plan.moves.aggregate(**names))


# --- the answers -----------------------------------------------------------------------------------------------------


def open_questions(profile: UserProfile) -> QuerySet[SeatMove]:
    """What one person is asked or has answered and could answer otherwise."""
    mine = SeatMove.objects.filter(profile=profile, state__in=SeatMove.ANSWERABLE, plan__state__in=SeatPlan.LIVE)
    return mine.select_related("plan__product", "source__provisioning", "target").order_by("pk")


def refuse_answer(move: SeatMove) -> str:
    """Why no answer can be recorded; empty: it can."""
    if not move.plan.is_live:
        return "The plan has ended."
    return (
        "" if move.state in SeatMove.ANSWERABLE else f"Nothing is asked any more: {move.get_state_display().lower()}."
    )


@transaction.atomic
def record_answer(move: SeatMove, answer: SeatMove.Answer, *, actor: str, reason: str = "") -> SeatMove:
    """What the person says, or said to staff; a yes moves them by the plan's job. It can be changed until they are moved."""
    row = lock_move(move.pk)
    if refusal := refuse_answer(row):
        raise BadInput(refusal)
    row.state = State.AGREED if answer == Answer.YES else State.DECLINED
    row.answer, row.answered_at, row.answered_by, row.answer_reason = answer, clock.now(), actor, reason
    row.save(update_fields=["state", "answer", "answered_at", "answered_by", "answer_reason"])
    action = AuditAction.SEAT_MOVE_AGREED if answer == Answer.YES else AuditAction.SEAT_MOVE_DECLINED
    _record_move(row, action, actor, reason)
    if answer == Answer.YES:
        jobs.defer(KIND, row.plan_id, reason=f"a yes, recorded by {actor}")
    return row


@transaction.atomic
def try_again(move: SeatMove, *, actor: str, reason: str) -> None:
    """Queue a move once more that was refused, as when its instance was full."""
    row = lock_move(move.pk)
    if refusal := refuse_retry(row):
        raise BadInput(refusal)
    row.state, row.problem = State.AGREED, ""
    row.save(update_fields=["state", "problem"])
    _record_move(row, AuditAction.SEAT_MOVE_RETRIED, actor, reason)
    jobs.defer(KIND, row.plan_id, reason=f"asked by {actor}")


def refuse_retry(move: SeatMove) -> str:
    """Why it cannot be tried again; empty: it can."""
    return "" if move.state == State.BLOCKED and move.plan.is_live else "There is nothing to try again."


# --- moving ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def carry_out(move_id: int) -> bool:
    """Move one person who agreed, if the plan is open and they have not changed their mind; returns whether they were moved."""
    row = lock_move(move_id)
    if row.state != State.AGREED or row.plan.state != SeatPlan.State.OPEN or row.target is None:
        return False
    if has_left(row):
        row.state = State.OBSOLETE
        row.save(update_fields=["state"])
        return False
    plan = row.plan
    try:
        with transaction.atomic():
            reason = f"{plan}, with a yes recorded by {row.answered_by}: {plan.reason}"[:300]
            allocation.move(seat=row.seat, instance=row.target, actor=plan.actor, reason=reason)
    except BadInput as refusal:
        row.state, row.problem = State.BLOCKED, refusal.message[:300]
        row.save(update_fields=["state", "problem"])
        return False
    row.state, row.moved_at = State.MOVED, clock.now()
    row.save(update_fields=["state", "moved_at"])
    reconcile.enqueue(row.profile, reason=f"seat moved by {plan}")
    send_email(row, MOVED, old=row.source, new=row.target)
    return True


def has_left(move: SeatMove) -> bool:
    """Whether the seat is no longer where the plan found it."""
    return move.seat.state == Seat.State.RELEASED or move.seat.instance_id != move.source_id


def refuse_undo(move: SeatMove) -> str:
    """Why they cannot be moved back; empty: they can."""
    return "" if move.state == State.MOVED else "Only a seat that was moved can be moved back."


@transaction.atomic
def undo(move: SeatMove, *, actor: str, reason: str) -> None:
    """Move a person back to where they were, also when that instance drains, and leave them out of the plan."""
    row = lock_move(move.pk)
    if refusal := refuse_undo(row):
        raise BadInput(refusal)
    if row.seat.instance_id != row.target_id:
        raise BadInput(TAKEN_BACK)
    allocation.move(seat=row.seat, instance=row.source, actor=actor, reason=reason, is_undo=True)
    row.state = State.UNDONE
    row.save(update_fields=["state"])
    _record_move(row, AuditAction.SEAT_MOVE_UNDONE, actor, reason)
    reconcile.enqueue(row.profile, reason=f"move undone by {actor}")
    if row.target is not None:
        send_email(row, MOVED, old=row.target, new=row.source)


def send_email(move: SeatMove, template: str, *, old: Instance, new: Instance) -> None:
    """Tell the person about a move, once for each instance it leads to; not who has no access, and so nothing to open."""
    if not AccessState(move.profile.access_state).has_access:
        return
    with languages.speaking_to(move.profile.language):
        values = {"product": move.plan.product.name, "old_instance": old.name, "new_instance": new.name}
    values |= {"first_name": move.profile.user.first_name, **_say_how_long(move, template, old)}
    key = f"{template}:{move.pk}:{new.slug}"
    notify(key=key, template=template, to=move.profile.email, profile=move.profile, context=values)


def _say_how_long(move: SeatMove, template: str, old: Instance) -> dict[str, str]:
    """Where the product obeys, what is left there is deleted some days after the move: how many, or on which day that is."""
    found = Provisioning.objects.filter(instance=old).values_list("keep_days", flat=True).first()
    if found is None:
        return {}
    if template != MOVED:
        return {"keep_days": str(found)}
    with languages.speaking_to(move.profile.language):
        return {"until": day((clock.now() + dt.timedelta(days=found)).astimezone(dt.UTC))}


# --- the parts -------------------------------------------------------------------------------------------------------


def lock_plan(pk: int) -> SeatPlan:
    """The plan as it is now; until the transaction ends it neither pauses nor ends."""
    return SeatPlan.objects.select_for_update(of=("self",)).select_related("instance", "product").get(pk=pk)


def lock_move(pk: int) -> SeatMove:
    """The move as it is now; until the transaction ends neither it nor its plan changes."""
    plan_id = SeatMove.objects.values_list("plan_id", flat=True).get(pk=pk)
    plan = lock_plan(plan_id)
    rows = SeatMove.objects.select_for_update(of=("self",)).select_related("seat", "profile__user", "source", "target")
    row = rows.get(pk=pk)
    row.plan = plan
    return row


def _record(plan: SeatPlan, action: AuditAction, actor: str, reason: str, after: dict[str, Any] | None = None) -> None:
    audit.record(subject=("seatplan", plan.pk), action=action, actor=actor, reason=reason, after=after or {})


def _record_move(move: SeatMove, action: AuditAction, actor: str, reason: str) -> None:
    after = {"plan": move.plan_id, "from": move.source.slug, "to": move.target.slug if move.target else ""}
    audit.record(subject=move.profile.subject, action=action, actor=actor, reason=reason, after=after)
