"""django-q2's broker over the job ledger: there is no second queue, only the question whether jobs are due.

Promises: a wake-up (`core.wake_ups`) starts a turn at once; without one, work that is due is found within a second. A lost
connection is made again, and what was notified meanwhile is found. Every few seconds a heartbeat goes the way of all tasks.
"""

import time
import uuid
from typing import Any, override

import psycopg
import structlog
from django.db import DatabaseError, connection
from django.utils import timezone
from django_q.brokers import Broker
from django_q.conf import Conf
from django_q.signing import SignedPackage

from apps.core import claims, heartbeats, jobs, turns
from apps.core.wake_ups import CHANNEL

log = structlog.get_logger(__name__)

POLL_SECONDS = RECONNECT_SECONDS = 1.0
heartbeat_seconds = 5.0  # the cluster's watchdog chooses it

Task = tuple[int, str]  # the number of its row, 0 for none, and a signed call


def sign_task(function: str, *, timeout: int) -> Task:
    """A call of `function` as django-q2 hands it to a worker, which gives it up after `timeout` seconds."""
    name = function.rpartition(".")[2]
    task: dict[str, Any] = {"id": uuid.uuid4().hex, "name": name, "func": function, "args": (), "kwargs": {}}
    task |= {"timeout": timeout, "started": timezone.now(), "ack_failure": True}  # noqa: TID251  (read by django-q2 alone)
    return 0, str(SignedPackage.dumps(task))


class LedgerBroker(Broker):  # type: ignore[misc]  # django-q2 has no types
    """Hands out turns while jobs are due."""

    listening: Any = None  # the connection that listens
    heartbeat_due = 0.0

    @staticmethod
    @override
    def get_connection(list_key: str | None = None) -> None:
        """Nothing: Django's own connection serves."""

    @override
    def enqueue(self, task: str) -> None:
        raise RuntimeError("Work is asked for with jobs.defer.")

    @override
    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Nothing: django-q2's own statistics, which nobody reads, would be a write each second."""

    @override
    def dequeue(self) -> list[Task]:
        """Wait for a notification, a second at most; then a turn for each worker that would find a job."""
        try:
            self._wait()
            tasks = [turn() for _ in range(claims.count_due(limit=Conf.WORKERS))]
        except (DatabaseError, psycopg.Error) as error:
            log.warning("broker_database", error=type(error).__name__)
            connection.close()
            time.sleep(RECONNECT_SECONDS)
            return []
        if time.monotonic() >= self.heartbeat_due:
            self.heartbeat_due = time.monotonic() + heartbeat_seconds
            tasks.append(sign_task(f"{heartbeats.__name__}.record_heartbeat", timeout=jobs.JOB_SECONDS))
        return tasks

    def _wait(self) -> None:
        connection.ensure_connection()
        if connection.connection is not self.listening:  # what was notified before is counted right after
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            self.listening = connection.connection
            return
        for _ in self.listening.notifies(timeout=POLL_SECONDS, stop_after=1):
            pass
        for _ in self.listening.notifies(timeout=0):  # all that came at once are one wake-up
            pass


def turn() -> Task:
    """A worker's turn, with the time that a job begun at its end may take."""
    return sign_task(f"{turns.__name__}.take_turn", timeout=turns.TURN_SECONDS + jobs.JOB_SECONDS)
