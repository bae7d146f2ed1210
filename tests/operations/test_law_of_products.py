"""The law of accounts in products, broken by hand in each way that it watches: it names exactly that row."""

import datetime as dt
from typing import Any

import pytest

from apps.core import clock, laws
from apps.core.models import Job
from apps.instances.models import ProductAccount
from apps.instances.provisioning import accounts
from tests.instances.products import obey
from tests.laws import sabotage, violated
from tests.world import World

ACCOUNTS = "UPDATE instances_productaccount SET {} WHERE profile_id = {}"
BROKEN = {
    "an order that no job carries out": ("synced_at = NULL", True),
    "one that counts as done and is not there": ("exists = FALSE", True),
    "one that should let in and does not": ("enabled = FALSE", True),
    "less than was ordered": ("quota_found = quota - 1", True),
    "no limit where one was ordered": ("quota_found = NULL", True),
    "one that should be closed and lets in": ("state = 'suspended'", False),
    "one that should be gone and is not": ("state = 'deleted'", False),
}


@pytest.fixture
def house(world: World, settings: Any) -> World:
    obey(world, settings)
    world.subscriber("dana")
    world.subscriber("otto")
    world.pass_time(seconds=2 * 3600)
    world.deliver()
    assert violated() == {}
    return world


def test_every_way_to_break_it_names_exactly_that_account(house: World) -> None:
    dana = ProductAccount.objects.get(profile__user__username="dana")
    otto = ProductAccount.objects.get(profile__user__username="otto")
    seat = dana.profile.seats.get()
    for what, (change, is_alone) in BROKEN.items():
        with sabotage(ACCOUNTS.format(change, dana.profile_id)):
            named = [str(dana.pk)] if is_alone else [str(dana.pk), str(seat.pk)]
            assert violated() == {"L32": named}, what
            (elsewhere,) = laws.run(["L32"], laws.Scope(subscriber_id=otto.profile_id))
            assert (elsewhere.checked.looked_at, elsewhere.checked.total) == (1, 0)
        assert violated() == {}, what


def test_an_account_and_a_seat_without_each_other_are_named(house: World) -> None:
    dana = ProductAccount.objects.get(profile__user__username="dana")
    seat = dana.profile.seats.get()
    with sabotage(f"DELETE FROM instances_productaccount WHERE id = {dana.pk}"):
        assert violated() == {"L32": [str(seat.pk)]}
    with sabotage(f"UPDATE instances_productaccount SET user_id = 'a former login' WHERE id = {dana.pk}"):
        assert violated("L32") == {"L32": [str(seat.pk)]}
    with sabotage(f"UPDATE instances_seat SET state = 'retained' WHERE id = {seat.pk}"):
        assert violated("L32") == {"L32": [str(dana.pk)]}
    assert violated() == {}


def test_work_in_progress_and_products_that_take_no_orders_break_nothing(house: World) -> None:
    dana = ProductAccount.objects.get(profile__user__username="dana")
    unsynced = ACCOUNTS.format("synced_at = NULL", dana.profile_id)
    with sabotage(unsynced):
        accounts.sync_soon(dana, reason="a test")
        assert violated("L32") == {}
        Job.objects.filter(kind=accounts.KIND).update(created_at=clock.now() - dt.timedelta(hours=2))
        assert violated("L32") == {"L32": [str(dana.pk)]}
    with sabotage(unsynced, "DELETE FROM instances_provisioning"):
        assert violated("L32") == {}
