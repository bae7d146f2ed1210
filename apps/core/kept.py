"""A value that costs something to read, kept for some seconds; each process keeps its own."""

import threading
import time
from collections.abc import Callable

from apps.core.masking import is_masked


class Kept[Value]:
    """What `read` returned last, at most `seconds` old."""

    def __init__(self, read: Callable[[], Value], *, seconds: float) -> None:
        self.read, self.seconds = read, seconds
        self.lock = threading.Lock()  # held by who reads
        self._last: dict[bool, tuple[float, Value]] = {}  # who sees personal data masked has a value of their own

    def get(self) -> Value:
        """The value; while one thread reads it again, the others get the last one and wait for nobody."""
        masked = is_masked()
        last = self._last.get(masked)
        if last is not None and time.monotonic() - last[0] <= self.seconds:
            return last[1]
        free = self.lock.acquire(blocking=last is None)
        if last is not None and not free:
            return last[1]
        try:
            now = self._last.get(masked)
            if now is None or now is last:
                self._last[masked] = now = (time.monotonic(), self.read())
            return now[1]
        finally:
            self.lock.release()

    def forget(self) -> None:
        """Read again next time: somebody has just changed it."""
        self._last = {}
