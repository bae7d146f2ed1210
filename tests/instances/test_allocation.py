"""One person at a time: what each verb does to the seat, the counter, the wait and the timeline."""

import datetime as dt
import uuid
from importlib import import_module

import pytest
from django.db import connection
from django.db.models import F

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.core.states import AccessState
from apps.instances import allocation, capacity, deployments
from apps.instances.models import Instance, ProductAccount, Seat, SeatWait
from tests.instances import house

pytestmark = pytest.mark.django_db
STAFF = {"actor": "staff:ada", "reason": "because"}


def timeline(profile):
    lines = AuditEntry.objects.filter(subject_kind="profile", subject_id=str(profile.pk))
    return list(lines.order_by("id").values_list("action", flat=True))


def in_an_hour():
    return clock.now() + dt.timedelta(hours=1)


def fill(product, count):
    for profile in house.people(count):
        assert allocation.assign(profile=profile, product=product)


def test_a_held_seat_becomes_the_assigned_one():
    product, ada = house.app(), house.person()
    instance = house.instance(product)
    held = allocation.reserve(profile=ada, product=product, until=in_an_hour())
    assigned = allocation.assign(profile=ada, product=product)
    assert assigned.pk == held.pk
    assert (assigned.state, assigned.reserved_until) == ("assigned", None)
    instance.refresh_from_db()
    assert instance.allocated_seats == 1
    assert timeline(ada) == ["seat_reserved", "seat_assigned"]


def test_asking_again_changes_nothing_and_writes_no_line():
    product, ada = house.app(), house.person()
    house.instance(product)
    first = allocation.assign(profile=ada, product=product)
    assert allocation.assign(profile=ada, product=product) == first
    assert allocation.reserve(profile=ada, product=product, until=in_an_hour()).state == "assigned"
    assert timeline(ada) == ["seat_assigned"]
    assert house.drift() == []


def test_a_second_checkout_holds_the_same_seat_longer():
    product, ada = house.app(), house.person()
    house.instance(product)
    first = allocation.reserve(profile=ada, product=product, until=in_an_hour())
    later = in_an_hour() + dt.timedelta(hours=1)
    assert allocation.reserve(profile=ada, product=product, until=later) == first
    first.refresh_from_db()
    assert first.reserved_until == later


def test_a_retained_seat_stays_counted_and_comes_back_on_the_same_instance():
    product, ada = house.app(), house.person()
    instance = house.instance(product)
    seat = allocation.assign(profile=ada, product=product)
    assert allocation.retain(profile=ada, product=product).state == "retained"
    instance.refresh_from_db()
    assert instance.allocated_seats == 1
    assert allocation.assign(profile=ada, product=product) == seat
    assert timeline(ada) == ["seat_assigned", "seat_retained", "seat_assigned"]


def test_a_released_seat_is_free_for_the_next_and_kept_as_history():
    product, ada, bob = house.app(), *house.people(2)
    instance = house.instance(product, 0, 1, 2)
    allocation.assign(profile=ada, product=product)
    assert allocation.assign(profile=bob, product=product) is None
    released = allocation.release(profile=ada, product=product)
    assert released.state == "released"
    assert allocation.release(profile=ada, product=product) is None
    assert allocation.assign(profile=bob, product=product).instance == instance
    assert Seat.objects.filter(profile=ada, state="released", released_at__isnull=False).count() == 1
    assert house.drift() == []


def test_nothing_to_retain_or_release_is_no_seat():
    product, ada = house.app(), house.person()
    assert allocation.retain(profile=ada, product=product) is None
    assert allocation.release(profile=ada, product=product) is None
    assert timeline(ada) == []


def test_people_go_below_the_soft_caps_first_and_then_up_to_the_allocation_caps():
    product = house.app()
    small, large = house.instance(product, 1, 3, 4), house.instance(product, 3, 6, 7)
    fill(product, 4)
    small.refresh_from_db()
    large.refresh_from_db()
    assert (small.allocated_seats, large.allocated_seats) == (1, 3)
    fill(product, 5)
    small.refresh_from_db()
    large.refresh_from_db()
    assert (small.allocated_seats, large.allocated_seats) == (3, 6)
    assert allocation.assign(profile=house.person(), product=product) is None


