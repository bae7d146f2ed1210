"""Where web and worker call: the hosts that the settings name, and no other, whatever makes them try.

A hook of the interpreter (PEP 578) refuses to look up any other name or address, in whatever library. Alerts are lifted out of
it: ALERT_URLS is a list of its own. libpq, which is no Python, is not seen; neither is a socket opened by its number alone.
"""

import contextlib
import contextvars
import sys
import urllib.request
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)

RESOLVING = {"socket.getaddrinfo", "socket.gethostbyname"}
_lifted = contextvars.ContextVar("lifted", default=False)


class HostRefused(PermissionError):
    """Code tried to call a host that no setting names. Libraries take it for a host that cannot be reached."""


def allowed_hosts() -> set[str]:
    """The hosts of our peers, of ourselves, of the database, of a proxy for calls out, and those that OUTBOUND_HOSTS adds."""
    urls = [
        settings.BASE_URL, settings.KEYCLOAK_SERVER_URL, settings.STRIPE_API_HOST, str(settings.ANYMAIL["MAILGUN_API_URL"]),
        settings.SENTRY_DSN, *urllib.request.getproxies().values(),
    ]  # fmt: skip
    hosts = [urlsplit(url).hostname or "" for url in urls] + str(settings.DATABASES["default"]["HOST"]).split(",")
    return {host.lower() for host in hosts if host} | added_hosts()


def added_hosts() -> set[str]:
    """Those that OUTBOUND_HOSTS adds: where staff may have calls sent. Our peers and the database are none of them."""
    return {host.lower() for host in settings.OUTBOUND_HOSTS}


def restrict_calls() -> None:
    """From here on, in this process and those forked from it; there is no way back."""
    allowed = allowed_hosts()

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event in RESOLVING:
            _check(details[0], allowed)

    sys.addaudithook(watch)


@contextlib.contextmanager
def lifted() -> Iterator[None]:
    """For calls to addresses that the operator lists elsewhere."""
    token = _lifted.set(True)
    try:
        yield
    finally:
        _lifted.reset(token)


def _check(host: str | bytes | None, allowed: Collection[str]) -> None:
    name = (host.decode(errors="replace") if isinstance(host, bytes) else host or "").lower().rstrip(".")
    if name and name not in allowed and not _lifted.get():
        log.error("call_refused", host=name[:100])
        raise HostRefused(f"No setting names the host {name[:100]}. OUTBOUND_HOSTS may.")
