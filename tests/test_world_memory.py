"""Who is brought back is as if made in this test, and only where nothing else has happened before."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.catalog.models import Product
from tests import database
from tests.world import World


def begin(world: World) -> None:
    """As the next test would."""
    database.replace("")
    world.standin.control("reset")
    world.open_demo_shop()


def test_who_is_brought_back_has_all_and_lives_on(world: World) -> None:
    first = world.subscriber("dana")
    made = world.state(first)
    begin(world)
    before = world.memory.brought
    dana = world.subscriber("dana")
    assert world.memory.brought == before + 1
    assert (world.state(dana), world.inside, world.new_events()) == (made, [], [])
    world.pass_time(days=32)
    world.deliver()
    assert world.state(dana).access == "active"
    eve = world.subscriber("eve")
    assert eve.pk != dana.pk
    world.assert_laws_hold()


def write(_world: World, _settings: Any, _patch: pytest.MonkeyPatch) -> None:
    Product.objects.filter(slug="plus").update(name="Plus")


def break_a_peer(world: World, _settings: Any, _patch: pytest.MonkeyPatch) -> None:
    world.fault("mailgun", "down")


def set_something(_world: World, settings: Any, _patch: pytest.MonkeyPatch) -> None:
    settings.SUPPORT_EMAIL = "other@example.com"


def patch_something(_world: World, _settings: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("apps.core.clock.SOMETHING", 1, raising=False)


@pytest.mark.parametrize("happens", [write, break_a_peer, set_something, patch_something])
def test_nobody_is_brought_back_after_anything_else(
    happens: Callable[..., None], world: World, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.subscriber("dana")
    begin(world)
    before = world.memory.brought
    happens(world, settings, monkeypatch)
    world.subscriber("dana")
    assert world.memory.brought == before
