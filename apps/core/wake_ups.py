"""Wake-ups: a notification of Postgres that a job is due; it names none, and leaves with the caller's transaction."""

from django.db import connection

CHANNEL = "frontdesk_jobs"
NOTIFY = f"pg_notify('{CHANNEL}', '')"  # equal ones of a transaction are delivered as one


def wake_up() -> None:
    """Tell every cluster that jobs are due."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {NOTIFY}")
