"""What time it is for an object, and what falls due when.

Objects of a customer on a test clock live in that clock's time, all others in the sandbox's. Every moment something
has to happen by itself is one entry of the agenda: key "<action>:<id>", value {"at": unix seconds, "clock": id or None}.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from apps.sandbox import clock
from apps.sandbox.store import store

_present = threading.local()


def now() -> int:
    """Unix seconds: the moment being lived through, else the sandbox's clock."""
    moment: int | None = getattr(_present, "moment", None)
    return clock.now() if moment is None else moment


@contextlib.contextmanager
def at(moment: int | None) -> Iterator[None]:
    """Live through `moment` in this block; None changes nothing."""
    if moment is None:
        yield
        return
    before = getattr(_present, "moment", None)
    _present.moment = moment
    try:
        yield
    finally:
        _present.moment = before


def frozen(clock_id: str | None) -> int | None:
    """The time of a test clock, None for no clock."""
    clocks: dict[str, Any] = store.data["stripe"]["objects"].get("test_helpers.test_clock", {})
    found = clocks.get(clock_id or "")
    return int(found["frozen_time"]) if found else None


def plan(action: str, identifier: str, moment: int | None, clock_id: str | None = None) -> None:
    """Have `action` done on the object at `moment`; None takes it off the agenda."""
    agenda = store.data["stripe"]["agenda"]
    key = f"{action}:{identifier}"
    if moment is None:
        agenda.pop(key, None)
    else:
        agenda[key] = {"at": moment, "clock": clock_id}


def next_due(until: int, clock_id: str | None) -> tuple[str, str, int] | None:
    """The earliest entry up to `until` on one clock, taken off the agenda: (action, id, moment)."""
    agenda = store.data["stripe"]["agenda"]
    due = [
        (entry["at"], number, key)
        for number, (key, entry) in enumerate(agenda.items())
        if entry["clock"] == clock_id and entry["at"] <= until
    ]
    if not due:
        return None
    moment, _, key = min(due)
    del agenda[key]
    action, identifier = key.split(":", 1)
    return action, identifier, moment
