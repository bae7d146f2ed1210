"""Who has changed: no change is missed, whatever commits when; each thing that the API says is watched; cursors end where they must."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import F

from apps.accounts.models import Membership, UserProfile
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.core import clock, restores, retention
from apps.core.locks import LockClass
from apps.instances import allocation
from apps.instances.models import Instance, Seat
from apps.operations import privacy
from apps.operations.api import changes
from apps.operations.models import CustomerChange
from tests.instances import house
from tests.operations.customer_api import BY, READ, System
from tests.waiting import SOMEBODY_WAITS
from tests.world import World


def ids(page: changes.ChangePage) -> list[int]:
    return [one for one, _exists in page.customers]


def connect() -> psycopg.Connection:
    parameters = connection.get_connection_params()
    names = ("host", "port", "dbname", "user", "password")
    return psycopg.connect(**{name: parameters[name] for name in names if name in parameters})


@pytest.fixture
def elsewhere(transactional_db: None) -> Iterator[psycopg.Connection]:
    """Another connection, whose transaction the test ends."""
    with connect() as made:
        yield made


@pytest.fixture
def reader(transactional_db: None) -> Iterator[psycopg.Connection]:
    """And one more."""
    with connect() as made:
        yield made


def rename(other: psycopg.Connection, profile: UserProfile, name: str) -> None:
    other.execute("UPDATE auth_user SET first_name = %s WHERE id = %s", [name, profile.user_id])


def miss_who_commits_late(elsewhere: psycopg.Connection) -> bool:
    """Somebody's change begins first and commits last; whether a reader who follows the cursors never hears of it."""
    slow, quick = house.people(2)
    cursor = changes.find_present()
    rename(elsewhere, slow, "Slow")
    UserProfile.objects.filter(pk=quick.pk).update(language="de")
    first = changes.read_changes(cursor, limit=10)
    assert ids(first) == [quick.pk]
    elsewhere.commit()
    second = changes.read_changes(first.cursor, limit=10)
    assert ids(second) in ([], [slow.pk])
    return not second.customers


def test_a_change_that_commits_late_is_not_missed(elsewhere: psycopg.Connection) -> None:
    assert not miss_who_commits_late(elsewhere)


@pytest.mark.mutant
def test_mutant_that_goes_by_the_order_of_writing_misses_it(
    elsewhere: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_writing = (
        "UPDATE operations_customerchange SET number = id + 0 * %s, at = %s WHERE number IS NULL"  # 0: no batches
    )
    monkeypatch.setattr(changes, "NUMBER_NEW", by_writing)
    monkeypatch.setattr(changes, "_refuse_gone", lambda *_given: None)  # its numbers have gaps
    assert miss_who_commits_late(elsewhere)


def test_two_readers_at_once_give_no_number_twice(transactional_db: None) -> None:
    house.people(300)
    cursor = f"{changes.find_present().partition('.')[0]}.0"
    UserProfile.objects.update(language="de")
    found = house.at_once([lambda: changes.read_changes(cursor, limit=200) for _ in range(6)], clients=3)
    assert not [one for one in found if isinstance(one, Exception)]
    numbers = CustomerChange.objects.order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, len(numbers) + 1))


def lose_by_two_readers(elsewhere: psycopg.Connection, reader: psycopg.Connection) -> bool:
    """One reader numbers while another one sees what has just committed and began earlier; whether that is lost."""
    slow, quick = house.people(2)
    epoch, _, last = changes.find_present().partition(".")
    rename(elsewhere, slow, "Slow")
    UserProfile.objects.filter(pk=quick.pk).update(language="de")
    reader.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LockClass.CUSTOMER_CHANGES])
    reader.execute(changes.NUMBER_NEW, [changes.BATCH, clock.now()])  # only what is committed: of `quick`
    elsewhere.commit()

    def let_first_go_on() -> None:
        while not reader.execute(SOMEBODY_WAITS).fetchone()[0]:  # type: ignore[index]
            time.sleep(0.01)
        reader.commit()  # who asked has a cursor after `quick` now

    found = house.at_once([changes.number_new, let_first_go_on], clients=2)
    if any(isinstance(one, Exception) for one in found):
        return True
    return slow.pk not in ids(changes.read_changes(f"{epoch}.{int(last) + 1}", limit=10))


