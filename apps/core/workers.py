"""The workers as they stand: when each last gave a sign of life, and what it runs since when."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import connection

from apps.core.heartbeats import ALIVE_SECONDS, application_name
from apps.core.locks import LockClass

HEARTBEATS = """
SELECT split_part(name, '@', 2), min(at), max(extract(epoch FROM clock_timestamp() - at)), count(*) FROM core_heartbeat
WHERE name LIKE '%%@%%' GROUP BY 1 ORDER BY 1
"""
# Who runs a job holds a lock for it (`core.claims`); its connection is named after the worker (`core.heartbeats`).
RUNNING = f"""
SELECT job.id, job.kind, job.key, job.started_at, (
    SELECT activity.application_name FROM pg_locks held JOIN pg_stat_activity activity ON activity.pid = held.pid
    WHERE held.locktype = 'advisory' AND held.objsubid = 2 AND held.granted AND held.classid = {LockClass.JOB_RUN:d}
      AND held.objid = (job.id %% {2**31})::oid AND activity.datname = current_database() LIMIT 1)
FROM core_job job WHERE job.state = 'running' ORDER BY job.started_at, job.id
"""  # noqa: S608  (constants of the code)


@dataclass(frozen=True)
class RunningJob:
    """A job that runs; `holder`: the name of the connection that runs it, None when none does any more."""

    pk: int
    kind: str
    key: str
    since: dt.datetime
    holder: str | None


@dataclass
class WorkerState:
    """One worker. A worker has two parts that give signs of life, its watchdog and its cluster; the older sign counts."""

    name: str
    at: dt.datetime
    silent_seconds: float
    parts: int
    runs: list[RunningJob] = field(default_factory=list)

    @property
    def is_late(self) -> bool:
        return self.silent_seconds > ALIVE_SECONDS or self.parts < 2


def read_workers() -> tuple[list[WorkerState], list[RunningJob]]:
    """The workers with what each runs, and the running jobs that belong to none of them; two queries."""
    with connection.cursor() as cursor:
        cursor.execute(HEARTBEATS, [])
        workers = [WorkerState(name, at, float(silent), parts) for name, at, silent, parts in cursor.fetchall()]
        cursor.execute(RUNNING, [])
        return workers, _share_out(workers, [RunningJob(*row) for row in cursor.fetchall()])


def _share_out(workers: Iterable[WorkerState], running: Iterable[RunningJob]) -> list[RunningJob]:
    """Give each worker what it runs; returns the rest."""
    by_name = {application_name(worker.name): worker for worker in workers}
    rest = []
    for job in running:
        if worker := by_name.get(job.holder or ""):
            worker.runs.append(job)
        else:
            rest.append(job)
    return rest
