"""The sandbox's inbox: every mail anybody in the sandbox sends ends here, and nowhere else."""

import html
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.sandbox import clock
from apps.sandbox.store import store

URL = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]]")
KEEP = 2_000


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail as its sender handed it over."""

    source: str
    sender: str
    to: Sequence[str]
    subject: str
    text: str
    html: str = ""
    tags: Sequence[str] = ()
    variables: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def deliver(mail: Mail) -> str:
    """Put a mail into the inbox and return its id. `source` is "mailgun" or "keycloak". The caller holds the lock."""
    mails: list[dict[str, Any]] = store.data["mails"]
    mail_id = secrets.token_hex(8)
    mails.append(
        {
            "id": mail_id,
            "at": clock.now(),
            "from": mail.sender,
            "to": list(mail.to),
            "subject": mail.subject,
            "text": mail.text,
            "html": mail.html,
            "source": mail.source,
            "tags": list(mail.tags),
            "variables": dict(mail.variables),
            "headers": dict(mail.headers),
            "links": links(mail.text) or links(html.unescape(mail.html)),
        }
    )
    del mails[:-KEEP]
    store.changed()
    return mail_id


def links(text: str) -> list[str]:
    """The web addresses in a text, in order, each once."""
    return list(dict.fromkeys(URL.findall(text)))


def newest_first(to: str = "") -> list[dict[str, Any]]:
    """The mails, newest first; with `to` only those whose receiver contains it, in any case."""
    wanted = to.strip().lower()
    return [
        mail for mail in reversed(store.data["mails"]) if any(wanted in receiver.lower() for receiver in mail["to"])
    ]


def find(mail_id: str) -> dict[str, Any] | None:
    """One mail by its id."""
    return next((mail for mail in store.data["mails"] if mail["id"] == mail_id), None)


def clear() -> int:
    """Throw all mails away; returns how many there were."""
    count = len(store.data["mails"])
    store.data["mails"].clear()
    store.changed()
    return count
