"""A pooler between us and Postgres, such as pgbouncer: which part of us may go through one, and how one is noticed.

A pooler that lends connections by transaction gives the next transaction another session. Web needs no session, but for a lock over
a call (`locks.hold_if_free`), for which it opens a connection of its own past the pooler. Worker, `migrate` and all other commands
hold locks as long as they live and listen for wake-ups: they go straight to Postgres, and refuse to run through such a pooler.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.core.locks import PAST

TRIES = 5
PID = "SELECT pg_backend_pid()"
REMEDY = "Name Postgres itself as POSTGRES_HOST, and the pooler, which is for web, as POSTGRES_POOLER_HOST."
REFUSED = f"POSTGRES_HOST is a pooler that lends connections by transaction: locks and wake-ups would be lost. {REMEDY}"


def use_pooler() -> None:
    """From here on this process, which is web, goes through the pooler, if the settings name one."""
    if settings.POSTGRES_POOLER:
        used = connections.settings["default"]
        used[PAST] = {name: used.get(name) for name in settings.POSTGRES_POOLER}
        used |= settings.POSTGRES_POOLER


def are_sessions_lent() -> bool:
    """Whether others get the sessions of this process, which does not know: web that was told of its pooler does.

    Raises DatabaseError when nobody answers.
    """
    if PAST in connection.settings_dict or _pid(connection) == connection.connection.info.backend_pid:
        return False  # a pooler makes up a number of its own, by which to cancel
    return any(_is_lent_to_another() for _ in range(TRIES))


def _is_lent_to_another() -> bool:
    """Whether somebody else gets our session while we are connected: a pooler lends first what came back last."""
    other = connection.copy()
    try:
        ours = _pid(connection)
        return _pid(other) == ours
    finally:
        other.close()


def _pid(one: BaseDatabaseWrapper | Any) -> int:
    with one.cursor() as cursor:
        cursor.execute(PID)
        return int(cursor.fetchone()[0])


def refuse_transaction_pooling() -> None:
    """Raises ImproperlyConfigured where sessions are lent."""
    if are_sessions_lent():
        raise ImproperlyConfigured(REFUSED)
