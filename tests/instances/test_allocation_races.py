"""Many at once: faults F30, F31, F32 and F35, each guard also switched off (the mutant), which must show the fault."""

import contextlib
import datetime as dt
import random
import time
from functools import partial

import pytest
from django.db import OperationalError, connection

from apps.core import clock
from apps.instances import allocation, deployments, statements
from apps.instances.models import Instance, Seat, SeatWait
from tests.instances import house

pytestmark = pytest.mark.django_db(transaction=True)
STAFF = {"actor": "staff:ada", "reason": "race"}


def ask(product, profiles, *, clients):
    calls = [partial(allocation.assign, profile=profile, product=product) for profile in profiles]
    answers = house.at_once(calls, clients=clients)
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    return sum(isinstance(answer, Seat) for answer in answers), errors


def house_of(instances, seats_each):
    product = house.app()
    for _ in range(instances):
        house.instance(product, seats_each // 2, seats_each, seats_each + 5)
    return product


# --- F30: more asks than seats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("instances", [1, 5])
@pytest.mark.fault("F30")
@pytest.mark.times(50)
def test_64_clients_fill_few_seats_to_the_last_one_and_not_beyond(instances):
    product = house_of(instances, 60 // instances)
    granted, errors = ask(product, house.people(128), clients=64)
    assert (granted, errors) == (60, [])
    assert SeatWait.objects.count() == 68
    assert (house.over_cap(), house.doubles(), house.drift()) == ([], 0, [])


@pytest.mark.fault("F30")
@pytest.mark.times(50)
def test_64_clients_with_seats_to_spare_all_get_one_and_spread_evenly():
    product = house_of(5, 40)
    granted, errors = ask(product, house.people(128), clients=64)
    assert (granted, errors) == (128, [])
    assert house.spread(product) <= 2
    assert house.drift() == []


@pytest.mark.mutant
@pytest.mark.fault("F30")
def test_mutant_without_the_second_look_full_is_said_falsely(monkeypatch):
    monkeypatch.setattr(statements, "PICK_WAITING", statements.PICK_UNLOCKED)
    product = house_of(1, 60)
    granted, _ = ask(product, house.people(60), clients=32)
    assert granted < 60


@pytest.mark.mutant
@pytest.mark.fault("F30")
def test_mutant_without_row_locks_more_seats_are_given_than_there_are(monkeypatch):
    monkeypatch.setattr(statements, "PICK_UNLOCKED", statements.PICK_UNLOCKED.replace("FOR UPDATE SKIP LOCKED", ""))
    monkeypatch.setattr(statements, "PICK_WAITING", statements.PICK_WAITING.replace("FOR UPDATE", ""))
    product = house_of(1, 12)
    granted, _ = ask(product, house.people(64), clients=32)
    assert granted > 12
    assert house.over_cap()


@pytest.mark.mutant
@pytest.mark.fault("F30")
def test_mutant_waiting_without_a_second_check_goes_over_the_cap(monkeypatch):
    unchecked = statements.PICK_NEXT.replace(
        "allocated_seats < allocation_cap AND (allocated_seats < soft_cap OR above)", "true"
    )
    monkeypatch.setattr(statements, "PICK_NEXT", unchecked)
    product = house_of(1, 12)
    granted, _ = ask(product, house.people(64), clients=32)
    assert granted > 12
    assert house.over_cap()


@pytest.mark.mutant
@pytest.mark.fault("F30")
def test_mutant_a_counter_written_from_memory_drifts(monkeypatch):
    remembered = statements.TAKE.replace("i.allocated_seats + 1", "pick.allocated_seats + 1")
    monkeypatch.setattr(statements, "TAKE", remembered)
    unlocked = "pick AS (SELECT id, allocated_seats FROM instances_instance WHERE product_id = %(product)s)"
    monkeypatch.setattr(statements, "PICK_UNLOCKED", unlocked)
    product = house_of(1, 60)
    ask(product, house.people(48), clients=16)
    assert house.drift()


# --- F31: everything at the same time --------------------------------------------------------------------------------


def churn(product, profiles, seconds):
    """One client's life: seats taken, given back and moved, caps changed, instances closed and opened."""
    dice, done = random.Random(), 0
    end = time.monotonic() + seconds
    ids = list(Instance.objects.filter(product=product).values_list("pk", flat=True))
    while time.monotonic() < end:
        act(dice, product, dice.choice(profiles), Instance.objects.get(pk=dice.choice(ids)))
        done += 1
    return done


def act(dice, product, profile, instance):
    roll = dice.random()
    if roll < 0.45:
        allocation.assign(profile=profile, product=product, returning=roll < 0.1)
    elif roll < 0.55:
        allocation.reserve(profile=profile, product=product, until=clock.now() + dt.timedelta(hours=1))
    elif roll < 0.80:
        allocation.release(profile=profile, product=product)
    elif roll < 0.85:
        allocation.retain(profile=profile, product=product)
    elif roll < 0.95:
        seat = Seat.objects.filter(profile=profile).exclude(state="released").first()
        if seat:
            with contextlib.suppress(allocation.BadInput):  # full, closed or the same
                allocation.move(seat=seat, instance=instance, **STAFF)
    elif roll < 0.98:
        hard = dice.randint(3, 14)
        deployments.change_caps(instance=instance, soft_cap=hard - 3, allocation_cap=hard - 1, hard_cap=hard, **STAFF)
    else:
        deployments.set_availability(
            instance=instance,
            is_active=dice.random() < 0.8,
            auto_allocate=dice.random() < 0.8,
            **STAFF,
        )


def deadlocks():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = %s",
            [connection.settings_dict["NAME"]],
        )
        return cursor.fetchone()[0]


@pytest.mark.long
@pytest.mark.fault("F31")
@pytest.mark.times(5)
def test_counters_equal_rows_after_everything_at_once_and_nothing_deadlocks():
    product, profiles = house_of(4, 10), house.people(60)
    before = deadlocks()
    answers = house.at_once([partial(churn, product, profiles, 6)] * 16, clients=16)
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    assert errors == []
    assert deadlocks() == before
    assert (house.drift(), house.doubles()) == ([], 0)
    assert sum(answers) > 300


@pytest.mark.mutant
@pytest.mark.fault("F31")
def test_mutant_instances_locked_in_no_order_deadlock(monkeypatch):
    """Two moves in opposite directions, with the locks taken in the order of each move."""
    product = house_of(2, 30)
    seats = [allocation.assign(profile=profile, product=product) for profile in house.people(16)]
    first, second = Instance.objects.filter(product=product)

    def careless_move(seat):
        target = second if seat.instance_id == first.pk else first
        with allocation.transaction.atomic():
            for pk in (seat.instance_id, target.pk):
                Instance.objects.select_for_update().get(pk=pk)
                time.sleep(0.02)

    answers = house.at_once([partial(careless_move, seat) for seat in seats], clients=16)
    assert any(isinstance(answer, OperationalError) for answer in answers)
    monkeypatch.undo()
    swaps = [partial(swap, seat, first, second) for seat in seats]
    assert not [answer for answer in house.at_once(swaps, clients=16) if isinstance(answer, Exception)]


def swap(seat, first, second):
    target = second if seat.instance_id == first.pk else first
    return allocation.move(seat=seat, instance=target, **STAFF)


# --- F32: one person, sixteen times ----------------------------------------------------------------------------------


@pytest.mark.fault("F32")
@pytest.mark.times(9)
def test_one_person_asking_sixteen_times_at_once_gets_one_seat():
    product = house_of(3, 40)
    for profile in house.people(12):
        answers = house.at_once([partial(allocation.assign, profile=profile, product=product)] * 16, clients=16)
        assert len({answer.pk for answer in answers}) == 1
    assert Seat.objects.count() == 12
    assert house.drift() == []


@pytest.mark.mutant
@pytest.mark.fault("F32")
def test_mutant_without_the_persons_lock_only_the_constraint_stands(monkeypatch):
    monkeypatch.setattr(allocation, "lock_until_commit", lambda *_: None)
    product = house_of(3, 200)
    broken = 0
    for profile in house.people(10):
        answers = house.at_once([partial(allocation.assign, profile=profile, product=product)] * 16, clients=16)
        broken += sum("seat_one_live_per_profile_and_product" in str(answer) for answer in answers)
    assert broken
    assert house.doubles() == 0


@pytest.mark.mutant
@pytest.mark.fault("F32")
def test_mutant_without_the_constraint_and_the_lock_a_person_gets_two(monkeypatch):
    monkeypatch.setattr(allocation, "lock_until_commit", lambda *_: None)
    name = "seat_one_live_per_profile_and_product"
    (constraint,) = [found for found in Seat._meta.constraints if found.name == name]
    with connection.schema_editor() as schema:
        schema.remove_constraint(Seat, constraint)
    try:
        product = house_of(3, 200)
        for profile in house.people(10):
            house.at_once([partial(allocation.assign, profile=profile, product=product)] * 16, clients=16)
        assert house.doubles() > 0
        Seat.objects.all().delete()
    finally:
        with connection.schema_editor() as schema:
            schema.add_constraint(Seat, constraint)


# --- F35: one seat freed, twenty waiting -----------------------------------------------------------------------------


def free_one_seat(rounds):
    """How often exactly the longest waiting of twenty got the one seat that was freed, of so many rounds."""
    right = 0
    for _ in range(rounds):
        product = house_of(1, 1)
        ada, *waiting = house.people(21)
        allocation.assign(profile=ada, product=product)
        for profile in waiting:
            allocation.assign(profile=profile, product=product)
        release = partial(allocation.release, profile=ada, product=product)
        asks = [partial(allocation.assign, profile=profile, product=product) for profile in reversed(waiting)]
        house.at_once([release, *asks], clients=21)
        allocation.release_expired()
        live = Seat.objects.filter(product=product).exclude(state="released")
        right += list(live.values_list("profile_id", flat=True)) == [waiting[0].pk]
    return right


@pytest.fixture
def told(monkeypatch):
    """The longest waiting is looked at again, as the application does through a job."""

    def look(profile_id):
        wait = SeatWait.objects.select_related("profile", "product").get(profile=profile_id)
        allocation.assign(profile=wait.profile, product=wait.product)

    monkeypatch.setattr(allocation, "on_freed", [look])


@pytest.mark.fault("F35")
@pytest.mark.times(20)
def test_the_freed_seat_goes_to_the_longest_waiting_of_twenty(told):
    assert free_one_seat(5) == 5


@pytest.mark.mutant
@pytest.mark.fault("F35")
def test_mutant_without_the_queue_somebody_overtakes(told, monkeypatch):
    monkeypatch.setattr(
        statements, "PICK_UNLOCKED", statements.PICK_UNLOCKED.replace(statements.NOBODY_ELSE_WAITS, "true")
    )
    monkeypatch.setattr(statements, "PICK_WAITING", statements.PICK_WAITING.replace(statements.MY_TURN, "true"))
    assert free_one_seat(5) < 5


def test_the_tests_use_connections_of_their_own():
    """A race in one connection would be none."""
    pids = house.at_once([backend] * 8, clients=8)
    assert len(set(pids)) > 1


def backend():
    time.sleep(0.05)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]