def test_only_returning_subscribers_use_the_reserve_and_nobody_passes_the_hard_cap():
    product = house.app()
    instance = house.instance(product, 1, 2, 3)
    fill(product, 2)
    ada, bob, eve = house.people(3)
    assert allocation.reserve(profile=eve, product=product, until=in_an_hour()) is None
    assert allocation.assign(profile=eve, product=product) is None
    assert allocation.assign(profile=ada, product=product, returning=True)
    assert allocation.assign(profile=bob, product=product, returning=True) is None
    instance.refresh_from_db()
    assert instance.allocated_seats == 3


@pytest.mark.parametrize(
    "closed",
    [{"is_active": False, "auto_allocate": True}, {"is_active": True, "auto_allocate": False}],
)
def test_nobody_is_put_on_a_closed_instance(closed):
    product = house.app()
    deployments.set_availability(instance=house.instance(product), **closed, **STAFF)
    assert not capacity.has_room(product)
    assert allocation.assign(profile=house.person(), product=product, returning=True) is None


@pytest.mark.fault("F33")
def test_a_lowered_cap_evicts_nobody_gives_no_new_seat_and_is_shown():
    """F33."""
    product = house.app()
    instance = house.instance(product, 2, 5, 6)
    fill(product, 5)
    lowered = deployments.change_caps(instance=instance, soft_cap=1, allocation_cap=2, hard_cap=3, **STAFF)
    assert lowered.over_cap_since is not None
    assert Seat.objects.filter(state="assigned").count() == 5
    assert allocation.assign(profile=house.person(), product=product, returning=True) is None
    row = capacity.read_occupancy()[0]
    assert (row.over, row.allocated, row.assigned) == (2, 5, 5)
    for seat in Seat.objects.filter(state="assigned")[:2]:
        allocation.release(profile=seat.profile, product=product)
    instance.refresh_from_db()
    assert (instance.allocated_seats, instance.over_cap_since) == (3, None)
    assert capacity.read_occupancy()[0].over == 0


def test_raising_the_cap_again_ends_the_mark():
    product = house.app()
    instance = house.instance(product, 1, 2, 3)
    fill(product, 2)
    deployments.change_caps(instance=instance, soft_cap=0, allocation_cap=0 + 1, hard_cap=2, **STAFF)
    instance.refresh_from_db()
    assert instance.over_cap_since is None  # at the hard cap, not over it
    allocation.assign(profile=house.person(), product=product)
    deployments.change_caps(instance=instance, soft_cap=2, allocation_cap=3, hard_cap=4, **STAFF)
    instance.refresh_from_db()
    assert instance.over_cap_since is None


@pytest.mark.parametrize("caps", [(2, 2, 3), (1, 3, 3), (5, 3, 4), (-1, 2, 3)])
def test_caps_out_of_order_are_refused(caps):
    instance = house.instance(house.app())
    soft, middle, hard = caps
    with pytest.raises(BadInput):
        deployments.change_caps(instance=instance, soft_cap=soft, allocation_cap=middle, hard_cap=hard, **STAFF)


def came_back(product, home, **account):
    """The instance of somebody who comes back to `product` and has this account at `home`; another one has more room."""
    ada, bob = house.people(2)
    UserProfile.objects.filter(pk=ada.pk).update(keycloak_id=(key := str(uuid.uuid4())))
    ada.refresh_from_db()
    Seat.objects.create(profile=bob, product=product, instance=home, state="assigned", created_at=NOW, changed_at=NOW)
    Instance.objects.filter(pk=home.pk).update(allocated_seats=F("allocated_seats") + 1, assigned=F("assigned") + 1)
    ProductAccount.objects.create(profile=ada, instance=home, **{"user_id": key, **account})
    return allocation.reserve(profile=ada, product=product, until=in_an_hour()).instance


