"""Whether we can serve: the database answers, the schema is ours, the worker lives. Says which part is ill, nothing else.

A peer that is down (Keycloak, Stripe, Mailgun) is not our illness: it shows in the console and in the metrics.
"""

import functools
import time
from collections.abc import Callable

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

WORKER_SECONDS = 60
CACHED_SECONDS = 1.0
_seen_whole: list[bool] = []


@require_safe
def live(_request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all; touches nothing."""
    return JsonResponse({"status": "ok"})


@require_safe
def health(_request: HttpRequest) -> HttpResponse:
    """200 when every part is well, else 503; `{"status", "parts": {"database"|"migrations"|"worker": "ok"|"ill"}}`."""
    parts = _parts(int(time.monotonic() / CACHED_SECONDS))
    well = all(state == "ok" for state in parts.values())
    return JsonResponse({"status": "ok" if well else "ill", "parts": parts}, status=200 if well else 503)


@functools.lru_cache(maxsize=1)
def _parts(_second: int) -> dict[str, str]:
    return {name: "ok" if _well(check) else "ill" for name, check in CHECKS.items()}


def _well(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Error:
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _migrations() -> bool:
    """Once the schema has been seen whole it stays so for this process; a new release is a new process."""
    if not _seen_whole:
        executor = MigrationExecutor(connection)
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            _seen_whole.append(True)
    return bool(_seen_whole)


def _worker() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM core_beat WHERE name IN ('worker', 'cluster')"
            " AND at > clock_timestamp() - make_interval(secs => %s)",
            [WORKER_SECONDS],
        )
        return bool(cursor.fetchone()[0] == 2)


CHECKS: dict[str, Callable[[], bool]] = {"database": _database, "migrations": _migrations, "worker": _worker}
