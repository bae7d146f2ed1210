"""Draining and evening out: who is planned where, nobody moved without a yes, and nobody past a cap, also many at once."""

import datetime as dt
import threading
import time
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock, jobs
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.instances import allocation, deployments
from apps.instances.models import Instance, Provisioning, Seat
from apps.notifications.email_templates import render_email
from apps.notifications.models import Notification
from apps.operations import seat_placement, seat_plan_job, seat_plans
from apps.operations.models import SeatMove, SeatPlan
from apps.operations.seat_placement import PlannedRoom
from tests.instances import house
from tests.waiting import somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)
STAFF: Any = {"actor": "staff:ada", "reason": "the old server is noisy"}
Kind, State, Answer = SeatPlan.Kind, SeatMove.State, SeatMove.Answer


def seated(product: Product, count: int) -> list[Seat]:
    """So many people with access and a seat."""
    people = house.people(count)
    UserProfile.objects.filter(pk__in=[one.pk for one in people]).update(access_state="active")
    return [seat for one in people if (seat := allocation.assign(profile=one, product=product))]


def drained(count: int, *others: tuple[int, int, int]) -> tuple[SeatPlan, Instance, list[Instance]]:
    """A plan that drains an instance of so many into others of these caps; its job has not run."""
    product = house.app()
    old = house.instance(product, 90, 95, 99)
    seated(product, count)
    new = [house.instance(product, *caps) for caps in others]
    return start(Kind.DRAIN, product, old), old, new


def start(kind: SeatPlan.Kind, product: Product, instance: Instance | None = None) -> SeatPlan:
    found = seat_plans.propose(kind, product, instance)
    return seat_plans.start(found, expected=found.placed, **STAFF)


def run(plan: SeatPlan) -> None:
    seat_plan_job.run(str(plan.pk))


def say(plan: SeatPlan, answer: SeatMove.Answer = Answer.YES) -> list[SeatMove]:
    """Everybody who is asked answers."""
    asked = plan.moves.filter(state=State.ASKED).order_by("pk")
    return [seat_plans.record_answer(one, answer, actor="customer") for one in asked]


def states(plan: SeatPlan) -> list[str]:
    return list(plan.moves.order_by("pk").values_list("state", flat=True))


def taken(*instances: Instance) -> list[int]:
    return [Instance.objects.get(pk=one.pk).allocated_seats for one in instances]


# --- the plan ----------------------------------------------------------------------------------------------------------


def test_a_drain_plans_everybody_to_the_least_loaded_and_says_who_has_no_room() -> None:
    plan, old, (small, large) = drained(7, (0, 1, 2), (1, 3, 4))
    went = [
        (one.target.name if one.target else "", one.state) for one in plan.moves.select_related("target").order_by("pk")
    ]
    planned = [(one.name, "planned") for one in (small, large, large, large, large, small)]
    assert sorted(went[:6]) == sorted(planned)
    assert went[6] == ("", "unplaced")
    last = plan.moves.order_by("pk").last()
    assert last is not None
    assert last.why == f"Every other open instance is at its hard cap: {small.name}, {large.name}."
    assert "goes above its allocation cap" in plan.moves.filter(target=small).order_by("-pk")[0].why
    assert taken(old, small, large) == [7, 0, 0]
    entry = AuditEntry.objects.get(action="seat_plan_started")
    assert (entry.actor, entry.reason, entry.after["moves"], entry.after["no_room"]) == (*STAFF.values(), 6, 1)


def test_evening_out_moves_the_newest_from_the_fullest_and_stops_when_it_would_not_help() -> None:
    product = house.app()
    full = house.instance(product, 8, 10, 12)
    seats = seated(product, 7)
    small, closed = house.instance(product, 1, 5, 6), house.instance(product, 8, 10, 12)
    deployments.set_availability(instance=closed, is_active=True, auto_allocate=False, **STAFF)
    plan = start(Kind.REBALANCE, product)
    assert [one.seat_id for one in plan.moves.order_by("pk")] == [seats[6].pk, seats[5].pk]
    assert {(one.source_id, one.target_id) for one in plan.moves.all()} == {(full.pk, small.pk)}
    assert not Instance.objects.filter(draining_since__isnull=False).exists()


