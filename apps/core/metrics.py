"""`/metrics` for Prometheus, behind a Bearer token, correct across several web processes.

Counters of the processes are summed by prometheus-client when PROMETHEUS_MULTIPROC_DIR is set; the gauges below are read
from the database at scrape time, so they do not depend on which process answers. Labels are bounded sets, never ids.
"""

from collections.abc import Iterable

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from apps.core import limits
from apps.core.requests import client_address

SCRAPES_PER_MINUTE = 60

# name, help, labels, statement giving the labels and the value; apps above add theirs from ready()
GAUGES: list[tuple[str, str, list[str], str]] = [
    (
        "frontdesk_jobs",
        "Jobs by kind and state, done ones left out",
        ["kind", "state"],
        "SELECT kind, state, count(*) FROM core_job WHERE state IN ('queued', 'running', 'blocked', 'dead') GROUP BY 1, 2",
    ),
    (
        "frontdesk_job_oldest_due_seconds",
        "How long the job that is due longest has waited",
        [],
        "SELECT coalesce(extract(epoch FROM now() - min(not_before)), 0) FROM core_job WHERE state = 'queued' AND not_before <= now()",
    ),
    (
        "frontdesk_dependency_down",
        "1 for a system known to be down",
        ["dependency"],
        "SELECT name, 1 FROM core_dependency",
    ),
]


class DatabaseGauges:
    """A prometheus-client collector of the statements above."""

    def collect(self) -> Iterable[Metric]:
        """One gauge for each statement, read now."""
        for name, text, labels, statement in GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=labels)
            with connection.cursor() as cursor:
                cursor.execute(statement)
                for row in cursor.fetchall():
                    gauge.add_metric([str(label) for label in row[:-1]], float(row[-1]))
            yield gauge


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The exposition, for requests with `Authorization: Bearer <PROMETHEUS_METRICS_API_KEY>`; 401, 404 or 429 otherwise."""
    if not settings.PROMETHEUS_METRICS_API_KEY:
        return HttpResponse(status=404)
    if not constant_time_compare(
        request.headers.get("Authorization", ""), f"Bearer {settings.PROMETHEUS_METRICS_API_KEY}"
    ):
        return HttpResponse("A Bearer token is needed.\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    if not limits.spend("metrics", client_address(request), limit=SCRAPES_PER_MINUTE, per=60):
        return HttpResponse("Too many scrapes.\n", status=429)
    response: HttpResponse = ExportToDjangoView(request)
    registry = CollectorRegistry()
    registry.register(DatabaseGauges())
    response.content += generate_latest(registry)
    return response
