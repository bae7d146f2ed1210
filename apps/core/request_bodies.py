"""What stands between granian and Django: each body is read before its request takes one of the few seats at work.

granian has no time-out for bodies (its issue 728), so who sends slowly holds a thread. Here that thread is a cheap one: it
has no database connection, and `seats` others go on working. Answers are handed over whole, so who reads slowly holds none.
Beyond SLOW_BODIES unfinished ones a process refuses further ones at once, and still answers whatever has no body. One visitor
alone never has all of them.
"""

import contextlib
import io
import queue
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from structlog.contextvars import clear_contextvars

from apps.core.networks import visitor_of
from apps.core.requests import HEADERS

FURTHER_THREADS = 12  # for requests without a body, while all others wait for theirs
REFUSED = [("Retry-After", "10"), ("Connection", "close"), *HEADERS.items()]

Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Any]


class BodiesFirst:
    """A WSGI application that lets `seats` requests into `application` at once, each with its body already read.

    Every seat has a database connection of its own, whatever thread sits there: a hundred threads need no more of them.
    """

    def __init__(self, application: Application, *, seats: int) -> None:
        self.application = application
        self.threads = seats + settings.SLOW_BODIES + FURTHER_THREADS
        self.waiting: Counter[str] = Counter()  # by visitor
        self.lock = threading.Lock()
        self.seats: queue.LifoQueue[BaseDatabaseWrapper] = queue.LifoQueue()
        for _ in range(seats):
            connection = connections.create_connection("default")
            connection.inc_thread_sharing()
            self.seats.put(connection)

    def __call__(self, environ: dict[str, Any], start_response: Start) -> list[bytes]:
        clear_contextvars()  # of the request that this thread served before
        if refusal := self._read(environ):
            start_response(refusal, REFUSED)
            return [b"Your request came too slowly. Please try again in a minute.\n"]
        connection = self.seats.get()
        try:
            connections["default"] = connection
            with contextlib.closing(self.application(environ, start_response)) as answer:
                return [b"".join(answer)]
        finally:
            self.seats.put(connection)

    def _read(self, environ: dict[str, Any]) -> str:
        """Put the whole body in place of its stream; the status of a refusal when too many wait or the sender is gone.

        One that is larger than any view takes is not read: its view refuses it by the length that it says it has.
        """
        length = environ.get("CONTENT_LENGTH") or "0"
        size = int(length) if length.isdecimal() and len(length) <= 12 else 0
        body = b""
        if 0 < size <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            visitor = visitor_of(environ["REMOTE_ADDR"])
            if not self._admit(visitor):
                return "503 Service Unavailable"
            try:
                body = bytes(environ["wsgi.input"].read(size))
            finally:
                with self.lock:
                    self.waiting -= Counter((visitor,))
            if len(body) < size:
                return "400 Bad Request"
        environ["wsgi.input"] = io.BytesIO(body)
        return ""

    def _admit(self, visitor: str) -> bool:
        """Count one more unfinished body, unless there are too many, of this visitor or of all."""
        with self.lock:
            admitted = (
                self.waiting[visitor] < settings.SLOW_BODIES * 5 // 6 and self.waiting.total() < settings.SLOW_BODIES
            )
            self.waiting[visitor] += admitted
            return admitted
