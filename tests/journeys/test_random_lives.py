"""Random lives of a subscription, with events lost, doubled, shuffled and late, and deaths in between (F03)."""

import itertools
import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.access import apply
from apps.billing.subscriptions import read_subscriptions
from apps.core import sweep
from tests.journeys.lives import TURNS, seen, truth, turn
from tests.world import World


class Killed(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Mail:
    """How the post treats the events of one turn."""

    lost: float
    doubled: float
    works: bool
    dies_after: int
    seed: int


MAILS = st.builds(
    Mail,
    lost=st.sampled_from([0.0, 0.3, 1.0]),
    doubled=st.sampled_from([0.0, 0.5]),
    works=st.booleans(),
    dies_after=st.sampled_from([0, 0, 0, 1, 2, 3]),
    seed=st.integers(0, 2**16),
)
LIVES = st.lists(st.tuples(st.sampled_from(TURNS), MAILS), min_size=1, max_size=4)
_numbers = itertools.count()


def carry(world: World, bag: list[dict[str, Any]], mail: Mail) -> None:
    """Deliver what is in the bag, badly; perhaps work on it, perhaps die over it."""
    order = random.Random(mail.seed)
    kept = [event for event in bag if order.random() >= mail.lost]
    posted = [*kept, *[event for event in kept if order.random() < mail.doubled]]
    order.shuffle(posted)
    late = order.randint(0, len(posted))
    assert set(world.post_events(posted[late:])) <= {200}
    bag[:] = posted[:late]  # these come with the next turn
    if mail.works:
        die_at_work(world, mail.dies_after)


def die_at_work(world: World, steps: int) -> None:
    """Work; with `steps` the process dies after so many steps of a plan, and the sweep takes over."""
    left = [steps]

    def dying(step: Any) -> Any:
        def run(*arguments: Any) -> Any:
            result = step(*arguments)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return result

        return run

    with pytest.MonkeyPatch.context() as patch:
        for kind, step in apply.STEPS.items():
            patch.setitem(apply.STEPS, kind, dying(step))
        try:
            world.work()
        except Killed:
            pass
        else:
            return
    world.pass_time(seconds=30)
    sweep.recover()
    world.retry()


NOT_ABOUT = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.long
@given(life=LIVES)
@settings(max_examples=8, suppress_health_check=NOT_ABOUT)
@pytest.mark.fault("F03")
def test_a_random_life_with_bad_post_ends_in_the_truth_after_one_sweep(
    world: World, life: list[tuple[str, Mail]]
) -> None:
    live(world, life)


@pytest.mark.nightly
@pytest.mark.timeout(600)
@given(life=LIVES)
@settings(max_examples=20, suppress_health_check=NOT_ABOUT)
@pytest.mark.fault("F03")
@pytest.mark.times(27)
def test_many_random_lives_do_too(world: World, life: list[tuple[str, Mail]]) -> None:
    live(world, life, laws=False)


def live(world: World, life: list[tuple[str, Mail]], *, laws: bool = True) -> None:
    """One life, its mail carried as it says; then what we have is what is true. `laws`: and all laws hold, which takes long."""
    if next(_numbers) == 0 or not world.shop.v1.subscriptions.list().data:
        world.only_room_for(500)
    name = f"dana{next(_numbers)}"
    dana = world.pay(world.signup(name))
    bag: list[dict[str, Any]] = []
    for what, mail in life:
        turn(world, dana, what)
        bag += world.skip()
        carry(world, bag, mail)
    world.retry()  # what failed and waits for its next try
    world.skip()
    world.sweep()
    expected = truth(world, dana)
    assert seen(world, dana, expected) == expected
    assert world.jobs() == []
    assert len(world.users(f"{name}@")) <= 1
    assert {one.status for one in read_subscriptions(dana.stripe_customer_id)} == {expected.subscription}
    assert expected.seats or all(kept != "assigned" for _, kept in world.state(dana).seats)
    if laws:
        world.assert_laws_hold()
    if expected.subscription != "canceled":  # so that later lives do not renew this one
        world.shop.v1.subscriptions.cancel(world.stripe_state(dana)["id"])
        world.skip()
        world.sweep()
