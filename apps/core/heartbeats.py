"""Heartbeats, in the system's own time: the watchdog and the health check rely on them."""

from django.db import connection


def record_heartbeat(name: str = "cluster") -> None:
    """Record a heartbeat in the system's time. For the watchdog, django-q2 has to run this as a task."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_heartbeat (name, at) VALUES (%s, clock_timestamp())"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            [name],
        )


def seconds_silent() -> float:
    """System seconds since the cluster last recorded a heartbeat or started a job; infinite if it never did."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp() - at) FROM core_heartbeat WHERE name = 'cluster'",
        )
        found = cursor.fetchone()
    return float(found[0]) if found else float("inf")
