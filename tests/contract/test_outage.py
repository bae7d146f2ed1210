"""F36: six hours without Keycloak while people pay, on the rehearsal's clock; nothing is lost, and soon all have everything."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.core import clock, sweep
from apps.core.models import Dependency, Job
from apps.instances.models import Seat
from apps.notifications.models import Notification
from tests.contract.proxy import Proxy
from tests.contract.servers import Server
from tests.world import World

ALIKE = {"kind": "sync_user_post_checkout"}
MINUTE = 60


def outage(world: World, proxy: Proxy, people: int) -> list[UserProfile]:
    """Six hours by the clock in which Keycloak is away, and `people` who pay meanwhile, some in each half hour.

    Of each one's dozen events one arrives: the others are lost, which changes nothing (F03) and saves time.
    """
    proxy.make("down", path="/")
    found: list[UserProfile] = []
    for half_hour in range(1, 13):
        while len(found) < people * half_hour // 12:
            found.append(world.pay(world.signup(world.standin.name())))
            arrived = [event for event in world.skip() if event["type"] == "checkout.session.completed"]
            assert set(world.post_events(arrived)) <= {200}, "webhooks are answered as ever"
            world.work()  # until then the payment is open, and in a rush those may hold half of what is free
        pass_time(world, 30 * MINUTE)
    return found


def pass_time(world: World, seconds: int) -> None:
    """Move the clock, then do what a worker does: its sweep, and whatever is due."""
    world.pass_time(seconds=seconds)
    sweep.sweep()
    world.work()


def seconds_until(world: World, true: Callable[[], bool], *, at_most: int) -> int:
    """How long by the clock, looking every five seconds; the seconds the work takes are on it too."""
    began = clock.timestamp()
    while not true() and clock.timestamp() - began <= at_most:
        pass_time(world, 5)
    return clock.timestamp() - began


@pytest.mark.parametrize("many", [10, pytest.param(100, marks=pytest.mark.nightly)])
@pytest.mark.fault("F14", "F36")
@pytest.mark.long
@pytest.mark.nightly_on("keycloak")
def test_f36_six_hours_without_keycloak_and_everybody_who_paid_is_in_soon_after_its_return(
    world: World, server: Server, proxy: Proxy, many: int, record_property: Any
) -> None:
    payers = min(many, 25) if server.is_real else many
    world.only_room_for(payers)
    people = outage(world, proxy, payers)
    waiting = Job.objects.filter(**ALIKE)
    assert waiting.count() == len(people) == payers
    assert set(waiting.values_list("state", "attempts")) == {("queued", 0)}
    assert not UserProfile.objects.filter(keycloak_id__isnull=False).exists()
    proxy.mend()
    ready = UserProfile.objects.filter(access_state="active", keycloak_id__isnull=False, pending_since=None)
    took = seconds_until(world, lambda: ready.count() == payers, at_most=120)
    record_property(f"seconds by the clock until {payers} who paid in an outage of six hours had everything", took)
    assert (ready.count(), took <= 120) == (payers, True)
    assert Seat.objects.filter(state="assigned", profile__in=people).count() == payers
    assert Notification.objects.filter(template="keycloak_set_password", state="sent").count() == payers
    assert set(waiting.values_list("state", "attempts")) == {("done", 1)}
    assert world.jobs() == []
    assert not Dependency.objects.exists()
    server.forget_bearers()
    for one in ready:
        account = server.user(str(one.keycloak_id))
        assert (account["enabled"], account["attributes"]["has_nextcloud"]) == (True, ["true"])
