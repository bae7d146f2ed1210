"""The job of a seat plan: it takes in what changed, asks people by email, and moves who agreed, a batch at a time.

Promises: it survives any crash, since the moves say what is still to do; each person is asked once, and reminded once after some days without an
answer; one refusal stops nobody else; a paused plan asks and moves nobody.
"""

import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from apps.core import clock, jobs
from apps.core.dependencies import RESTORED
from apps.core.states import AccessState, values_where
from apps.instances.models import Seat
from apps.operations import seat_placement, seat_plans
from apps.operations.models import SeatMove, SeatPlan
from apps.operations.seat_plans import KIND

BATCH = 20  # moved by one run
ASKED_AT_ONCE = 100
BETWEEN = dt.timedelta(minutes=1)  # from one batch to the next, so that staff can pause
CAN_LOG_IN = values_where(AccessState, lambda one: one.has_access)
State = SeatMove.State


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, run, label="Move seats", needs=(RESTORED,))


def run(key: str) -> None:
    """The job of the plan `key`."""
    plan = SeatPlan.objects.select_related("product", "instance").get(pk=key)
    if plan.state != SeatPlan.State.OPEN:
        return
    drop_obsolete(plan)
    place_more(plan)
    unasked = plan.moves.filter(state=State.PLANNED, profile__access_state__in=CAN_LOG_IN)
    for pk in list(unasked.order_by("pk").values_list("pk", flat=True)[:ASKED_AT_ONCE]):
        ask(pk)
    agreed = plan.moves.filter(state=State.AGREED)
    for pk in list(agreed.order_by("answered_at", "pk").values_list("pk", flat=True)[:BATCH]):
        seat_plans.carry_out(pk)
    late = _unreminded(plan).filter(asked_at__lte=clock.now() - _patience())
    for pk in list(late.order_by("asked_at", "pk").values_list("pk", flat=True)[:ASKED_AT_ONCE]):
        remind(pk)
    if unasked.exists() or agreed.exists() or late.exists():
        jobs.defer(KIND, key, reason="the next batch", not_before=clock.now() + BETWEEN)
    elif first := _unreminded(plan).order_by("asked_at").values_list("asked_at", flat=True).first():
        jobs.defer(KIND, key, reason="to remind who has not answered", not_before=first + _patience())


def _patience() -> dt.timedelta:
    return dt.timedelta(days=settings.SEAT_PLAN_REMINDER_DAYS)


def _unreminded(plan: SeatPlan) -> QuerySet[SeatMove]:
    """Those who were asked, have not answered, and could still be reminded."""
    return plan.moves.filter(state=State.ASKED, reminded_at=None, profile__access_state__in=CAN_LOG_IN)


def drop_obsolete(plan: SeatPlan) -> int:
    """Moves whose seat was released or has left its instance otherwise; returns how many."""
    gone = Q(seat__state=Seat.State.RELEASED) | ~Q(seat__instance=F("source"))
    return plan.moves.filter(gone, state__in=SeatMove.WAITING).update(state=State.OBSOLETE)


@transaction.atomic
def place_more(plan: SeatPlan) -> None:
    """Of an instance that drains: seats held for a payment when it was planned, and those for which there is room now."""
    if plan.instance is None:
        return
    seat_plans.lock_plan(plan.pk)
    planned = plan.moves.values("seat")
    new = seat_plans.movable_seats(plan.product).filter(instance=plan.instance).exclude(pk__in=planned)
    unplaced = {one.seat_id: one for one in plan.moves.filter(state=State.UNPLACED).order_by("pk")}
    ids = [*unplaced, *new.order_by("pk").values_list("pk", flat=True)]
    if not ids:
        return
    found = seat_placement.empty_out(plan.instance.pk, ids, seat_plans.read_rooms(plan.product, plan))
    for one in found:
        if one.target_id and (row := unplaced.get(one.seat_id)):
            row.target_id, row.why, row.state = one.target_id, one.why[:300], State.PLANNED
            row.save(update_fields=["target", "why", "state"])
    seat_plans.add_moves(plan, [one for one in found if one.seat_id not in unplaced])


@transaction.atomic
def ask(move_id: int) -> None:
    """Ask one person by email, once; the email leads to the page where they answer."""
    row = seat_plans.lock_move(move_id)
    if row.state != State.PLANNED or row.plan.state != SeatPlan.State.OPEN or row.target is None:
        return
    row.state, row.asked_at = State.ASKED, clock.now()
    row.save(update_fields=["state", "asked_at"])
    seat_plans.send_email(row, seat_plans.ASKED, old=row.source, new=row.target)


@transaction.atomic
def remind(move_id: int) -> None:
    """Remind one person by email, once, who was asked and has not answered."""
    row = seat_plans.lock_move(move_id)
    is_open = row.state == State.ASKED and row.plan.state == SeatPlan.State.OPEN
    if not is_open or row.reminded_at is not None or row.target is None:
        return
    row.reminded_at = clock.now()
    row.save(update_fields=["reminded_at"])
    seat_plans.send_email(row, seat_plans.REMINDED, old=row.source, new=row.target)
