"""The simulator's lives and its comparison in this process: no worker, no faults, and so in seconds.

The laws speak of what runs, too: they are checked where it does, by `manage.py simulate` in tests/journeys/test_simulate.py.
"""

from typing import Any

import pytest
import requests

from apps.access import policy
from apps.core import clock
from apps.sandbox.simulate.calendar import Simulation
from apps.sandbox.simulate.command import make_room
from apps.sandbox.simulate.lives import people
from apps.sandbox.simulate.world import SimulatedWorld
from apps.sandbox.stripe_account import StripeAccount
from tests.faults.mutants.apps import WRONG, with_wrong_row, without_row
from tests.world import World


class InProcess:
    """What a simulation asks of its processes, done here."""

    def __init__(self, world: World) -> None:
        self.world, self.sandbox = world, world.url
        self.env = {
            "KEYCLOAK_SERVER_URL": f"{world.url}/keycloak",
            "KEYCLOAK_REALM": "frontdesk",
            "KEYCLOAK_DOCTOR_CLIENT_ID": "frontdesk-doctor",
            "KEYCLOAK_DOCTOR_CLIENT_SECRET": "dev-only-doctor-secret",
        }

    def now(self) -> int:
        return clock.timestamp()

    def advance(self, seconds: int) -> None:
        self.world.pass_time(seconds=seconds)

    def finish_work(self, *, retries: bool = False) -> None:
        self.world.deliver()
        if retries:
            self.world.sweep()

    def control(self, path: str, /, **options: Any) -> dict[str, Any]:
        if path == "webhooks":  # the world delivers by hand
            return {}
        answer = requests.post(f"{self.sandbox}/control/{path}", json=options, timeout=60)
        answer.raise_for_status()
        return dict(answer.json())


@pytest.fixture
def simulate(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings.PAYMENT_GRACE_DAYS, settings.FINAL_EXPIRY_DAYS = 6, 30
    settings.MAILBOX_PROVIDERS = settings.MAILBOX_PROVIDERS | {"example.com"}
    settings.CHECKOUT_RUSH, settings.SEATS_UNPAID_SHARE = 1000, 100
    make_room(100)

    def run(*, lives: int, months: int, seed: int, stops: bool = False, compare_days: int = 10) -> Simulation:
        stack: Any = InProcess(world)
        simulated = SimulatedWorld(stack, StripeAccount(world.url))
        simulated.read_prices()
        made = people(seed, lives, months * 30)
        one = Simulation(simulated, made, seed, months, False, lambda _text: None, compare_days, stops)
        monkeypatch.setattr(one, "check_laws", lambda: None)
        one.run()
        return one

    return run


def describe(found: Simulation) -> list[object]:
    """What differs, with the life that led to it."""
    lives = {life.number: life for life in found.lives}
    return [(day, one, lives[one.life].lines()) for day, one in found.found]


@pytest.mark.long
def test_three_lives_of_two_months_end_without_a_difference(simulate: Any) -> None:
    found = simulate(lives=3, months=2, seed=7)
    assert describe(found) == []
    assert found.compared >= 12
    assert sum(len(life.story) for life in found.lives) >= 6


@pytest.mark.nightly
@pytest.mark.times(5)
@pytest.mark.parametrize("seed", [3, 4])
def test_more_lives_do_too(simulate: Any, seed: int, time_number: int) -> None:
    assert describe(simulate(lives=16, months=3, seed=seed + 10 * time_number)) == []


def find_mutant(simulate: Any, row: int) -> Simulation:
    """Live with a policy of which this row is not right, until the comparison sees it."""
    lives, seed = (12, 11) if row == 4 else (18, 3)  # a renewal fails within two months
    found: Simulation = simulate(lives=lives, months=2, seed=seed, stops=True, compare_days=5)
    return found


@pytest.mark.long
@pytest.mark.mutant
@pytest.mark.parametrize(
    "row", [6, *(pytest.param(row, marks=pytest.mark.nightly) for row in range(1, 10) if row != 6)]
)
def test_mutant_a_row_that_is_missing_is_found(simulate: Any, row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "ROWS", without_row(row))
    assert row in {one.row for _, one in find_mutant(simulate, row).found}


@pytest.mark.nightly
@pytest.mark.mutant
@pytest.mark.parametrize("row", WRONG)
def test_mutant_a_row_that_is_wrong_is_found(simulate: Any, row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "ROWS", with_wrong_row(row))
    assert row in {one.row for _, one in find_mutant(simulate, row).found}
