"""The edge to Mailgun, through anymail: one mail out, and every way it can fail told apart.

What matters is whether Mailgun may have accepted the mail: a refused connection and an error answer say no, a connection
that broke while we waited says maybe. https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages
"""

import re
from typing import Any, override

import requests
import structlog
from anymail.backends.mailgun import EmailBackend
from anymail.exceptions import AnymailError, AnymailInvalidAddress, AnymailRequestsAPIError
from anymail.message import AnymailMessage
from anymail.utils import parse_single_address
from django.conf import settings
from requests.exceptions import ConnectTimeout
from urllib3.exceptions import NewConnectionError

from apps.core.errors import DependencyDown, RetryLater
from apps.core.io_guard import refuse_inside_transaction
from apps.notifications.email_templates import RenderedEmail

log = structlog.get_logger(__name__)

NAME = "mailgun"
AWAY = (502, 503, 504)
RECIPIENT = re.compile(r"\bto\b\W{1,3}parameter|\brecipient", re.IGNORECASE)  # what Mailgun's 400 is about


class DirectBackend(EmailBackend):  # type: ignore[misc]  # anymail has no types
    """anymail's, which follows no redirect: the key and the mail would go along. EMAIL_BACKEND names it."""

    @override
    def create_session(self) -> requests.Session:
        session: requests.Session = super().create_session()
        session.max_redirects = 0
        return session


class RefusedError(Exception):
    """Mailgun will not take this mail, now or later. The text is Mailgun's, without addresses."""


class AddressRefusedError(RefusedError):
    """Nobody can be written to at this address: it is no address, or none for Mailgun."""


class AnswerLostError(Exception):
    """Mailgun may or may not have accepted the mail."""


def send(email: RenderedEmail, *, to: str, tag: str, notification_id: int) -> str:
    """Hand one mail to Mailgun and return Mailgun's id of it.

    Raises RefusedError, AnswerLostError, and of `core.errors` DependencyDown and RetryLater, both with the mail not taken.
    """
    refuse_inside_transaction()
    try:
        parse_single_address(to)
    except AnymailInvalidAddress as error:
        raise AddressRefusedError("This is not an address that mail can be sent to.") from error
    message = AnymailMessage(
        subject=email.subject,
        body=email.text,
        to=[to],
        tags=[tag],
        metadata={"notification": str(notification_id)},
        reply_to=[settings.BRAND["support_email"]],
    )
    message.attach_alternative(email.html, "text/html")
    refuse_while_away()
    try:
        message.send()
    except AnymailRequestsAPIError as error:
        raise _translated(error) from error
    except (
        AnymailError,
        ValueError,
    ) as error:  # an address or header that cannot be written, found before sending
        raise RefusedError(f"The mail could not be written ({type(error).__name__}).") from error
    return str(message.anymail_status.message_id or "")


def refuse_while_away() -> None:
    """Raise DependencyDown when Mailgun does not answer a harmless question: nothing has been sent then, for sure.

    Afterwards a connection that breaks means that the mail may be out. A key that may only send is refused here, which is an
    answer too.
    """
    try:
        answer = ask_about_domain()
    except requests.RequestException as error:
        raise DependencyDown(NAME, "Mailgun could not be reached.") from error
    if answer.status_code in AWAY or answer.is_redirect:
        raise DependencyDown(NAME, f"Mailgun is away ({answer.status_code}).")


def ask_about_domain() -> requests.Response:
    """What Mailgun says about our sending domain. Raises requests.RequestException when it does not answer."""
    return _call("GET", f"domains/{settings.MAILGUN_DOMAIN}")


def ask_about_webhooks() -> requests.Response:
    """Where Mailgun tells what became of the domain's mails."""
    return _call("GET", f"domains/{settings.MAILGUN_DOMAIN}/webhooks")


def set_webhook(kind: str, urls: list[str], *, is_new: bool) -> requests.Response:
    """Let Mailgun tell this kind of event to these addresses, at most three; `is_new`: it has been told to nobody."""
    place = f"domains/{settings.MAILGUN_DOMAIN}/webhooks"
    if is_new:
        return _call("POST", place, {"id": kind, "url": urls})
    return _call("PUT", f"{place}/{kind}", {"url": urls})


def ask_to_send() -> requests.Response:
    """Ask to send a mail that has no sender, no recipient and no content: 400 from a Mailgun that would send another one."""
    return _call("POST", f"{settings.MAILGUN_DOMAIN}/messages")


def _call(method: str, path: str, form: dict[str, Any] | None = None) -> requests.Response:
    url = f"{settings.ANYMAIL['MAILGUN_API_URL']}/{path}"
    return requests.request(
        method, url, data=form, auth=("api", settings.MAILGUN_API_KEY), timeout=(3, 10), allow_redirects=False
    )


def _translated(error: AnymailRequestsAPIError) -> Exception:
    status = error.status_code
    if status is None:
        return _broken(error)
    if status < 300:  # accepted, but in words we do not understand
        return AnswerLostError()
    if status in (
        401,
        403,
    ):  # our key, not this mail: all of them wait, unspent, until it is fixed
        log.error("mailgun_key_refused", status=status)
        return DependencyDown(NAME, f"Mailgun refuses our key ({status}).")
    if status in AWAY:
        return DependencyDown(NAME, f"Mailgun is away ({status}).")
    if status == 429 or status >= 500:
        return RetryLater(f"Mailgun could not take the mail ({status}).")
    words = _words(error.response)
    kind = AddressRefusedError if status == 400 and RECIPIENT.search(words) else RefusedError
    return kind(f"{status} {words}".strip())


def _broken(error: AnymailRequestsAPIError) -> Exception:
    """No connection: surely not accepted. A connection that broke: perhaps accepted."""
    cause = error.__cause__
    inner = getattr(cause.args[0], "reason", None) if cause and cause.args else None
    if isinstance(cause, ConnectTimeout) or isinstance(inner, NewConnectionError):
        return DependencyDown(NAME, "Mailgun could not be reached.")
    return AnswerLostError()


def _words(response: requests.Response) -> str:
    """Mailgun's sentence, unless it repeats an address."""
    try:
        said = str(response.json().get("message", ""))
    except (ValueError, AttributeError):
        return ""
    return "" if "@" in said else said[:200]
