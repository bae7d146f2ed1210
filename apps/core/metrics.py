"""`/metrics` for Prometheus, behind a Bearer token, correct across several web processes.

Counters of the processes are summed by prometheus-client when PROMETHEUS_MULTIPROC_DIR is set; the gauges below are read
from the database at scrape time, so they do not depend on which process answers. Labels are bounded sets, never ids:
whatever addresses and methods a visitor tries, there are at most 2,000 series.
"""

from collections.abc import Callable, Iterable
from typing import Any, override

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView
from django_prometheus.middleware import PrometheusAfterMiddleware
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from apps.core import limits
from apps.core.requests import client_address

FORWARDED = {"X-Forwarded-For", "X-Forwarded-Proto"}  # a proxy brought the request: it came from outside, in clear

Rows = list[tuple[Any, ...]]
# name, help, labels, what gives the labels and the value: a statement or a function; apps above add theirs from ready()
Gauge = tuple[str, str, list[str], str | Callable[[], Rows]]
GAUGES: list[Gauge] = [
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


def read_rows(statement: str) -> Rows:
    """What the statement answers: the labels of each row, and its number at the end."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


class DatabaseGauges:
    """A prometheus-client collector of the gauges above."""

    def collect(self) -> Iterable[Metric]:
        """Each of them, read now."""
        for name, text, labels, source in GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=labels)
            for row in read_rows(source) if isinstance(source, str) else source():
                gauge.add_metric([str(label) for label in row[:-1]], float(row[-1]))
            yield gauge


class CountRequests(PrometheusAfterMiddleware):  # type: ignore[misc]  # django-prometheus has no types
    """django-prometheus counts by view, method, transport and template together; here a series by view is by nothing else.

    The console's pages, of which there are hundreds, count as one view.
    """

    @override
    def label_metric(self, metric: Any, request: HttpRequest, response: Any = None, **labels: str) -> Any:
        if view := labels.get("view"):
            namespace, colon, _ = view.partition(":")
            labels |= dict.fromkeys(labels.keys() & {"method", "transport"}, "all") | {"view": namespace + colon}
        if "templatename" in labels:
            labels["templatename"] = "all"
        return super().label_metric(metric, request, response, **labels)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The exposition, for requests with `Authorization: Bearer <PROMETHEUS_METRICS_API_KEY>`; else 401, 403, 404 or 429."""
    if not settings.PROMETHEUS_METRICS_API_KEY:
        return HttpResponse(status=404)
    if settings.HTTPS and not request.is_secure() and request.headers.keys() & FORWARDED:
        return HttpResponse("Ask over https, or inside the private network.\n", status=403)
    if not constant_time_compare(
        request.headers.get("Authorization", ""), f"Bearer {settings.PROMETHEUS_METRICS_API_KEY}"
    ):
        return HttpResponse("A Bearer token is needed.\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    if not limits.allow(scrapes_visitor=client_address(request)):
        return HttpResponse("Too many scrapes.\n", status=429)
    response: HttpResponse = ExportToDjangoView(request)
    registry = CollectorRegistry()
    registry.register(DatabaseGauges())
    response.content += generate_latest(registry)
    return response
