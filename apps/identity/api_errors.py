"""Every call to python-keycloak goes through here, and every one of its errors becomes one of ours.

Promises: a read is tried a second time when the connection breaks; a write never is. Messages carry what we tried to do
and Keycloak's own error id, never an address, a name or a secret. No other module catches the library's errors.
"""

import json
from collections.abc import Callable, Container
from typing import Any

import structlog
from keycloak.exceptions import KeycloakConnectionError, KeycloakError
from requests.exceptions import ConnectTimeout
from urllib3.exceptions import NewConnectionError

from apps.core.errors import DependencyDown, NeedsOperator, RetryLater, WorkError
from apps.core.io_guard import refuse_inside_transaction

log = structlog.get_logger(__name__)

DEPENDENCY = "keycloak"
AWAY = (502, 503, 504)  # a proxy in front of it, or Keycloak itself, says that it is unavailable


class Refusal(Exception):
    """Keycloak's 4xx answer to a call whose caller handles that status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status, self.message = status, message


class RightMissing(DependencyDown):
    """Keycloak refuses (403): our account has lost a right, or this account or group is out of its reach."""


class AnswerLost(DependencyDown):
    """The connection broke after the request may have been read: it may or may not have been executed."""


def read[T](doing: str, call: Callable[[], T], *, expect: Container[int] = ()) -> T:
    """Make a call that changes nothing; when the connection breaks, once more. See `write` for the rest."""
    try:
        return write(doing, call, expect=expect)
    except AnswerLost:  # most often a kept-alive connection that the server had closed meanwhile
        return write(doing, call, expect=expect)


def write[T](doing: str, call: Callable[[], T], *, expect: Container[int] = ()) -> T:
    """Make one call. `doing` ends the sentence "Keycloak could not …"; statuses in `expect` raise Refusal.

    All other failures raise DependencyDown, RetryLater or NeedsOperator as `apps.identity.protocol` says.
    """
    refuse_inside_transaction()
    try:
        return call()
    except KeycloakConnectionError as error:
        raise _broken(doing, error) from error
    except KeycloakError as error:
        status, message = error.response_code or 0, _message(error.response_body)
        if status in expect:
            raise Refusal(status, message) from error
        raise _translated(doing, status, message) from error
    except (TypeError, KeyError, AttributeError, ValueError) as error:  # how the library meets an unknown form
        raise RetryLater(f"Keycloak could not {doing}: its answer is not in the form we know.") from error


def _broken(doing: str, error: KeycloakConnectionError) -> DependencyDown:
    """No connection: surely not done. A connection that broke: perhaps done."""
    cause: BaseException | None = error.__cause__ or error.__context__
    unreached = isinstance(cause, ConnectTimeout)
    inner = getattr(cause.args[0], "reason", None) if cause and cause.args else None
    if unreached or isinstance(inner, NewConnectionError):
        return DependencyDown(DEPENDENCY, f"Keycloak could not be reached to {doing}.")
    return AnswerLost(DEPENDENCY, f"Keycloak did not answer when asked to {doing}.")


def _translated(doing: str, status: int, message: str) -> WorkError:
    answer_text = f"{status} {message}".strip()
    if status in AWAY:
        return DependencyDown(DEPENDENCY, f"Keycloak is unavailable ({answer_text}); it could not {doing}.")
    if status == 403:
        # Not the job's fault and nothing it can fix: it waits, without spending attempts, until the right is back.
        log.error("keycloak_right_missing", doing=doing)
        return RightMissing(DEPENDENCY, f"A right is missing for our Keycloak account to {doing} (403).")
    if status == 401:  # the library has already logged in again
        log.error("keycloak_login_refused", doing=doing)
        return RetryLater(f"Keycloak refused our own login when asked to {doing} (401).")
    if status in (0, 429) or status >= 500:
        return RetryLater(f"Keycloak could not {doing} ({answer_text}).")
    return NeedsOperator(f"Keycloak refused to {doing} ({answer_text}).")


def _message(body: bytes | None) -> str:
    """Keycloak's short error text; the parameters of profile errors (they hold what people typed) are left out."""
    try:
        answer: Any = json.loads(body or b"")
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    errors = answer["errors"] if isinstance(answer.get("errors"), list) else [answer]
    texts = (_error_text(one) for one in errors if isinstance(one, dict))
    return "; ".join(text for text in texts if text and "@" not in text)[:200]


def _error_text(error: dict[str, Any]) -> str:
    text, field = str(error.get("errorMessage") or error.get("error") or ""), str(error.get("field") or "")
    return f"{field}: {text}" if field else text
