"""Heartbeats of each worker, in the system's own time: the watchdog, the health check and the doctor rely on them.

A worker has two: `worker@host:pid` of its watchdog, `cluster@host:pid` of the cluster that runs its jobs.
"""

import os
import socket

import psutil
from django.db import connection

WORKER = "FRONTDESK_WORKER"  # the watchdog sets it; its cluster inherits it
ALIVE_SECONDS = 60
LONGEST_NAME = 63  # of a connection, in bytes
FORGOTTEN_SECONDS = 86_400  # a worker that was never stopped in order and never came back

BOTH_ALIVE = """
SELECT count(*) FROM core_heartbeat w JOIN core_heartbeat c ON split_part(c.name, '@', 2) = split_part(w.name, '@', 2)
WHERE split_part(w.name, '@', 1) = 'worker' AND split_part(c.name, '@', 1) = 'cluster'
  AND least(w.at, c.at) > clock_timestamp() - make_interval(secs => %s)
"""


def claim_name() -> None:
    """Give this worker its name; forget those of this host that no longer run, and those gone for a day."""
    host = socket.gethostname()[:80]
    os.environ[WORKER] = f"{host}:{os.getpid()}"
    connection.close()  # the next ones, and those of its cluster, tell whose they are
    connection.settings_dict["OPTIONS"]["application_name"] = application_name(os.environ[WORKER])
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM core_heartbeat WHERE split_part(name, '@', 2) LIKE %s", [f"{host}:%"])
        dead = [name for (name,) in cursor.fetchall() if not psutil.pid_exists(int(name.rpartition(":")[2]))]
        cursor.execute(
            "DELETE FROM core_heartbeat WHERE name = ANY(%s) OR at < clock_timestamp() - make_interval(secs => %s)",
            [dead, FORGOTTEN_SECONDS],
        )


def application_name(worker: str) -> str:
    """How Postgres names the connections of a worker: the end of its name, which tells it from the others of its host."""
    return f"worker {worker}" if len(worker) + 7 <= LONGEST_NAME else f"worker {worker[7 - LONGEST_NAME :]}"


def forget_worker() -> None:
    """This worker has stopped in order."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM core_heartbeat WHERE split_part(name, '@', 2) = %s", [os.environ.get(WORKER, "")])


def record_heartbeat(part: str = "cluster") -> None:
    """Record a heartbeat of this worker's part. For the watchdog, django-q2 has to run this as a task."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_heartbeat (name, at) VALUES (%s, clock_timestamp())"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            [_name(part)],
        )


def seconds_silent() -> float:
    """System seconds since this worker's cluster recorded a heartbeat or started a job; infinite if it never did."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp() - at) FROM core_heartbeat WHERE name = %s", [_name("cluster")]
        )
        found = cursor.fetchone()
    return float(found[0]) if found else float("inf")


def count_alive() -> int:
    """How many workers have a watchdog and a cluster that both gave a sign of life within the last minute."""
    with connection.cursor() as cursor:
        cursor.execute(BOTH_ALIVE, [ALIVE_SECONDS])
        return int(cursor.fetchone()[0])


def list_silent() -> dict[str, float]:
    """Workers that are not alive and not forgotten either, each with the seconds of its silence."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT split_part(name, '@', 2), extract(epoch FROM clock_timestamp() - min(at)) FROM core_heartbeat"
            " GROUP BY 1 HAVING min(at) < clock_timestamp() - make_interval(secs => %s)"
            " AND min(at) > clock_timestamp() - make_interval(secs => %s)",
            [ALIVE_SECONDS, FORGOTTEN_SECONDS],
        )
        return {name: float(seconds) for name, seconds in cursor.fetchall()}


def _name(part: str) -> str:
    worker = os.environ.get(WORKER)
    return f"{part}@{worker}" if worker else part
