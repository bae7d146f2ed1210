"""Orders that change while they are carried out: what the last one says is what is there, and no data goes by an old one."""

import datetime as dt
from typing import Any

import pytest

from apps.accounts import legal_holds
from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.models import AuditEntry
from apps.instances.models import ProductAccount
from apps.instances.provisioning import accounts, checks
from apps.instances.provisioning.contract import AccountFound
from apps.instances.provisioning.nextcloud import Nextcloud
from apps.operations import incident
from tests.instances.products import GB, account, call, obey, there, told, use
from tests.world import World

State = ProductAccount.State


@pytest.fixture
def house(world: World, settings: Any) -> World:
    obey(world, settings)
    return world


def once_read(monkeypatch: pytest.MonkeyPatch, happens: Any) -> None:
    """What happens right after the product was read for the first time."""
    plain, left = Nextcloud.find, [happens]

    def find(self: Nextcloud, user_id: str) -> AccountFound | None:
        found = plain(self, user_id)
        if left:
            left.pop()()
        return found

    monkeypatch.setattr(Nextcloud, "find", find)


def pay_while_it_goes(house: World, monkeypatch: pytest.MonkeyPatch) -> float:
    """Dana's account is about to be deleted when she comes back; what she has there at the end, in GB."""
    dana = house.subscriber("dana")
    use(house, dana, 7)
    accounts.order(profile=dana, instance="nextcloud-1", state=State.DELETED)
    back = {"profile": dana, "instance": "nextcloud-1", "state": State.OPEN, "quota": 100 * GB}
    once_read(monkeypatch, lambda: accounts.order(**back))
    house.work()
    house.retry()
    found = there(house, dana)
    assert told(found) == (True, 100, ["customers"])
    assert house.jobs() == []
    return found["quota"]["used"] / GB if found else -1


def test_who_comes_back_in_the_last_moment_has_their_data(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pay_while_it_goes(house, monkeypatch) == 7


@pytest.mark.mutant
def test_mutant_without_the_last_question_the_data_is_gone(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "is_still_to_go", lambda _account: True)
    assert pay_while_it_goes(house, monkeypatch) == 0


def begin_incident(_dana: UserProfile) -> None:
    until = clock.now() + dt.timedelta(hours=5)
    incident.begin(product=None, until=until, actor="staff:ada", reason="the disks are full")


def place_hold(dana: UserProfile) -> None:
    legal_holds.place(dana, actor="staff:ada", reason="a dispute")


KEEPERS = pytest.mark.parametrize("begins", [begin_incident, place_hold])


def keep_while_it_goes(house: World, monkeypatch: pytest.MonkeyPatch, begins: Any) -> tuple[bool, str]:
    """Whether the files are there still, and what is ordered, when this begins after the deletion was ordered and begun."""
    dana = house.subscriber("dana")
    accounts.order(profile=dana, instance="nextcloud-1", state=State.DELETED)
    once_read(monkeypatch, lambda: begins(dana))
    house.work()
    assert house.jobs() == []
    return there(house, dana) is not None, account(dana).state


@KEEPERS
def test_what_keeps_data_is_asked_right_before_it_goes(
    house: World, monkeypatch: pytest.MonkeyPatch, begins: Any
) -> None:
    assert keep_while_it_goes(house, monkeypatch, begins) == (True, "leaving")


@pytest.mark.mutant
@KEEPERS
def test_mutant_asked_when_it_is_ordered_the_data_is_gone(
    house: World, monkeypatch: pytest.MonkeyPatch, begins: Any
) -> None:
    monkeypatch.setattr(accounts, "is_kept", lambda _profile: False)
    assert keep_while_it_goes(house, monkeypatch, begins) == (False, "deleted")


def test_an_order_that_comes_while_another_is_carried_out_is_carried_out_next(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dana = house.subscriber("dana")
    more = {"profile": dana, "instance": "nextcloud-1", "state": State.OPEN}
    accounts.order(**more, quota=200 * GB)
    once_read(monkeypatch, lambda: accounts.order(**more, quota=300 * GB))
    house.work()
    assert told(there(house, dana)) == (True, 300, ["customers"])
    assert account(dana).synced_at is not None


def test_a_check_that_ends_late_does_not_write_over_what_was_read_since(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dana = house.subscriber("dana")
    plain, left = Nextcloud.find, [1]

    def find(self: Nextcloud, user_id: str) -> AccountFound | None:
        found = plain(self, user_id)
        if left:
            left.pop()
            accounts.order(profile=dana, instance="nextcloud-1", state=State.OPEN, quota=300 * GB)
            house.work()
            assert account(dana).synced_at is not None
        return found

    monkeypatch.setattr(Nextcloud, "find", find)
    house.pass_time(seconds=6 * 3600 + 1)
    checks.check_instance(str(account(dana).instance_id))
    assert (left, account(dana).quota_found) == ([], 300 * GB)


def check_while_an_order_is_carried_out(house: World, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many lines about drift that leaves; nobody has changed anything in the product."""
    dana = house.subscriber("dana")
    house.pass_time(seconds=6 * 3600 + 1)
    plain, left = Nextcloud.find, [1]

    def find(self: Nextcloud, user_id: str) -> AccountFound | None:
        if left:
            left.pop()
            accounts.order(profile=dana, instance="nextcloud-1", state=State.OPEN, quota=300 * GB)
            call(house, "PUT", f"users/{user_id}", data={"key": "quota", "value": "300 GB"})
        return plain(self, user_id)

    monkeypatch.setattr(Nextcloud, "find", find)
    checks.check_instance(str(account(dana).instance_id))
    house.work()
    assert told(there(house, dana)) == (True, 300, ["customers"])
    return AuditEntry.objects.filter(action="product_drift_found").count()


def test_a_check_takes_an_order_that_came_meanwhile_for_no_drift(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_while_an_order_is_carried_out(house, monkeypatch) == 0


@pytest.mark.mutant
def test_mutant_by_the_id_alone_it_is_taken_for_drift(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "unchanged", lambda one: ProductAccount.objects.filter(pk=one.pk))
    assert check_while_an_order_is_carried_out(house, monkeypatch) == 1