NOW = dt.datetime(2027, 1, 14, 12, 0, tzinfo=dt.UTC)
LEAVING = {"state": "leaving", "delete_at": NOW}


def test_who_comes_back_while_an_instance_keeps_their_data_comes_in_there():
    product = house.app()
    home, other = house.instance(product), house.instance(product)
    assert came_back(product, home, **LEAVING) == home
    assert came_back(product, home, state="deleted") == other
    assert came_back(product, home, **LEAVING, user_id="of another login") == other
    assert house.drift() == []


def test_and_elsewhere_when_that_is_full_or_closed():
    product = house.app()
    home, other = house.instance(product, 1, 2, 9), house.instance(product)
    assert came_back(product, home, **LEAVING) == home  # the last one up to the allocation cap
    assert came_back(product, home, **LEAVING) == other
    Instance.objects.filter(pk=home.pk).update(allocation_cap=8, auto_allocate=False)
    assert came_back(product, home, **LEAVING) == other


def test_staff_move_a_person_into_the_reserve_and_no_further():
    product = house.app()
    old, new = house.instance(product, 1, 3, 4), house.instance(product, 0, 1, 2)
    fill(product, 4)
    new.refresh_from_db()
    seats = list(Seat.objects.filter(instance=old).order_by("pk"))
    moved = allocation.move(seat=seats[0], instance=new, **STAFF)
    assert moved.instance == new
    with pytest.raises(BadInput, match="full"):
        allocation.move(seat=seats[1], instance=new, **STAFF)
    assert house.drift() == []
    line = AuditEntry.objects.get(action="seat_moved")
    assert (line.before, line.after, line.actor) == (
        {"instance": old.slug},
        {"instance": new.slug},
        "staff:ada",
    )


def test_impossible_moves_are_refused_with_a_sentence():
    product, ada = house.app(), house.person()
    here, there = house.instance(product), house.instance(product)
    elsewhere = house.instance(house.app())
    seat = allocation.assign(profile=ada, product=product)
    with pytest.raises(BadInput, match="already"):
        allocation.move(seat=seat, instance=here, **STAFF)
    with pytest.raises(BadInput, match="another product"):
        allocation.move(seat=seat, instance=elsewhere, **STAFF)
    deployments.set_availability(instance=there, is_active=False, auto_allocate=False, **STAFF)
    with pytest.raises(BadInput, match="not in use"):
        allocation.move(seat=seat, instance=there, **STAFF)
    allocation.release(profile=ada, product=product)
    with pytest.raises(BadInput, match="released"):
        allocation.move(seat=seat, instance=there, **STAFF)
    assert house.drift() == []


def test_expired_holds_are_given_back_and_others_kept():
    product, ada, bob, eve = house.app(), *house.people(3)
    house.instance(product)
    allocation.reserve(profile=ada, product=product, until=clock.now() - dt.timedelta(seconds=1))
    allocation.reserve(profile=bob, product=product, until=in_an_hour())
    allocation.reserve(profile=eve, product=product, until=clock.now() - dt.timedelta(seconds=1))
    allocation.assign(profile=eve, product=product)
    assert allocation.release_expired_reservations() == 1
    assert allocation.release_expired_reservations() == 0
    states = dict(Seat.objects.values_list("profile_id", "state"))
    assert states == {ada.pk: "released", bob.pk: "reserved", eve.pk: "assigned"}
    assert house.drift() == []


# --- waiting ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def called(monkeypatch):
    profiles: list[int] = []
    monkeypatch.setattr(allocation, "on_freed", [profiles.append])
    return profiles


def queue_up(product, count):
    waiting = house.people(count)
    for profile in waiting:
        assert allocation.assign(profile=profile, product=product) is None
    return waiting


