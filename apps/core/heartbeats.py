"""Heartbeats of each worker, in the system's own time: the watchdog, the health check and the doctor rely on them.

A worker has two: `worker@host~machine:pid` of its watchdog, `cluster@host~machine:pid` of the cluster that runs its jobs. Two machines
of one name stay apart: none forgets the other's while both run. What fell silent before we began is ours, from before a new start.
"""

import contextlib
import functools
import hashlib
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from django.db import connection

WORKER = "FRONTDESK_WORKER"  # the watchdog sets it; its cluster inherits it
ALIVE_SECONDS = 60
LONGEST_NAME = 63  # of a connection, in bytes
MACHINE = "~"  # between a host's name and what tells its machine from others of that name
REPLACED_SECONDS = 15  # of silence, after which a namesake of ours is the machine that we were before a new start
OVERLAP_SECONDS = 15
FORGOTTEN_SECONDS = 86_400  # a worker that was never stopped in order and never came back

# Each worker with its host and machine: the older sign of life of its two parts, and when it began.
WORKERS = """
SELECT split_part(worker, ':', 1) AS machine, split_part(split_part(worker, ':', 1), '~', 1) AS host, min(at) AS at, min(since) AS since, count(*) AS parts
FROM (SELECT split_part(name, '@', 2) AS worker, at, since FROM core_heartbeat WHERE name LIKE '%%@%%') AS part
GROUP BY worker
"""
HOSTS = f"""
SELECT host, count(*) FILTER (WHERE parts = 2 AND at > clock_timestamp() - make_interval(secs => %(alive)s)),
    extract(epoch FROM clock_timestamp() - max(at)) FROM ({WORKERS}) AS worker GROUP BY host ORDER BY host
"""  # noqa: S608
NAMESAKES = f"""
WITH machines AS (SELECT host, machine, max(at) AS at, min(since) AS since FROM ({WORKERS}) AS worker WHERE machine LIKE '%%~%%' GROUP BY host, machine)
SELECT DISTINCT one.host FROM machines one JOIN machines other ON other.host = one.host AND other.machine > one.machine
WHERE least(one.at, other.at) > greatest(one.since, other.since) + make_interval(secs => %(overlap)s)
  AND least(one.at, other.at) > clock_timestamp() - make_interval(secs => %(alive)s) ORDER BY 1
"""  # noqa: S608
FORGET = """
DELETE FROM core_heartbeat WHERE name = ANY(%(dead)s) OR at < clock_timestamp() - make_interval(secs => %(day)s)
  OR at < least(
       clock_timestamp() - make_interval(secs => %(moment)s),
       (SELECT min(since) FROM core_heartbeat WHERE split_part(name, '@', 2) = %(worker)s)
     )
     AND split_part(split_part(split_part(name, '@', 2), ':', 1), '~', 1) = %(host)s
     AND split_part(split_part(split_part(name, '@', 2), ':', 1), '~', 2) <> %(machine)s
"""
BOTH_ALIVE = """
SELECT count(*) FROM core_heartbeat w JOIN core_heartbeat c ON split_part(c.name, '@', 2) = split_part(w.name, '@', 2)
WHERE split_part(w.name, '@', 1) = 'worker' AND split_part(c.name, '@', 1) = 'cluster'
  AND least(w.at, c.at) > clock_timestamp() - make_interval(secs => %s)
"""


def claim_name() -> None:
    """Give this worker its name; forget those of this host that no longer run, and those gone for a day."""
    os.environ[WORKER] = f"{_host()}{MACHINE}{machine()}:{os.getpid()}"
    connection.close()  # the next ones, and those of its cluster, tell whose they are
    connection.settings_dict["OPTIONS"]["application_name"] = application_name(os.environ[WORKER])
    forget_gone()


@functools.cache
def machine() -> str:
    """Tells this machine, or this container, from another of the same name; a new start of it is another."""
    seen: list[str] = []
    with contextlib.suppress(OSError):  # no Linux
        seen.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        seen.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("".join(seen or [str(uuid.getnode())]).encode()).hexdigest()[:6]


def _host() -> str:
    return socket.gethostname()[:80]


def forget_gone() -> None:
    """Forget the workers of this machine that no longer run, those it had under its name before it started again, and old ones."""
    host = _host()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM core_heartbeat WHERE split_part(name, '@', 2) LIKE %s", [f"{host}{MACHINE}{machine()}:%"]
        )
        dead = [name for (name,) in cursor.fetchall() if not psutil.pid_exists(int(name.rpartition(":")[2]))]
        values: dict[str, Any] = {
            "dead": dead,
            "host": host,
            "machine": machine(),
            "worker": os.environ.get(WORKER, ""),
            "day": FORGOTTEN_SECONDS,
            "moment": REPLACED_SECONDS,
        }
        cursor.execute(FORGET, values)


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
            "INSERT INTO core_heartbeat (name, at, since) VALUES (%s, clock_timestamp(), clock_timestamp())"
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


@dataclass(frozen=True)
class Host:
    """A host on which workers run: how many gave a sign of life within a minute, and for how long none did."""

    name: str
    alive: int
    silent_seconds: float


def list_hosts() -> list[Host]:
    """The hosts of the workers that are not forgotten."""
    with connection.cursor() as cursor:
        cursor.execute(HOSTS, {"alive": ALIVE_SECONDS})
        return [Host(name, int(alive), max(0.0, float(silent))) for name, alive, silent in cursor.fetchall()]


def list_namesakes() -> list[str]:
    """The names that two machines have at the same time: each was heard after both had begun."""
    with connection.cursor() as cursor:
        cursor.execute(NAMESAKES, {"alive": ALIVE_SECONDS, "overlap": OVERLAP_SECONDS})
        return [str(name) for (name,) in cursor.fetchall()]


def host_of(worker: str) -> str:
    """The host in the name of a worker."""
    return worker.partition(":")[0].partition(MACHINE)[0]


def _name(part: str) -> str:
    worker = os.environ.get(WORKER)
    return f"{part}@{worker}" if worker else part
