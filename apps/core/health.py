"""Whether we can serve: the database answers, its schema is current, the worker is alive. Says only which part fails.

Keycloak, Stripe or Mailgun being down is no failure of ours: that shows in the console and in the metrics.
"""

import functools
import time
from collections.abc import Callable

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from apps.core import heartbeats

CACHED_SECONDS = 1.0
_schema_is_current: list[bool] = []


@require_safe
def live(_request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all; touches nothing."""
    return JsonResponse({"status": "ok"})


@require_safe
def health(_request: HttpRequest) -> HttpResponse:
    """200 when every part is ok, else 503; `{"status", "parts": {"database"|"migrations"|"worker": "ok"|"failing"}}`."""
    parts = _parts(int(time.monotonic() / CACHED_SECONDS))
    ok = all(state == "ok" for state in parts.values())
    return JsonResponse({"status": "ok" if ok else "failing", "parts": parts}, status=200 if ok else 503)


@functools.lru_cache(maxsize=1)
def _parts(_second: int) -> dict[str, str]:
    return {name: "ok" if _passes(check) else "failing" for name, check in CHECKS.items()}


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Error:
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _migrations() -> bool:
    """Checked until it is current; a new release is a new process."""
    if not _schema_is_current:
        executor = MigrationExecutor(connection)
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            _schema_is_current.append(True)
    return bool(_schema_is_current)


def _worker() -> bool:
    """One is enough to serve; the others show in the console and in the metrics."""
    return heartbeats.count_alive() > 0


CHECKS: dict[str, Callable[[], bool]] = {"database": _database, "migrations": _migrations, "worker": _worker}
