"""The sandbox's clock: the system's time plus an offset that the control API moves forward, never back."""

import datetime as dt
import time
from pathlib import Path

from apps.sandbox import settings
from apps.sandbox.store import store


def now() -> int:
    """Unix seconds on the sandbox's clock."""
    return int(time.time()) + int(store.data["clock_offset"])


def now_utc() -> dt.datetime:
    """The same as an aware datetime."""
    return dt.datetime.fromtimestamp(now(), tz=dt.UTC)


def advance(seconds: int) -> int:
    """Move the clock on by `seconds` (>= 0), tell the application's clock file, and return the new time."""
    if seconds < 0:
        raise ValueError("The clock only moves forward.")
    store.data["clock_offset"] += seconds
    publish()
    return now()


def publish() -> None:
    """Write the offset where the application's clock reads it (one integer, atomically replaced)."""
    if not settings.CLOCK_FILE:
        return
    target = Path(settings.CLOCK_FILE)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".new")
    draft.write_text(str(store.data["clock_offset"]))
    draft.replace(target)