def test_who_waits_is_called_when_a_seat_is_freed_longest_first(called, django_capture_on_commit_callbacks):
    product, ada = house.app(), house.person()
    house.instance(product, 0, 1, 2)
    allocation.assign(profile=ada, product=product)
    waiting = queue_up(product, 3)
    with django_capture_on_commit_callbacks(execute=True):
        allocation.release(profile=ada, product=product)
    assert called == [waiting[0].pk]
    assert allocation.assign(profile=waiting[0], product=product)
    assert set(SeatWait.objects.values_list("profile", flat=True)) == {one.pk for one in waiting[1:]}


def test_nobody_overtakes_the_one_who_has_waited_longer():
    product, ada = house.app(), house.person()
    house.instance(product, 0, 1, 2)
    allocation.assign(profile=ada, product=product)
    first, second = queue_up(product, 2)
    allocation.release(profile=ada, product=product)
    stranger = house.person()
    assert allocation.reserve(profile=stranger, product=product, until=in_an_hour()) is None
    assert not capacity.has_room(product)
    assert allocation.assign(profile=second, product=product) is None
    assert allocation.assign(profile=first, product=product)
    assert not SeatWait.objects.filter(profile=first).exists()


def test_raised_caps_call_as_many_as_there_is_room_for(called, django_capture_on_commit_callbacks):
    product = house.app()
    instance = house.instance(product, 0, 1, 2)
    fill(product, 1)
    waiting = queue_up(product, 4)
    with django_capture_on_commit_callbacks(execute=True):
        deployments.change_caps(instance=instance, soft_cap=1, allocation_cap=4, hard_cap=5, **STAFF)
    assert called == [profile.pk for profile in waiting[:3]]


@pytest.mark.parametrize(
    "state", [AccessState.SUSPENDED, AccessState.CANCELED, AccessState.ON_HOLD, AccessState.EXPIRED]
)
def test_a_person_without_access_holds_up_nobody(state, called, django_capture_on_commit_callbacks):
    product, ada = house.app(), house.person()
    house.instance(product, 0, 1, 2)
    allocation.assign(profile=ada, product=product)
    gone, next_one = queue_up(product, 2)
    gone.access_state = state.value
    gone.save()
    with django_capture_on_commit_callbacks(execute=True):
        allocation.release(profile=ada, product=product)
    assert called == [next_one.pk]
    assert allocation.assign(profile=next_one, product=product)


@pytest.mark.parametrize("verb", [allocation.retain, allocation.release])
def test_losing_access_ends_the_wait(verb):
    product = house.app()
    (ada,) = queue_up(product, 1)
    assert verb(profile=ada, product=product) is None
    assert not SeatWait.objects.exists()


def test_the_minute_job_offers_room_that_nobody_was_told_of(called):
    product = house.app()
    instance = house.instance(product, 0, 1, 2)
    fill(product, 1)
    (ada,) = queue_up(product, 1)
    Instance.objects.filter(pk=instance.pk).update(allocation_cap=3, hard_cap=4)
    allocation.release_expired()
    assert called == [ada.pk]


# --- looking ---------------------------------------------------------------------------------------------------------


def test_has_room_agrees_with_what_a_hold_would_say():
    product = house.app()
    assert not capacity.has_room(product)
    house.instance(product, 1, 2, 3)
    for _ in range(4):
        expected = capacity.has_room(product)
        held = allocation.reserve(profile=house.person(), product=product, until=in_an_hour())
        assert (held is not None) == expected


def test_rooms_answers_for_many_products_in_one_query(django_assert_num_queries):
    full, free, plain = house.app(), house.app(), house.app()
    plain.needs_instance = False
    plain.save()
    house.instance(free)
    with django_assert_num_queries(1):
        assert capacity.have_room([full, free, plain]) == {
            full.pk: False,
            free.pk: True,
            plain.pk: True,
        }


