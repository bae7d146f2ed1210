"""F34: killed between a seat and its Keycloak group, somebody has both within a minute, by the waits of production."""

import os
import warnings
from collections.abc import Callable

import pytest
from django.db import connections

from apps.access import apply
from apps.accounts.models import UserProfile
from apps.core import jobs, sweep
from apps.core.models import Job
from apps.instances.models import Seat
from tests.world import World

ROUNDS = 8
PROMISED_SECONDS, STEP_SECONDS = 60, 5  # the sweep's own period
DEAD = 137


def in_a_process_that_dies(work: Callable[[], object]) -> int:
    """Run `work` in a child of ours with connections of its own; its exit code."""
    connections.close_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, none of which the child needs
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def seated(profile: UserProfile) -> bool:
    return Seat.objects.filter(profile=profile, state="assigned").exists()


def die_after_the_seat(profile: UserProfile, product: str) -> bool:
    """In the child's place of the step that takes the seat: it is taken, and then nothing more happens."""
    assign(profile, product)
    os._exit(DEAD)


assign = apply._assign


def sweep_until_done(world: World, profile: UserProfile) -> int:
    """Seconds of the clock until the person has access, with the sweep every five of them."""
    for passed in range(0, 300, STEP_SECONDS):
        sweep.recover()
        world.work()
        if world.state(profile).groups:
            return passed
        world.pass_time(seconds=STEP_SECONDS)
    raise AssertionError("never finished")


@pytest.mark.fault("F34")
@pytest.mark.times(7)
def test_the_sweep_finishes_what_died_between_seat_and_group(
    transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.only_room_for(90)
    for number in range(ROUNDS):
        profile = world.pay(world.signup(f"dana{number}"))
        assert set(world.post_events(world.new_events())) == {200}
        with monkeypatch.context() as patch:
            patch.setattr(apply, "_assign", die_after_the_seat)
            assert in_a_process_that_dies(jobs.drain) == DEAD
        assert seated(profile)
        assert world.state(profile).groups == ()
        assert sweep_until_done(world, profile) <= PROMISED_SECONDS
        state = world.state(profile)
        assert (state.access, state.groups) == ("active", ("/frontdesk/nextcloud-1",))
        assert Seat.objects.filter(profile=profile).count() == 1
        assert not Job.objects.filter(state__in=["dead", "blocked", "running"]).exists()
    world.assert_laws_hold()


@pytest.mark.mutant
@pytest.mark.fault("F34")
def test_mutant_without_the_sweep_the_seat_stays_without_a_group(
    transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = world.pay(world.signup("dana"))
    assert set(world.post_events(world.new_events())) == {200}
    with monkeypatch.context() as patch:
        patch.setattr(apply, "_assign", die_after_the_seat)
        assert in_a_process_that_dies(jobs.drain) == DEAD
    monkeypatch.setattr(sweep, "recover", lambda: 0)
    with pytest.raises(AssertionError, match="never finished"):
        sweep_until_done(world, profile)
    assert seated(profile)