def test_nothing_is_evened_out_where_all_is_even() -> None:
    rooms = [PlannedRoom(id=n, name=str(n), taken=5, allocation_cap=10, hard_cap=12, is_open=True) for n in (1, 2)]
    assert seat_placement.even_out(rooms, {1: [1], 2: [2]}, most=9) == []


def test_what_has_changed_since_it_was_read_and_a_second_plan_are_refused() -> None:
    product = house.app()
    old = house.instance(product, 90, 95, 99)
    seated(product, 3)
    house.instance(product)
    found = seat_plans.propose(Kind.DRAIN, product, old)
    with pytest.raises(BadInput, match="3 can be moved now, and not 2"):
        seat_plans.start(found, expected=2, **STAFF)
    assert not SeatPlan.objects.exists()
    plan = seat_plans.start(found, expected=3, **STAFF)
    with pytest.raises(BadInput, match=f"has an open {plan}"):
        start(Kind.REBALANCE, product)


# --- a draining instance ------------------------------------------------------------------------------------------------


def test_a_draining_instance_takes_nobody_in_until_the_plan_ends() -> None:
    plan, old, (new,) = drained(2, (5, 8, 9))
    product = plan.product
    for _ in range(3):
        seat = allocation.assign(profile=house.person(), product=product, returning=True)
        assert seat is not None
        assert seat.instance == new
    with pytest.raises(BadInput, match="is being drained"):
        allocation.move(seat=seat, instance=old, **STAFF)
    with pytest.raises(BadInput, match="End its seat plan"):
        deployments.set_availability(instance=old, is_active=True, auto_allocate=True, **STAFF)
    with pytest.raises(IntegrityError), transaction.atomic():
        Instance.objects.filter(pk=old.pk).update(auto_allocate=True)
    seat_plans.end(plan, reopen=True, **STAFF)
    old.refresh_from_db()
    assert (old.draining_since, old.auto_allocate) == (None, True)
    assert allocation.move(seat=seat, instance=old, **STAFF).instance == old


# --- asking and moving ---------------------------------------------------------------------------------------------------


def test_only_who_says_yes_is_moved_and_each_is_asked_once() -> None:
    plan, old, (new,) = drained(3, (5, 8, 9))
    run(plan)
    run(plan)
    assert states(plan) == ["asked"] * 3
    assert Notification.objects.filter(template="seat_move").count() == 3
    assert taken(old, new) == [3, 0]
    first, second, _ = plan.moves.order_by("pk")
    seat_plans.record_answer(first, Answer.YES, actor="customer", reason="on the dashboard")
    seat_plans.record_answer(second, Answer.NO, actor="staff:ada", reason="said so by phone")
    run(plan)
    assert states(plan) == ["moved", "declined", "asked"]
    assert taken(old, new) == [2, 1]
    assert house.drift() == []
    told = Notification.objects.get(template="seat_moved")
    assert (told.profile_id, told.context["new_instance"]) == (first.profile_id, new.name)
    profile = UserProfile.objects.get(pk=first.profile_id)
    assert profile.pending_since is not None
    lines = AuditEntry.objects.filter(
        subject_kind="profile", action__in=["seat_move_agreed", "seat_move_declined", "seat_moved"]
    )
    assert list(lines.order_by("id").values_list("action", "actor", "subject_id")) == [
        ("seat_move_agreed", "customer", str(first.profile_id)), ("seat_move_declined", "staff:ada", str(second.profile_id)),
        ("seat_moved", "staff:ada", str(first.profile_id)),
    ]  # fmt: skip


