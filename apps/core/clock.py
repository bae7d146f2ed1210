"""The one source of time in the domain: the system's clock, plus an offset where CLOCK_OFFSET_FILE names a file with one.

Rehearsals move months ahead by writing that file; nothing else in the application knows about it. Time-outs, locks and
rate limits of this machine use `time.monotonic` or the database's clock instead.
"""

import datetime as dt
import functools
from pathlib import Path

from django.conf import settings
from django.utils import timezone

FARTHEST_SECONDS = 100 * 365 * 86_400  # a rehearsal's lifetime; beyond it dates end


def now() -> dt.datetime:
    """The present moment, aware, in UTC."""
    return timezone.now() + dt.timedelta(seconds=offset_seconds())  # noqa: TID251  (this is the one place)


def machine_now() -> dt.datetime:
    """The system's own time without the offset: for what others check by their clocks, such as signatures."""
    return timezone.now()  # noqa: TID251


def timestamp() -> int:
    """The present moment in whole Unix seconds."""
    return int(now().timestamp())


def offset_seconds() -> int:
    """How far ahead of the system's clock we are; 0 when no file is set or it holds nothing readable."""
    if not settings.CLOCK_OFFSET_FILE:
        return 0
    try:
        changed = Path(settings.CLOCK_OFFSET_FILE).stat().st_mtime_ns
    except OSError:
        return 0
    return _read(settings.CLOCK_OFFSET_FILE, changed)


@functools.lru_cache(maxsize=1)
def _read(file: str, _changed: int) -> int:
    """The number in the file; cached until the file changes."""
    try:
        seconds = int(Path(file).read_text())
    except (OSError, ValueError):
        return 0
    return seconds if abs(seconds) <= FARTHEST_SECONDS else 0
