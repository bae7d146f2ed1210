"""Killed after any step, the reconciler ends where it would have ended: one account, one mail, one seat (F40)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from apps.access import apply, overrides
from apps.core import sweep
from apps.identity.keycloak import Keycloak
from apps.instances.models import Seat
from tests.access.people import Killed, closed, open_for
from tests.world import World


class Executioner:
    """Counts the points at which a process can die, and kills at one of them."""

    def __init__(self) -> None:
        self.count = 0
        self.victim = -1

    def point(self) -> None:
        self.count += 1
        if self.count == self.victim:
            raise Killed

    def after[**P, R](self, call: Callable[P, R]) -> Callable[P, R]:
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            result = call(*args, **kwargs)
            self.point()
            return result

        return called

    @contextmanager
    def kill(self, number: int) -> Iterator[None]:
        self.count, self.victim = 0, number
        yield
        self.victim = -1


@pytest.fixture
def executioner(monkeypatch: pytest.MonkeyPatch) -> Executioner:
    """Stands behind every write to Keycloak and every step of a plan."""
    made = Executioner()
    for verb in ("create_user", "update_user", "join_group", "leave_group", "end_sessions"):
        monkeypatch.setattr(Keycloak, verb, made.after(getattr(Keycloak, verb)))
    for kind, step in apply.STEPS.items():
        monkeypatch.setitem(apply.STEPS, kind, made.after(step))
    monkeypatch.setattr(apply, "_assign", made.after(apply._assign))
    return made


def dies_and_is_taken_over(world: World, executioner: Executioner, number: int) -> bool:
    """Work with a death at point `number`; the sweep hands the job on. False when there is no such point."""
    with executioner.kill(number):
        try:
            world.work()
        except Killed:
            pass
        else:
            return False
    world.pass_time(seconds=30)
    assert sweep.recover() == 1
    world.retry()
    return True


@pytest.mark.long
@pytest.mark.fault("F40")
@pytest.mark.times(20)
def test_a_death_after_any_step_of_the_first_look_leaves_one_of_each(world: World, executioner: Executioner) -> None:
    world.only_room_for(90)
    number = 0
    died = True
    while died:
        number += 1
        name = f"dana{number}"
        profile = world.pay(world.signup(name))
        world.post_events(world.new_events())
        died = dies_and_is_taken_over(world, executioner, number)
        world.deliver()
        state = world.state(profile)
        assert (state.access, open_for(state), world.jobs()) == ("active", True, []), number
        assert state.seats == (("nextcloud", "assigned"),)
        assert len(world.users(f"{name}@example.com")) == 1
        assert len(world.mails(profile)) == 2
        assert Seat.objects.filter(profile=profile).count() == 1
        assert profile.user.socialaccount_set.count() == 1
        world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
        world.skip()
    assert number > 6, number
    world.assert_laws_hold()


@pytest.mark.fault("F40")
@pytest.mark.times(20)
def test_a_death_after_any_step_of_a_suspension_still_shuts_out(world: World, executioner: Executioner) -> None:
    number = 0
    died = True
    dana = world.subscriber("dana")
    while died:
        number += 1
        hold = overrides.hold(profile=dana, actor="staff:ada", reason="test")
        died = dies_and_is_taken_over(world, executioner, number)
        state = world.state(dana)
        assert (state.access, state.account, closed(state), world.jobs()) == (
            "on_hold",
            False,
            True,
            [],
        ), number
        overrides.lift(override=hold, actor="staff:ada", reason="test")
        world.work()
        assert open_for(world.state(dana))
    assert number > 5, number
    world.assert_laws_hold()


@pytest.mark.mutant
@pytest.mark.fault("F40")
def test_without_the_mark_on_the_account_a_death_would_leave_it_to_staff(
    world: World, executioner: Executioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adoption is by our own id at the account; without it, one that somebody logs in to looks like a stranger's."""
    dana = world.pay(world.signup("dana"))
    world.post_events(world.new_events())
    with executioner.kill(2), pytest.raises(Killed):  # the seat comes first
        world.work()
    (made,) = world.users("dana")
    attributes = {name: values for name, values in made["attributes"].items() if name != "onboarding_id"}
    world.admin("PUT", f"/users/{made['id']}", json=made | {"attributes": attributes})
    password = {"type": "password", "value": "chosen by somebody", "temporary": False}
    world.admin("PUT", f"/users/{made['id']}/reset-password", json=password)
    world.pass_time(seconds=30)
    sweep.recover()
    world.retry()
    assert any("another account with the username" in one for one in world.jobs("blocked"))
    assert world.state(dana).account is None
