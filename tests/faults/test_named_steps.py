"""F48: a busy worker is killed at each of forty named steps; its job is resumed, and every effect is there once."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models import Q

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent
from apps.core import clock
from apps.core.models import Job
from apps.instances.models import Seat
from tests.access.people import closed, open_for
from tests.faults.gallows.steps import JOINING, LEAVING
from tests.faults.test_worker_process import Stack, wait_for
from tests.world import World, bring_welcomes_forward

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("workers"), pytest.mark.timeout(400)]
DIED = "The worker that ran it died."


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where it is written who dies where."""
    monkeypatch.setenv("GALLOWS", str(tmp_path))
    return tmp_path


@pytest.fixture
def worker(
    transactional_db: None, world: World, world_process: tuple[str, Path], orders: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """Start a real worker of the whole application on this world."""
    monkeypatch.setenv("GALLOWS_SANDBOX", world_process[0])
    monkeypatch.setenv("GALLOWS_CLOCK", str(settings.CLOCK_OFFSET_FILE))
    stacks: list[Stack] = []
    yield lambda: stacks.append(Stack("--silent-after", "20", settings_module="tests.faults.gallows_settings"))
    for stack in stacks:
        stack.stop()


def condemned(world: World, orders: Path, steps: Iterable[str]) -> dict[str, UserProfile]:
    """For each step somebody who has paid, and who dies there."""
    found = {}
    for number, step in enumerate(steps):
        profile = world.pay(world.signup(f"dana{number:02}"))
        (orders / profile.user.username).write_text(step)
        found[step] = profile
    return found


def at_rest() -> bool:
    """Whether nothing is left to do but what is periodic or for later."""
    bring_welcomes_forward()
    soon = Q(state="running") | Q(state="queued", not_before__lt=clock.now() + dt.timedelta(minutes=5))
    busy = Job.objects.filter(soon).exclude(key="periodic")
    return not busy.exists() and not InboundEvent.objects.filter(state="received").exists()


def deaths() -> int:
    """How many runs of jobs ended so."""
    return sum(entry["reason"] == DIED for job in Job.objects.all() for entry in job.history)


def survived(orders: Path, count: int) -> None:
    """All have died, and all was taken over."""
    wait_for(lambda: not list(orders.iterdir()) and at_rest(), seconds=200, what="every death died, and all work done")
    assert deaths() >= count
    assert list(Job.objects.filter(state__in=["dead", "blocked"]).values_list("kind", "last_error")) == []


def one_of_each(world: World, profile: UserProfile) -> None:
    assert len(world.users(profile.email)) == 1
    assert Seat.objects.filter(profile=profile).count() == 1
    assert profile.user.socialaccount_set.count() == 1


@pytest.mark.fault("F48")
@pytest.mark.times(5)
def test_killed_at_any_step_the_way_in_ends_with_one_of_each(
    world: World, orders: Path, worker: Callable[[], None]
) -> None:
    world.only_room_for(90)
    people = condemned(world, orders, JOINING)
    assert set(world.post_events(world.new_events())) == {200}
    worker()
    survived(orders, len(JOINING) - 1)
    for step, profile in people.items():
        state = world.state(profile)
        assert (state.access, open_for(state), state.seats) == ("active", True, (("nextcloud", "assigned"),)), step
        one_of_each(world, profile)
        assert len(world.mails(profile)) == 2, step
    world.assert_laws_hold()


@pytest.mark.fault("F48")
@pytest.mark.times(5)
def test_killed_at_any_step_the_way_out_ends_closed_with_the_seat_kept(
    world: World, orders: Path, worker: Callable[[], None]
) -> None:
    world.only_room_for(90)
    people = {step: world.subscriber(f"dana{number:02}") for number, step in enumerate(LEAVING)}
    for step, profile in people.items():
        (orders / profile.user.username).write_text(step)
        world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    assert set(world.post_events(world.new_events())) == {200}
    worker()
    survived(orders, len(LEAVING))
    for step, profile in people.items():
        state = world.state(profile)
        assert (state.access, closed(state), state.seats) == ("canceled", True, (("nextcloud", "retained"),)), step
        one_of_each(world, profile)
        # Handed over and killed before it was noted: the one case in which a mail may come twice, and is counted.
        assert len(world.mails(profile)) == (4 if step == "the mail was handed over" else 3), step
    world.assert_laws_hold()
