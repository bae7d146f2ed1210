"""What can be counted exactly, on any machine: queries, commits, calls to other systems, and bytes of WAL."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.sandbox.bench.rows import execute

FRAMES = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE SAVEPOINT")


@dataclass
class Counts:
    """`queries` without BEGIN, COMMIT and savepoints; each statement outside of a transaction is a commit of its own.

    `stripe`, `keycloak`, `mailgun`: requests, by the first segment of the stand-in's paths.
    """

    queries: int = 0
    commits: int = 0
    stripe: int = 0
    keycloak: int = 0
    mailgun: int = 0
    wal: int = 0

    @property
    def calls(self) -> int:
        return self.stripe + self.keycloak + self.mailgun


@contextlib.contextmanager
def counting() -> Iterator[Counts]:
    """Count what happens inside; the figures are there at the end. In one thread; the peers are the stand-ins."""
    counts, send = Counts(), requests.Session.send

    def counted(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        peer = urlsplit(str(request.url)).path.split("/")[1]
        setattr(counts, peer, getattr(counts, peer, 0) + 1)
        return send(session, request, **options)

    requests.Session.send = counted  # type: ignore[method-assign, assignment]
    began = _wal_position()
    try:
        with CaptureQueriesContext(connection) as captured:
            yield counts
    finally:
        requests.Session.send = send  # type: ignore[method-assign]
    counts.wal = _wal_position() - began
    counts.queries, counts.commits = count_statements([query["sql"] for query in captured.captured_queries])


def count_statements(statements: list[str]) -> tuple[int, int]:
    """Queries, and commits."""
    queries = commits = 0
    is_open = False
    for statement in statements:
        if statement.startswith(FRAMES):
            commits += statement.startswith("COMMIT")
            is_open = is_open or statement.startswith("BEGIN")
            is_open = is_open and not (statement == "COMMIT" or statement == "ROLLBACK")
        else:
            queries += 1
            commits += not is_open
    return queries, commits


def _wal_position() -> int:
    return int(execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0])
