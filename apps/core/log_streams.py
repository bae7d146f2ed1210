"""What a process says beside the log, brought into its form: granian's lines, Python's warnings, errors that nobody caught, what is printed.

Promises: in `taken_over`, each line on standard output or standard error is one JSON object, no matter who wrote it. Not in our hands
is what a process says that the kernel or a library's C or Rust code ends.
"""

import datetime as dt
import io
import json
import logging
import logging.config
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import TracebackType
from typing import Any, NoReturn, override

from apps.core.logs import ACCESS, clean

log = logging.getLogger(__name__)

# For granian, which adds handlers of its own: its loggers, handed on to ours.
GRANIAN: dict[str, Any] = {
    "formatters": {},
    "handlers": {},
    "loggers": {name: {"level": "INFO", "handlers": [], "propagate": True} for name in ("_granian", ACCESS)},
}


def configure(wished: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: set up the log, and have warnings go there."""
    logging.config.dictConfig(wished)
    logging.captureWarnings(capture=True)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("uncaught", exc_info=(kind, error, trace))


def _log_uncaught_of_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None and found.exc_type is not SystemExit:
        log.critical("uncaught", exc_info=(found.exc_type, found.exc_value, found.exc_traceback))


class PrintedLines(io.TextIOBase):
    """A stream each of whose lines is logged."""

    def __init__(self, name: str, level: int) -> None:
        self.logger, self.level, self.rest = logging.getLogger(name), level, ""
        self.thread = threading.local()

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, text: str, /) -> int:
        if not getattr(self.thread, "busy", False):  # else it is a handler that cannot write and says so here
            *lines, self.rest = (self.rest + text).split("\n")
            self._log(lines)
        return len(text)

    def end(self) -> None:
        """Log what came without the end of a line."""
        self._log([self.rest])
        self.rest = ""

    def _log(self, lines: list[str]) -> None:
        self.thread.busy = True
        try:
            for line in lines:
                if not line.strip():
                    continue
                if self.logger.hasHandlers():
                    self.logger.log(self.level, "%s", line.strip())
                else:
                    print(line, file=sys.__stderr__)
        finally:
            self.thread.busy = False


@contextmanager
def taken_over(name: str) -> Iterator[None]:
    """Until the block ends, what is printed are lines of the logger `name`: errors those of standard error. So is what nobody catches."""
    sys.excepthook, threading.excepthook = _log_uncaught, _log_uncaught_of_thread
    said, complained = PrintedLines(name, logging.INFO), PrintedLines(name, logging.ERROR)
    try:
        with redirect_stdout(said), redirect_stderr(complained):
            yield
    finally:
        said.end()
        complained.end()


def refuse_to_start(reason: object) -> NoReturn:
    """End the process with one line that says why, before the settings say how to log."""
    now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")  # noqa: TID251  (the machine's, as in each line)
    line = {"event": f"Frontdesk cannot start: {clean(str(reason))}", "level": "critical", "logger": __name__}
    sys.exit(json.dumps(line | {"timestamp": now}))
