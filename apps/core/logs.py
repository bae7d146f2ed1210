"""Logs: one JSON object a line, with `timestamp` (UTC), `level`, `logger`, `event`, `request_id`, in a job `job_id`, and who asks, by
number; nothing secret and nothing personal. What others print is brought into this form by `core.log_streams`.

`scrub` is the last guard, over finished lines: mail addresses become a keyed hash and a domain, keys and tokens become
stars. The first guard is not to log such things at all.
"""

import hashlib
import hmac
import logging
import os
import re
from collections.abc import MutableMapping
from typing import Any, override

import structlog

from apps.core import security_events

ADDRESS = re.compile(r"[\w.+-]+(?:@|%40)([\w-]+\.[\w.-]+)")
# Postgres repeats the values of a row that it refuses: names, numbers, whatever was typed.
ROW = re.compile(r"\b(DETAIL|CONTEXT): .*?(?=\n\n|\n[A-Z]+: |\Z)", re.DOTALL)
SECRET = re.compile(
    r"\b(?:sk|rk|whsec|key)[_-][A-Za-z0-9_]{8,}|Bearer\s+\S+|\beyJ[\w-]+\.[\w-]+\.[\w-]*|t=\d+,v1=[0-9a-f]+"
    r"|\bcs_\w+_secret_\w+"
)

CODE = re.compile(r"\bcodes?\W{1,6}(?:\d{6}|[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4})\b")
ACCESS = "granian.access"
HASHED = re.compile(r"[0-9a-f]{12}@")  # what `scrub` leaves of an address
LEAKS = {
    "a key or token": SECRET,
    "a code": CODE,
    "a row of the database": re.compile(r"\b(?:DETAIL|CONTEXT): (?!\*\*\*)"),
}


def find_leaks(line: str) -> list[str]:
    """What a line of the log says that none may say: secrets, codes, addresses."""
    found = [name for name, pattern in LEAKS.items() if pattern.search(line)]
    if any(not HASHED.match(one.group(0)) for one in ADDRESS.finditer(line)):
        found.append("an email address")
    return found


def scrub(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: every text of the line without addresses and secrets."""
    return {name: clean(value) for name, value in line.items()}


def clean(value: Any) -> Any:
    """Every text in it without addresses, secrets and rows of the database."""
    if isinstance(value, str):
        return SECRET.sub("***", ADDRESS.sub(_hashed, ROW.sub(r"\1: ***", value)))
    if isinstance(value, dict):
        return {clean(name): clean(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def _hashed(found: re.Match[str]) -> str:
    """The same address always gives the same hash, so that lines about one person can still be joined."""
    key = os.environ.get("DJANGO_SECRET_KEY", "frontdesk").encode()
    return f"{hmac.new(key, found.group(0).lower().encode(), hashlib.sha256).hexdigest()[:12]}@{found.group(1)}"


class ShortRequests(logging.Filter):
    """A request is one short line. One that Django refuses has no traceback: it tells nothing, and a visitor could fill the disk with it.

    No line about a request holds the right that a link to it is.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == ACCESS and isinstance(record.args, dict):
            _describe_access(record, record.args)
        request, status = getattr(record, "request", None), getattr(record, "status_code", 0)
        if request is None or status < 400:
            return True
        path = _path_of(request)
        if status < 500:
            asked = f"{status} {str(request.method)[:10]} {path}"
            found = security_events.noted()
            record.msg, record.args = "%s", (found["event"] if found else asked,)
            if found:
                record.details = found | {"answer": asked}
            record.exc_info = record.exc_text = None
        elif isinstance(record.args, tuple):
            record.args = tuple(path if one == request.path else one for one in record.args)
        return True


def _describe_access(record: logging.LogRecord, said: dict[str, Any]) -> None:
    """granian's line about an answer, without the visitor's address and what follows the path."""
    record.msg, record.args = "request", ()
    record.details = {
        "method": str(said["method"])[:10],
        "path": _shown_path(said["path"]),
        "status": said["status"],
        "ms": round(said["dt_ms"], 1),
    }


def _path_of(request: Any) -> str:
    return _shown_path(request.path, getattr(request, "resolver_match", None))


def _shown_path(path: str, found: Any = None) -> str:
    """The path, or the route of one that ends with a token; `found`: its route, unless the request was refused before."""
    from django.urls import Resolver404, resolve  # the settings import this module, and routes need them

    try:
        found = found or resolve(path)
    except Resolver404:
        return path[:100]
    return f"/{found.route}" if "token" in found.kwargs else path[:100]


def add_details(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the line about a request says what a filter found out about it."""
    line.update(getattr(line.get("_record"), "details", {}))
    return line


SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    scrub,
]


def logging_settings(level: str) -> dict[str, Any]:
    """Django's LOGGING, and structlog set up to write through it."""
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    quiet = {"level": "WARNING"}
    formatter = {
        "()": "structlog.stdlib.ProcessorFormatter",
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
        "foreign_pre_chain": [add_details, *SHARED],
    }
    # Python's own stream: the one that others print to may be a logger.
    stderr = {
        "class": "logging.StreamHandler",
        "stream": "ext://sys.__stderr__",
        "formatter": "json",
        "filters": ["short"],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": formatter},
        "filters": {"short": {"()": ShortRequests}},
        "handlers": {"stderr": stderr},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": dict.fromkeys(["django.server", "django-q", "stripe", "djstripe", "httpx", "urllib3"], quiet),
    }
