"""What most tests begin with is made once for each process and then brought back: the shop, and the first subscriber in it.

Promises: brought back is what was made, in the database and at the stand-ins; somebody is only brought back where nothing else
has happened before in the test: no row written, nothing changed at the stand-ins, nothing patched, no setting of the test's own
that the one who was kept did not have. Kept is at most FRESH_SECONDS old, so that what depends on the time is as it would be.
"""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from apps.identity import keycloak
from tests import database
from tests.rows import writes

if TYPE_CHECKING:
    from tests.world import World

FRESH_SECONDS = 240
SHOP = "shop"
# What looks at the making itself.
WITNESSES = {"caplog", "capsys", "capfd", "django_assert_num_queries", "django_assert_max_num_queries"}


@dataclass(frozen=True)
class Moment:
    """The rows as SQL, and what a World knows."""

    rows: str
    seen: frozenset[str]
    requests: tuple[tuple[str, str, str], ...]
    inside: tuple[str, ...]
    at: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.at < FRESH_SECONDS


_kept: dict[tuple[str, ...], Moment] = {}  # by the address of the sandbox and the name of its mark


class WorldMemory:
    """One test's view of what is kept. Before `watch` nothing is brought back and nothing kept."""

    def __init__(self) -> None:
        self.settings, self.patches = None, None
        self.brought = 0  # people
        self.is_alone = False  # nothing was in the database before the shop
        self.begun: dict[str, int] | None = None  # what was written when the shop was open

    def watch(self, request: pytest.FixtureRequest, settings: Any, patches: pytest.MonkeyPatch) -> None:
        if not WITNESSES & {*request.fixturenames}:
            self.settings, self.patches, self.patched = settings, patches, _count(patches)

    def bring_shop(self, world: "World") -> bool:
        moment = _kept.get((world.url, SHOP))
        self.is_alone = connection.in_atomic_block and not database.used()
        if self.settings is None or not database.is_superuser():  # another role has to do all by itself
            self.is_alone = False
            return False
        if moment is None or not moment.is_fresh:
            return False
        world.standin.control("return", mark=SHOP)
        database.run(moment.rows)
        self._take(world, moment)
        return True

    def keep_shop(self, world: "World") -> None:
        if self.is_alone and not self._is_patched():
            for key in [key for key in _kept if key[0] == world.url]:
                del _kept[key]  # who is kept bought in the former shop
            self._keep(world, SHOP)
            self.begun = _writes()

    def is_untouched(self, world: "World") -> bool:
        """Whether the shop is open and nothing else has happened."""
        written = self.begun is not None and not self._is_patched() and _writes() == self.begun
        return written and world.standin.control("return", mark=SHOP, if_as=SHOP).json()["returned"]

    def bring_person(self, world: "World", wanted: str) -> bool:
        moment = _kept.get((world.url, self._name(wanted)))
        if moment is None or not moment.is_fresh or not self.is_untouched(world):
            return False
        world.standin.control("return", mark=self._name(wanted))
        database.replace(moment.rows)
        self._take(world, moment)
        keycloak.client()  # the making would have left one in this process
        self.begun = None
        self.brought += 1
        return True

    def keep_person(self, world: "World", wanted: str) -> None:
        self.begun = None
        if not self._is_patched():
            self._keep(world, self._name(wanted))

    def _keep(self, world: "World", name: str) -> None:
        world.standin.control("mark", mark=name)
        seen, requests, inside = frozenset(world.seen), tuple(world.requests), tuple(world.inside)
        _kept[world.url, name] = Moment(database.script_of_rows(), seen, requests, inside)

    def _take(self, world: "World", moment: Moment) -> None:
        world.seen, world.requests[:], world.inside[:] = {*moment.seen}, moment.requests, moment.inside
        self.begun = _writes() if self.is_alone else None

    def _is_patched(self) -> bool:
        return self.patches is None or _count(self.patches) != self.patched

    def _name(self, wanted: str) -> str:
        """With the settings that differ."""
        return f"{wanted} {[one.options for one in self.settings._to_restore]}" if self.settings else wanted


def _count(patches: pytest.MonkeyPatch) -> int:
    return len(patches._setattr) + len(patches._setitem)


def _writes() -> dict[str, int] | None:
    """None in a test with real transactions, whose writes are not counted."""
    return writes() if connection.in_atomic_block else None
