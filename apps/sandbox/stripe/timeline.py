"""The current time, and what is due when.

Everything that has to happen automatically is one entry of the agenda: key "<action>:<id>", value unix seconds.
"""

import contextlib
import threading
from collections.abc import Iterator

from apps.sandbox import clock
from apps.sandbox.store import store

_present = threading.local()


def now() -> int:
    """Unix seconds: the moment being replayed, else the sandbox's clock."""
    moment: int | None = getattr(_present, "moment", None)
    return clock.now() if moment is None else moment


@contextlib.contextmanager
def at(moment: int) -> Iterator[None]:
    """Make `moment` the current time in this block."""
    before = getattr(_present, "moment", None)
    _present.moment = moment
    try:
        yield
    finally:
        _present.moment = before


def upgrade() -> None:
    """Read an agenda kept by 0.1.0: an entry held the moment and a test clock, and one action had another name."""
    agenda = store.data["stripe"].get("agenda", {})
    for key, entry in list(agenda.items()):
        if isinstance(entry, dict):
            del agenda[key]
            agenda[key.replace("settle:", "finish_processing:")] = entry["at"]


def plan(action: str, identifier: str, moment: int | None) -> None:
    """Have `action` done on the object at `moment`; None takes it off the agenda."""
    agenda = store.data["stripe"]["agenda"]
    key = f"{action}:{identifier}"
    if moment is None:
        agenda.pop(key, None)
    else:
        agenda[key] = moment


def next_due(until: int) -> tuple[str, str, int] | None:
    """Take the earliest entry up to `until` off the agenda: (action, id, moment)."""
    agenda = store.data["stripe"]["agenda"]
    due = [(moment, number, key) for number, (key, moment) in enumerate(agenda.items()) if moment <= until]
    if not due:
        return None
    moment, _, key = min(due)
    del agenda[key]
    action, identifier = key.split(":", 1)
    return action, identifier, moment
