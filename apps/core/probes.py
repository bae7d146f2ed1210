"""Probes reach a process by its address: health and metrics answer whatever the Host header says; nothing else does.

A container's health check, a balancer and a scraper name an IP address or a container, never the site. None of the views
here builds an address from the Host header or reads a session.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.core.health import health, live
from apps.core.metrics import metrics

PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/health": health,
    "/health/live": live,
    "/metrics": metrics,
}


def answer_probes(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware, before the one that checks the host: answers the paths above, with or without a final slash."""

    def serve(request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path_info.removesuffix("/"), get_response)
        return probe(request)

    return serve
