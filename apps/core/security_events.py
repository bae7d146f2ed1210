"""Security events: what an operator's alarm rules look for in the log, each under a name that stays.

Promises: a request leaves at most one such line, so that a stranger cannot write many with one; where Django logs the refusal of
the request, that line becomes the event. No line names an address, a mailbox, a code or a token: people go by their number.
"""

from contextvars import ContextVar
from enum import StrEnum
from typing import Any


class SecurityEvent(StrEnum):
    """The names; templates/manual/monitoring.md lists them."""

    LOGIN_SUCCEEDED = "login_succeeded"
    LOGIN_REFUSED = "login_refused"
    CODE_WRONG = "code_wrong"
    CODE_EXPIRED = "code_expired"
    LINK_REFUSED = "link_refused"
    LIMIT_REACHED = "limit_reached"
    CSRF_REFUSED = "csrf_refused"
    SIGNATURE_REFUSED = "signature_refused"
    KEY_REFUSED = "key_refused"


# The event of the request that this thread serves. Not one of structlog's variables, which would be part of every line.
_noted: ContextVar[dict[str, Any] | None] = ContextVar("security_event", default=None)


def note(event: SecurityEvent, **details: Any) -> None:
    """Have this request leave the line of `event`; the first that is noted counts, as it caused the rest."""
    if _noted.get() is None:
        _noted.set({"event": str(event), **details})


def noted() -> dict[str, Any] | None:
    """What was noted: `event` and its details."""
    return _noted.get()


def forget() -> None:
    """Begin a request."""
    _noted.set(None)
