"""The drill of `test_after_restore` with a house of many: an hour is lost in which some of each kind have changed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.core import attention, restores
from apps.core.models import AttentionItem
from apps.instances.models import Instance
from tests.operations.test_after_restore import (
    ASKED,
    HOUR,
    LOST,
    find_out,
    give_again,
    listed,
    live_an_hour,
    minute,
    seats_of,
)
from tests.operations.test_after_restore import (
    backup as backup,
)
from tests.operations.test_after_restore import (
    marker as marker,
)
from tests.world import State, World

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600), pytest.mark.django_db(transaction=True)]


def sign_up(world: World, name: str, **basket: int) -> UserProfile:
    """Paid, and not delivered yet."""
    return world.pay(world.signup(name, **basket))


@pytest.mark.fault("F61")
def test_a_restored_house_of_many_is_right_again_within_ten_minutes(
    world: World, marker: Path, backup: Any, figure: Callable[[str], None], pytestconfig: pytest.Config
) -> None:
    many, each = (1000, 10) if pytestconfig.getoption("--full-counts") else (40, 2)
    Instance.objects.update(soft_cap=5000, allocation_cap=5100, hard_cap=5200)
    changing = [{name: sign_up(world, f"{name}-{n}") for name in LOST} for n in range(each)]
    quiet = [sign_up(world, f"quiet-{n:04}") for n in range(many - each * (len(LOST) + 1))]
    world.deliver()
    minute()
    put_back = backup()
    newcomers = [sign_up(world, f"newcomer-{n}", plus=1) for n in range(each)]
    for who in changing:
        live_an_hour(world, who)
    world.pass_time(seconds=HOUR)
    world.deliver()
    minute()
    minute()
    kept = [one for who in changing for name, one in who.items() if name != "erased"] + quiet
    before = read_all(world, [*kept, *newcomers])
    mails = world.mails()
    assert len(before) == many - each
    put_back()

    began = time.monotonic()
    find_out(world, rounds=100)
    found = listed()
    assert found.keys() == {f"subscriber:{who[name].pk}" for who in changing for name in ("held", "granted")}
    for who in changing:
        give_again(who)
    for item in AttentionItem.objects.filter(resolved_at=None).exclude(key=restores.DATABASE):
        attention.close(item, actor="staff:ada", reason="added again")
    restores.finish(**ASKED)
    world.deliver()
    seconds = time.monotonic() - began
    world.pass_time(seconds=HOUR)
    world.deliver()
    after = read_all(world, UserProfile.objects.exclude(keycloak_id=None).select_related("user"))
    assert after == before
    assert world.mails() == mails
    assert world.jobs() == []
    assert seconds < 600
    figure(f"{many} subscribers, {each * 8} of them changed: right after {seconds:.0f} s, 0 emails twice")


def read_all(world: World, people: Any) -> dict[str, tuple[State, dict[str, str]]]:
    return {one.user.username: (world.state(one), seats_of(one)) for one in people}