def test_who_is_asked_reads_when_what_stays_behind_is_deleted() -> None:
    """Where the product obeys us, it does not stay for ever."""
    plan, old, _ = drained(1, (5, 8, 9))
    Provisioning.objects.create(instance=old, kind="nextcloud", address=old.url, host="cloud", keep_days=40)
    run(plan)
    say(plan)
    run(plan)
    asked, moved = Notification.objects.filter(template__startswith="seat_move").order_by("pk")
    last = clock.now() + dt.timedelta(days=40)
    assert (asked.context["keep_days"], moved.context["until"]) == ("40", f"{last.day} {last:%B %Y}")
    asked_text, moved_text = (render_email(one.template, one.context).text for one in (asked, moved))
    assert f"40 days after the move, what is still on {old.name} is deleted." in asked_text
    assert f"still there until {last.day} {last:%B %Y}" in moved_text


def test_who_does_not_answer_is_reminded_once_after_some_days_and_nobody_else(settings: Any) -> None:
    plan, _, _ = drained(4, (9, 12, 15))
    Job.objects.all().delete()
    run(plan)
    silent, said_no, locked_out, gone = plan.moves.order_by("pk")
    following = Job.objects.get(kind="move_seats", key=str(plan.pk), state="queued")
    assert following.not_before == silent.asked_at + dt.timedelta(days=settings.SEAT_PLAN_REMINDER_DAYS)
    seat_plans.record_answer(said_no, Answer.NO, actor="customer")
    UserProfile.objects.filter(pk=locked_out.profile_id).update(access_state="suspended")
    allocation.release(profile=gone.profile, product=plan.product)
    reminders = Notification.objects.filter(template="seat_move_reminder")
    for back in (4, 5, 9):
        Job.objects.all().delete()
        plan.moves.filter(reminded_at=None).update(asked_at=clock.now() - dt.timedelta(days=back, minutes=1))
        run(plan)
        assert list(reminders.values_list("profile", flat=True)) == ([silent.profile_id] if back > 4 else [])
    assert Notification.objects.filter(template="seat_move").count() == 4
    assert not Job.objects.filter(kind="move_seats", state="queued").exists()


def test_a_paused_plan_reminds_nobody() -> None:
    plan, _, _ = drained(1, (9, 12, 15))
    run(plan)
    plan.moves.update(asked_at=clock.now() - dt.timedelta(days=9))
    seat_plans.pause(plan, **STAFF)
    run(plan)
    seat_plan_job.remind(plan.moves.get().pk)
    assert not Notification.objects.filter(template="seat_move_reminder").exists()
    seat_plans.resume(plan, **STAFF)
    run(plan)
    assert Notification.objects.filter(template="seat_move_reminder").count() == 1


def test_the_database_itself_refuses_a_move_without_a_yes() -> None:
    plan, _, _ = drained(1, (5, 8, 9))
    for state in ("agreed", "moved"):
        with pytest.raises(IntegrityError, match="seat_move_only_after_a_yes"), transaction.atomic():
            plan.moves.update(state=state)


def test_who_cannot_log_in_is_asked_by_staff_alone() -> None:
    plan, old, (new,) = drained(1, (5, 8, 9))
    UserProfile.objects.update(access_state="suspended")
    run(plan)
    assert states(plan) == ["planned"]
    assert not Notification.objects.filter(template="seat_move").exists()
    seat_plans.record_answer(plan.moves.get(), Answer.YES, actor="staff:ada", reason="wrote us a letter")
    run(plan)
    assert (states(plan), taken(old, new)) == (["moved"], [0, 1])