def test_a_reader_waits_for_the_one_before(elsewhere: psycopg.Connection, reader: psycopg.Connection) -> None:
    assert not lose_by_two_readers(elsewhere, reader)


@pytest.mark.mutant
def test_mutant_without_the_lock_a_change_is_lost(
    elsewhere: psycopg.Connection, reader: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "lock_until_commit", lambda *_given: None)
    assert lose_by_two_readers(elsewhere, reader)


def test_each_thing_that_is_said_is_watched(world: World) -> None:
    """And what is not said makes no change: a sync that changes nothing, and a subscription that is fetched again."""
    dana, mia = world.subscriber("dana"), world.subscriber("mia")
    cursor = changes.find_present()

    def changed_by(act: Callable[[], Any]) -> set[int]:
        nonlocal cursor
        act()
        page = changes.read_changes(cursor, limit=50)
        cursor = page.cursor
        return set(ids(page))

    mine, rows, now = {dana.pk}, UserProfile.objects.filter(pk=dana.pk), clock.now()
    seat = Seat.objects.filter(profile=dana).first()
    assert seat is not None
    subscription = Subscription.objects.filter(customer_id=dana.stripe_customer_id)
    for values in (
        {"email": "new@example.com"},
        {"language": "de"},
        {"access_until": now},
        {"forecast": []},
        {"access_reason": {}},
    ):
        assert changed_by(lambda values=values: rows.update(**values)) == mine, values
    assert changed_by(lambda: type(dana.user).objects.filter(pk=dana.user_id).update(last_name="Else")) == mine
    assert changed_by(lambda: subscription.update(cancel_at=now)) == mine
    assert changed_by(lambda: UserSubscriptionItem.objects.filter(profile=dana).update(quantity=2)) == mine
    instance = Instance.objects.filter(pk=seat.instance_id)
    there = set(Seat.objects.filter(instance=seat.instance_id).values_list("profile_id", flat=True))
    for name in ("url", "name", "slug"):
        was = getattr(seat.instance, name)
        assert changed_by(lambda name=name, was=was: instance.update(**{name: f"{was}2"})) == there >= mine, name
        assert changed_by(lambda name=name, was=was: instance.update(**{name: was})) == there, name
    assert changed_by(lambda: instance.update(soft_cap=F("soft_cap"), location="Falkenstein")) == set()
    assert changed_by(lambda: allocation.release(profile=dana, product=seat.product)) == mine
    values = {"email": mia.email, "invited_at": now, "accepted_at": now}
    assert changed_by(lambda: Membership.objects.create(payer=dana, member=mia, **values)) == {dana.pk, mia.pk}
    for harmless in ({"synced_at": now}, {"desired_generation": 9}, {"language": "de"}):
        assert changed_by(lambda values=harmless: rows.update(**values)) == set(), harmless
    assert changed_by(lambda: subscription.update(fetched_at=now)) == set()
    world.sweep()  # brings right what was changed by hand above
    assert changed_by(lambda: None) >= mine
    world.sweep()
    assert changed_by(lambda: None) == set()


@pytest.mark.django_db
def test_pages_name_each_customer_once_and_end() -> None:
    crm = System(READ)
    begin = crm.read("changes")
    people = house.people(5)
    for one in [*people, people[0]]:
        one.access_state = "active" if one.access_state == "none" else "grace"
        one.save()
        changes.number_new()
    found, page = [], begin | {"has_more": True}
    while page["has_more"]:
        page = crm.read("changes", after=page["after"], limit=4)
        found.append([one["id"] for one in page["changes"]])
    assert found[-1][-1] == people[0].pk
    assert {one for part in found for one in part} == {one.pk for one in people}
    assert all(len(part) == len(set(part)) for part in found)
    assert crm.read("changes", after=page["after"]) == {"changes": [], "after": page["after"], "has_more": False}


@pytest.mark.django_db
def test_who_is_gone_and_who_was_erased_is_told() -> None:
    crm = System(READ)
    gone, erased = house.people(2)
    after = crm.read("changes")["after"]
    gone.user.delete()
    privacy.erase(erased, **BY)
    said = crm.read("changes", after=after)["changes"]
    assert {one["id"]: one["exists"] for one in said} == {gone.pk: False, erased.pk: True}


