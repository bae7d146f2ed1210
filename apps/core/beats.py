"""Signs of life, in the system's own time: what the watchdog and the health page go by."""

from django.db import connection


def beat(name: str = "cluster") -> None:
    """Note a sign of life, in the system's time. django-q2 runs it for the watchdog, which asks by `ask_for_beat`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_beat (name, at) VALUES (%s, clock_timestamp())"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            [name],
        )


def seconds_silent() -> float:
    """System seconds since the cluster last ran a beat or started a job; infinite when it never did."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp() - at) FROM core_beat WHERE name = 'cluster'",
        )
        found = cursor.fetchone()
    return float(found[0]) if found else float("inf")
