"""Seats moved and given up by staff: many at once, one of them twice, up to the hard cap and not beyond."""

import datetime as dt
from functools import partial

import pytest

from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.instances import allocation, deployments
from apps.instances.models import Instance, Seat, SeatWait
from tests.instances import house

pytestmark = pytest.mark.django_db(transaction=True)
STAFF = {"actor": "staff:ada", "reason": "the old server is noisy"}


def seated(product, count):
    return [allocation.assign(profile=profile, product=product) for profile in house.people(count)]


def refused(answers):
    return [answer for answer in answers if isinstance(answer, BadInput)]


def test_sixteen_moves_for_the_last_free_place_and_one_gets_it():
    product = house.app()
    house.instance(product, 20, 30, 40)
    seats = seated(product, 16)
    small = house.instance(product, 0, 1, 2)
    allocation.move(seat=seats[0], instance=small, **STAFF)
    calls = [partial(allocation.move, seat=seat, instance=small, **STAFF) for seat in seats[1:]]
    answers = house.at_once(calls, clients=15)
    assert sum(isinstance(answer, Seat) for answer in answers) == 1
    assert {str(answer.message).partition(":")[0] for answer in refused(answers)} == {f"{small.name} is full"}
    assert len(refused(answers)) == 14
    small.refresh_from_db()
    assert (small.allocated_seats, small.hard_cap) == (2, 2)
    assert (house.drift(), house.doubles()) == ([], 0)
    assert AuditEntry.objects.filter(action="seat_moved").count() == 2


def test_one_move_sent_eight_times_at_once_is_done_once():
    product = house.app()
    old = house.instance(product)
    (seat,) = seated(product, 1)
    new = house.instance(product)
    answers = house.at_once([partial(allocation.move, seat=seat, instance=new, **STAFF)] * 8, clients=8)
    assert sum(isinstance(answer, Seat) for answer in answers) == 1
    assert {answer.message for answer in refused(answers)} == {f"The seat is on {new} already."}
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.allocated_seats, new.allocated_seats) == (0, 1)
    assert AuditEntry.objects.filter(action="seat_moved").count() == 1


def test_a_move_and_a_signup_race_for_the_last_place_and_nobody_goes_over_the_hard_cap():
    for _ in range(5):
        product = house.app()
        old = house.instance(product, 5, 8, 9)
        seats = seated(product, 4)
        deployments.set_availability(instance=old, is_active=True, auto_allocate=False, **STAFF)
        new = house.instance(product, 0, 1, 2)
        moves = [partial(allocation.move, seat=seat, instance=new, **STAFF) for seat in seats]
        asks = [partial(allocation.assign, profile=profile, product=product) for profile in house.people(4)]
        answers = house.at_once([*moves, *asks], clients=8)
        assert not [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, BadInput)]
        new.refresh_from_db()
        assert new.allocated_seats == 2  # the last place above the allocation cap is for staff alone
    assert (house.drift(), house.doubles()) == ([], 0)


def test_a_move_may_use_the_reserve_that_new_people_may_not():
    product = house.app()
    old, new = house.instance(product, 1, 2, 5), house.instance(product, 0, 1, 3)
    seats = seated(product, 3)
    assert allocation.assign(profile=house.person(), product=product) is None
    for seat in [seat for seat in seats if seat.instance_id == old.pk]:
        allocation.move(seat=seat, instance=new, **STAFF)
    new.refresh_from_db()
    assert (new.allocated_seats, new.allocation_cap) == (3, 1)


def test_an_instance_that_is_closed_to_new_people_takes_a_move_and_one_not_in_use_does_not():
    product = house.app()
    house.instance(product)
    (seat,) = seated(product, 1)
    closed, gone = house.instance(product), house.instance(product)
    deployments.set_availability(instance=gone, is_active=False, auto_allocate=True, **STAFF)
    deployments.set_availability(instance=closed, is_active=True, auto_allocate=False, **STAFF)
    with pytest.raises(BadInput, match="not in use"):
        allocation.move(seat=seat, instance=gone, **STAFF)
    assert allocation.move(seat=seat, instance=closed, **STAFF).instance == closed


@pytest.mark.parametrize("state", ["reserved", "retained"])
def test_a_held_or_retained_seat_keeps_its_state_and_its_end_where_it_goes(state):
    product, ada = house.app(), house.person()
    house.instance(product)
    until = clock.now() + dt.timedelta(hours=1)
    seat = allocation.reserve(profile=ada, product=product, until=until)
    if state == "retained":
        allocation.retain(profile=ada, product=product)
    moved = allocation.move(seat=seat, instance=house.instance(product), **STAFF)
    moved.refresh_from_db()
    assert (moved.state, moved.reserved_until) == (state, until if state == "reserved" else None)


def test_who_waits_is_told_of_the_place_a_move_leaves(monkeypatch):
    told = []
    monkeypatch.setattr(allocation, "on_freed", [told.append])
    product = house.app()
    house.instance(product, 0, 1, 2)
    (seat,) = seated(product, 1)
    waiting = house.person()
    assert allocation.assign(profile=waiting, product=product) is None
    aside = house.instance(product, 0, 1, 2)
    deployments.set_availability(instance=aside, is_active=True, auto_allocate=False, **STAFF)
    told.clear()
    allocation.move(seat=seat, instance=aside, **STAFF)
    assert told == [waiting.pk]


def test_a_seat_given_up_by_staff_names_them_and_is_offered_to_who_waits(monkeypatch):
    told = []
    monkeypatch.setattr(allocation, "on_freed", [told.append])
    product = house.app()
    instance = house.instance(product, 0, 1, 2)
    (seat,) = seated(product, 1)
    waiting = house.person()
    allocation.assign(profile=waiting, product=product)
    gone = allocation.release_by_staff(seat=seat, **STAFF)
    assert (gone.state, gone.instance) == ("released", instance)
    line = AuditEntry.objects.get(action="seat_released")
    assert (line.actor, line.reason) == (STAFF["actor"], STAFF["reason"])
    assert told == [waiting.pk]
    assert SeatWait.objects.count() == 1


def test_a_seat_given_up_eight_times_at_once_is_given_up_once():
    product = house.app()
    instance = house.instance(product)
    seat, _other = seated(product, 2)
    answers = house.at_once([partial(allocation.release_by_staff, seat=seat, **STAFF)] * 8, clients=8)
    assert sum(isinstance(answer, Seat) for answer in answers) == 1
    assert {answer.message for answer in refused(answers)} == {"The seat has been released in the meantime."}
    assert Instance.objects.get(pk=instance.pk).allocated_seats == 1
    assert house.drift() == []


def test_giving_up_an_old_seat_leaves_the_one_that_was_given_since():
    product = house.app()
    house.instance(product)
    (seat,) = seated(product, 1)
    allocation.release_by_staff(seat=seat, **STAFF)
    fresh = allocation.assign(profile=seat.profile, product=product)
    with pytest.raises(BadInput, match="released in the meantime"):
        allocation.release_by_staff(seat=seat, **STAFF)
    fresh.refresh_from_db()
    assert fresh.state == "assigned"