@pytest.mark.django_db
def test_a_cursor_ends_with_what_was_deleted_after_it_and_with_a_restore() -> None:
    crm, (first, second) = System(READ), house.people(2)
    old = crm.read("changes")["after"]
    first.user.delete()
    middle = crm.read("changes", after=old)["after"]
    CustomerChange.objects.update(at=clock.now() - dt.timedelta(days=40))
    second.user.delete()
    changes.prune(clock.now() - dt.timedelta(days=30))
    assert not changes.outdated(clock.now() - dt.timedelta(days=30)).exists()
    assert crm.read("changes", status=410, after=old)["code"] == "cursor_gone"
    assert [one["id"] for one in crm.read("changes", after=middle)["changes"]] == [second.pk]
    CustomerChange.objects.update(at=clock.now() - dt.timedelta(days=40))
    changes.prune(clock.now() - dt.timedelta(days=30))
    last = crm.read("changes")["after"]  # of the last one, from which the numbers go on
    assert CustomerChange.objects.count() == 1
    ahead = f"{last.partition('.')[0]}.{int(last.partition('.')[2]) + 1}"
    assert crm.read("changes", status=410, after=ahead)["code"] == "cursor_gone"
    with transaction.atomic():
        restores.begin("a test")
    assert crm.read("changes", status=410, after=last)["code"] == "cursor_gone"
    assert crm.read("changes", after=crm.read("changes")["after"])["changes"] == []


@pytest.mark.django_db
def test_what_somebody_else_numbers_meanwhile_ends_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    profile, cursor, read_last = house.person(), changes.find_present(), changes._last_number

    def after_another_reader() -> int:
        UserProfile.objects.filter(pk=profile.pk).update(language="de")
        changes.number_new()
        return read_last()

    monkeypatch.setattr(changes, "_last_number", after_another_reader)
    assert ids(changes.read_changes(cursor, limit=10)) == [profile.pk]


@pytest.mark.django_db
def test_a_restore_that_is_noticed_meanwhile_ends_the_cursor_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    house.person()
    begin, number = changes.find_present(), changes.number_new

    def notice_and_number() -> int:
        restores.begin("a test")
        return number()

    monkeypatch.setattr(changes, "number_new", notice_and_number)
    cursor = changes.read_changes(begin, limit=10).cursor
    monkeypatch.setattr(changes, "number_new", number)
    with pytest.raises(changes.CursorGone):
        changes.read_changes(cursor, limit=10)


@pytest.mark.django_db
def test_the_oldest_changes_are_deleted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what a killed prune has left has its gap at the beginning."""
    now, old = clock.now(), clock.now() - dt.timedelta(days=40)
    CustomerChange.objects.all().delete()
    for number, at in ((3, old), (2, old), (1, old), (4, now)):
        CustomerChange.objects.create(profile_id=number, transaction=number, number=number, at=at)
    monkeypatch.setattr(retention, "BATCH", 1)
    outdated = changes.outdated(now - dt.timedelta(days=30))
    assert [one.number for one in next(retention._batches(outdated))] == [1]
    assert [one.number for one in outdated] == [1, 2, 3]


@pytest.mark.django_db
def test_only_triggers_call_what_notes_changes() -> None:
    """It writes as its owner: a role that may read alone must not write through it."""
    open_to_all = """
        SELECT proname, proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0) FROM pg_proc
        WHERE prosecdef AND pronamespace = 'public'::regnamespace
    """
    with connection.cursor() as cursor:
        cursor.execute(open_to_all)
        found = dict(cursor.fetchall())
    assert "operations_note_change" in found
    assert [name for name, is_open in found.items() if is_open] == []


@pytest.mark.django_db
def test_many_changes_are_numbered_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "BATCH", 3)
    crm, after = System(READ), changes.find_present()
    people = house.people(8)
    page, found = {"after": after, "has_more": True}, []
    while page["has_more"]:
        page = crm.read("changes", after=page["after"])
        found += [one["id"] for one in page["changes"]]
    assert found == [one.pk for one in people]
