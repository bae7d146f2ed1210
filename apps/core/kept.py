"""A value that costs something to read, kept for some seconds; each process keeps its own."""

import threading
import time
from collections.abc import Callable


class Kept[Value]:
    """What `read` returned last, at most `seconds` old."""

    def __init__(self, read: Callable[[], Value], *, seconds: float) -> None:
        self.read, self.seconds = read, seconds
        self.lock = threading.Lock()  # held by who reads
        self._last: tuple[float, Value] | None = None

    def get(self) -> Value:
        """The value; while one thread reads it again, the others get the last one and wait for nobody."""
        last = self._last
        if last is not None and time.monotonic() - last[0] <= self.seconds:
            return last[1]
        free = self.lock.acquire(blocking=last is None)
        if last is not None and not free:
            return last[1]
        try:
            if self._last is None or self._last is last:
                self._last = (time.monotonic(), self.read())
            return self._last[1]
        finally:
            self.lock.release()

    def forget(self) -> None:
        """Read again next time: somebody has just changed it."""
        self._last = None