def test_a_batch_at_a_time_with_a_pause_in_which_answers_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat_plan_job, "BATCH", 2)
    plan, old, (new,) = drained(5, (5, 8, 9))
    run(plan)
    say(plan)
    run(plan)
    assert taken(old, new) == [3, 2]
    following = Job.objects.get(kind="move_seats", key=str(plan.pk), state="queued")
    assert following.reason == "the next batch" or following.not_before <= clock.now()
    seat_plans.pause(plan, **STAFF)
    last = plan.moves.filter(state="agreed").latest("pk")
    seat_plans.record_answer(last, Answer.NO, actor="customer")
    run(plan)
    assert taken(old, new) == [3, 2]
    seat_plans.resume(plan, **STAFF)
    run(plan)
    assert taken(old, new) == [1, 4]
    assert sorted(states(plan)) == ["declined", *["moved"] * 4]
    assert house.drift() == []


def test_who_is_moved_back_stays_there_and_is_not_asked_again() -> None:
    plan, old, (new,) = drained(2, (5, 8, 9))
    run(plan)
    say(plan)
    run(plan)
    move = plan.moves.order_by("pk")[0]
    seat_plans.undo(move, **STAFF)
    run(plan)
    assert states(plan) == ["undone", "moved"]
    assert taken(old, new) == [1, 1]
    told = Notification.objects.filter(template="seat_moved", profile=move.profile_id).order_by("pk")
    assert [one.context["new_instance"] for one in told] == [new.name, old.name]
    with pytest.raises(BadInput, match="Only a seat that was moved"):
        seat_plans.undo(move, **STAFF)


def test_a_full_instance_blocks_one_move_says_why_and_takes_it_when_there_is_room() -> None:
    plan, old, (new,) = drained(2, (0, 1, 2))
    run(plan)
    say(plan)
    for one in house.people(2):  # the room is gone meanwhile
        allocation.assign(profile=one, product=plan.product, returning=True)
    run(plan)
    assert states(plan) == ["blocked", "blocked"]
    assert "is full: 2 of 2" in plan.moves.order_by("pk")[0].problem
    assert taken(old, new) == [2, 2]
    deployments.change_caps(instance=new, soft_cap=0, allocation_cap=3, hard_cap=4, **STAFF)
    for one in plan.moves.all():
        seat_plans.try_again(one, **STAFF)
    run(plan)
    assert (states(plan), taken(old, new)) == (["moved", "moved"], [0, 4])


def test_seats_that_come_or_go_meanwhile_and_new_room_are_taken_in() -> None:
    product = house.app()
    old = house.instance(product, 90, 95, 99)
    first, second = seated(product, 2)
    payer = house.person()
    until = clock.now() + seat_plan_job.BETWEEN
    allocation.reserve(profile=payer, product=product, until=until)
    plan = start(Kind.DRAIN, product, old)
    assert states(plan) == ["unplaced", "unplaced"]
    assert plan.moves.order_by("pk")[0].why == "There is no other instance that is open to new subscribers."
    allocation.assign(profile=payer, product=product)
    allocation.release(profile=first.profile, product=product)
    new = house.instance(product, 5, 8, 9)
    run(plan)
    found = dict(plan.moves.values_list("seat_id", "state"))
    assert found.pop(first.pk) == "obsolete"
    assert found.pop(second.pk) == "asked"
    assert list(found.values()) == ["planned"]  # has paid and is synced soon
    assert set(plan.moves.exclude(state="obsolete").values_list("target", flat=True)) == {new.pk}


def test_the_end_stops_all_and_leaves_everybody_where_they_are() -> None:
    plan, old, (new,) = drained(2, (5, 8, 9))
    run(plan)
    say(plan)
    seat_plans.end(plan, reopen=False, **STAFF)
    run(plan)
    assert taken(old, new) == [2, 0]
    old.refresh_from_db()
    assert (old.draining_since, old.auto_allocate) == (None, False)
    with pytest.raises(BadInput, match="The plan has ended"):
        seat_plans.record_answer(plan.moves.all()[0], Answer.NO, actor="customer")


# --- at the same moment -----------------------------------------------------------------------------------------------------


