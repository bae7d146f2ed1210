"""The ways in which work can fail. `core.jobs` acts on these; a vendor's own errors never leave `billing` and `identity`.

The text of each is a sentence for staff: it names ids, never secrets or email addresses.
"""

import datetime as dt
from typing import Any


class WorkError(Exception):
    """Base of all outcomes below. `reason` is one sentence for staff."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RetryLater(WorkError):
    """May succeed on a retry; counts as an attempt. `after` overrides the usual back-off."""

    def __init__(self, reason: str, *, after: dt.timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after


class DependencyDown(WorkError):
    """A whole system (`keycloak`, `stripe`, `mailgun`) does not answer; the job is parked and no attempt is spent."""

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(reason)
        self.dependency = dependency


class NeedsOperator(WorkError):
    """Trying again cannot help; staff have to decide or fix something first. `told`: what a customer may read about it."""

    def __init__(self, reason: str, *, told: str = "") -> None:
        super().__init__(reason)
        self.told = told


class BadInput(Exception):
    """A visitor's input was refused. `message` is for the visitor; `field` names the input; `code`, `details` are for scripts."""

    def __init__(
        self, message: str, *, field: str = "", code: str = "invalid", status: int = 400, details: Any = None
    ) -> None:
        super().__init__(message)
        self.message, self.field, self.code, self.status, self.details = message, field, code, status, details or {}