def test_the_board_counts_seats_by_state_in_one_query(django_assert_num_queries):
    product, ada, bob, eve = house.app(), *house.people(3)
    house.instance(product, 2, 4, 6)
    allocation.assign(profile=ada, product=product)
    allocation.assign(profile=bob, product=product)
    allocation.retain(profile=bob, product=product)
    allocation.reserve(profile=eve, product=product, until=in_an_hour())
    with django_assert_num_queries(1):
        (row,) = capacity.read_occupancy()
    assert (row.allocated, row.assigned, row.retained, row.reserved, row.over) == (3, 1, 1, 1, 0)


def test_each_change_of_a_seat_keeps_the_counters_of_its_states():
    product, ada = house.app(), house.person()
    house.instance(product), house.instance(product)

    def counters() -> list[tuple[int, int, int, int]]:
        return sorted(Instance.objects.values_list("allocated_seats", "reserved", "assigned", "retained"), reverse=True)

    allocation.reserve(profile=ada, product=product, until=in_an_hour())
    assert counters() == [(1, 1, 0, 0), (0, 0, 0, 0)]
    seat = allocation.assign(profile=ada, product=product)
    assert counters() == [(1, 0, 1, 0), (0, 0, 0, 0)]
    allocation.retain(profile=ada, product=product)
    assert counters() == [(1, 0, 0, 1), (0, 0, 0, 0)]
    other = Instance.objects.exclude(pk=seat.instance_id).get()
    allocation.move(seat=seat, instance=other, actor="staff:ada", reason="test")
    other.refresh_from_db()
    assert (other.allocated_seats, other.retained) == (1, 1)
    assert counters() == [(1, 0, 0, 1), (0, 0, 0, 0)]
    allocation.assign(profile=ada, product=product)
    assert counters() == [(1, 0, 1, 0), (0, 0, 0, 0)]
    allocation.release(profile=ada, product=product)
    assert counters() == [(0, 0, 0, 0), (0, 0, 0, 0)]
    assert allocation.release(profile=ada, product=product) is None
    allocation.reserve(profile=ada, product=product, until=clock.now())
    allocation.release_expired_reservations()
    assert counters() == [(0, 0, 0, 0), (0, 0, 0, 0)]
    assert house.drift() == []


@pytest.mark.parametrize("name", ["allocated_seats", "reserved", "assigned", "retained"])
def test_the_law_finds_an_instance_that_counts_wrongly(name):
    product, ada = house.app(), house.person()
    house.instance(product)
    seat = allocation.assign(profile=ada, product=product)
    assert capacity.find_miscounted() == []
    Instance.objects.update(**{name: 5})
    assert capacity.find_miscounted() == [seat.instance.slug]


def test_the_migration_counts_the_seats_that_are_there():
    product, (ada, bob, eve) = house.app(), house.people(3)
    house.instance(product)
    allocation.assign(profile=ada, product=product)
    allocation.assign(profile=bob, product=product)
    allocation.retain(profile=bob, product=product)
    allocation.reserve(profile=eve, product=product, until=in_an_hour())
    Instance.objects.update(reserved=0, assigned=0, retained=0)
    with connection.cursor() as cursor:
        cursor.execute(import_module("apps.instances.migrations.0005_counters_by_state").FILL)
    assert capacity.find_miscounted() == []


def test_a_new_instance_has_a_django_group_named_like_its_keycloak_group(settings):
    settings.KEYCLOAK_PARENT_GROUP = "/desk"
    instance = house.instance(house.app())
    assert instance.group.name == instance.keycloak_group == f"/desk/{instance.slug}"
    lines = AuditEntry.objects.filter(subject_kind="instance", subject_id=str(instance.pk))
    assert [(line.action, line.actor) for line in lines] == [("instance_created", "staff:ada")]


def test_the_usual_allocation_is_one_statement_beside_its_locks_and_its_line(
    django_assert_max_num_queries,
):
    product, ada = house.app(), house.person()
    house.instance(product)
    with django_assert_max_num_queries(13):
        allocation.assign(profile=ada, product=product)