def race_for_the_last_seats() -> tuple[Instance, list[Any]]:
    """Twelve who agreed are moved at once, while newcomers come, and there is room for five."""
    plan, _, (new,) = drained(12, (6, 7, 12))
    run(plan)
    moves = say(plan)
    deployments.change_caps(instance=new, soft_cap=2, allocation_cap=4, hard_cap=5, **STAFF)
    calls: list[Any] = [partial(seat_plans.carry_out, one.pk) for one in moves]
    calls += [partial(allocation.assign, profile=one, product=plan.product) for one in house.people(4)]
    return new, house.at_once(calls, clients=16)


@pytest.mark.fault("F30")
def test_caps_hold_while_all_are_moved_at_once() -> None:
    new, answers = race_for_the_last_seats()
    assert not [one for one in answers if isinstance(one, Exception)]
    assert taken(new) == [5]
    assert (house.drift(), house.doubles()) == ([], 0)
    assert SeatMove.objects.filter(state="moved").count() == sum(one is True for one in answers)
    assert set(SeatMove.objects.values_list("state", flat=True)) == {"moved", "blocked"}


@pytest.mark.mutant
@pytest.mark.fault("F30")
def test_mutant_without_the_check_under_the_locks_the_last_seat_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the database's own rule is left then, and the moves fail instead of waiting for room."""
    monkeypatch.setattr(allocation, "_refuse_move", lambda *_given, **_named: None)
    _, answers = race_for_the_last_seats()
    assert any(isinstance(one, IntegrityError) for one in answers)


def test_two_who_start_a_plan_at_once_start_one() -> None:
    product = house.app()
    house.instance(product, 8, 10, 12)
    seated(product, 6)
    house.instance(product, 8, 10, 12)
    answers = house.at_once([partial(start, Kind.REBALANCE, product)] * 6, clients=6)
    assert [type(one).__name__ for one in answers if not isinstance(one, BadInput)] == ["SeatPlan"]
    assert SeatPlan.objects.count() == Job.objects.filter(kind="move_seats").count() == 1


def agreed_moves(count: int) -> list[SeatMove]:
    plan, _, _ = drained(count, (20, 25, 30))
    run(plan)
    return say(plan)


def move_while_the_answer_is_recorded(patch: pytest.MonkeyPatch) -> bool:
    """Whether somebody sits on the new instance whose no was taken: the job came to them while it was being recorded."""
    (move,) = agreed_moves(1)
    plain = seat_plans.refuse_answer
    mover = threading.Thread(
        target=house.at_once, args=([partial(seat_plans.carry_out, move.pk)],), kwargs={"clients": 1}
    )

    def meanwhile(row: SeatMove) -> str:
        mover.start()
        while mover.is_alive() and not somebody_waits():
            time.sleep(0.01)
        return plain(row)

    patch.setattr(seat_plans, "refuse_answer", meanwhile)
    seat_plans.record_answer(move, Answer.NO, actor="customer")
    mover.join(60)
    found = SeatMove.objects.select_related("seat").get(pk=move.pk)
    assert found.answer == Answer.NO
    return found.seat.instance_id == found.target_id


def test_nobody_whose_no_was_taken_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not move_while_the_answer_is_recorded(monkeypatch)
    assert states(SeatPlan.objects.get()) == ["declined"]


@pytest.mark.mutant
def test_mutant_without_the_lock_somebody_who_said_no_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    def unlocked(pk: int) -> SeatMove:
        return SeatMove.objects.select_related("plan__product", "seat", "profile__user", "source", "target").get(pk=pk)

    monkeypatch.setattr(seat_plans, "lock_move", unlocked)
    assert move_while_the_answer_is_recorded(monkeypatch)


def test_the_job_drains_by_itself() -> None:
    """Started, asked, answered and moved through the ledger."""
    plan, old, (new,) = drained(2, (5, 8, 9))
    jobs.drain(limit=1)
    assert states(plan) == ["asked", "asked"]
    say(plan)
    Job.objects.exclude(kind="move_seats").delete()
    jobs.drain(limit=1)
    assert (states(plan), taken(old, new)) == (["moved", "moved"], [0, 2])
