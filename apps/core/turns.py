"""A worker's turn: what django-q2 runs for each wake-up.

Promises: jobs run one by one, each with its own claim and the full time a job may take, until none is due or the turn is
over; then the next wake-up goes on. A worker that is told to stop begins no other job.
"""

import signal
import time
from collections.abc import Callable

import structlog
from django.db import DatabaseError, connection
from django_q.timeout import TimeoutHandler

from apps.core import heartbeats, jobs
from apps.core.wake_ups import wake_up

log = structlog.get_logger(__name__)

TURN_SECONDS = 5  # then no other job is begun: the worker may be replaced, or told to stop
HEARTBEAT_SECONDS = 1.0  # at most one in so much time, however short the jobs are


def _never() -> bool:
    return False


is_stopping: Callable[[], bool] = _never  # a cluster sets it for its workers


def take_turn() -> None:
    """Run due jobs, the most important first; hand over to another wake-up when the turn is over."""
    try:
        _work()
    except DatabaseError as error:  # what was begun is taken over by the sweep
        log.warning("turn_database", error=type(error).__name__)
        connection.close()


def _work() -> None:
    began, heartbeat_due = time.monotonic(), 0.0
    while not is_stopping():
        if time.monotonic() >= began + TURN_SECONDS:
            break
        job = jobs.claim()
        if job is None:
            return
        if time.monotonic() >= heartbeat_due:  # a worker busy with jobs is not silent
            heartbeats.record_heartbeat()
            heartbeat_due = time.monotonic() + HEARTBEAT_SECONDS
        _restart_timeout()
        jobs.run(job)
    wake_up()


def _restart_timeout() -> None:
    """Give the next job its whole time, where django-q2's time-out runs."""
    if isinstance(getattr(signal.getsignal(signal.SIGALRM), "__self__", None), TimeoutHandler):
        signal.alarm(jobs.JOB_SECONDS)
