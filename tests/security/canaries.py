"""Values that occur nowhere else, and where they are looked for: tables, log lines, emails, pages, headers, addresses, metrics."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest
import requests
from django.db import connection
from django.http import HttpResponse
from django.test import Client

# Of a person. What is short (a card's last digits) is looked for as a word.
PERSON = {
    "first name": "Quillabeth", "last name": "Zanzibarow", "username": "quill.zanz", "email": "canary.inbox@gmail.com",
    "name on the card": "Wilhelmina Karfunkel", "card": "4444", "network address": "198.51.100.77", "browser": "CanaryBrowser",
}  # fmt: skip
TOKENS = ("access_token", "refresh_token", "id_token")
LINK = re.compile(r"\b(?:href|src|action|hx-get|hx-post|hx-redirect)=\"([^\"]*)\"")


def pattern(value: str) -> str:
    """The value as a word of its own; an address also by the part before the @."""
    return rf"(?<![\w.]){re.escape(value.partition('@gmail')[0])}(?!\w)"


WORDS = {name: re.compile(pattern(value), re.IGNORECASE) for name, value in PERSON.items()}
LOWER = [value.partition("@gmail")[0].lower() for value in PERSON.values()]  # much faster than the patterns


@dataclass
class Canaries:
    """The values by name: secrets come in as they are made."""

    secrets: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: str) -> None:
        assert len(value) > 5, name
        self.secrets[f"{name} {sum(one.startswith(name) for one in self.secrets) + 1}"] = value

    def secrets_in(self, text: str) -> set[str]:
        """The kinds of secrets in a text, as it is or decoded."""
        texts = _decoded(text)
        return {
            _kind(name) for name, value in self.secrets.items() for one in texts if value in one and _holds(one, value)
        }

    @staticmethod
    def person_in(text: str) -> set[str]:
        """What a text, as it is or decoded, says of the person."""
        texts = [one for one in map(str.lower, _decoded(text)) if any(word in one for word in LOWER)]
        return {name for name, word in WORDS.items() if any(word.search(one) for one in texts)}

    def listen_to_tokens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever token Keycloak gives to Frontdesk is a canary from then on."""
        plain = requests.Session.send

        def send(session: Any, request: Any, **rest: Any) -> requests.Response:
            answer = plain(session, request, **rest)
            if request.url.endswith("/token") and answer.ok:
                for name in TOKENS:
                    if value := answer.json().get(name):
                        self.add(name, str(value))
            return answer

        monkeypatch.setattr(requests.Session, "send", send)


def _kind(name: str) -> str:
    return name.rpartition(" ")[0]


def _holds(text: str, value: str) -> bool:
    if value.isdecimal():  # a code of six digits: not a part of a number, nor of a moment
        return re.search(rf"(?<![\d.]){value}(?!\d)", text) is not None
    return value in text


def _decoded(text: str) -> list[str]:
    """The text as it is, without the escapes of addresses, and what base64 in it holds."""
    found = [text, unquote(text)] if "%" in text else [text]
    for part in set(re.findall(r"[A-Za-z0-9+/_-]{24,}={0,2}", text)):
        try:
            found.append(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode())
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found


# --- tables ------------------------------------------------------------------------------------------------------------


def columns_with(find: Callable[[str], set[str]]) -> dict[str, set[str]]:
    """What `find` finds in each column of each table of the database, ours and others', as `table.column`."""
    found: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f'SELECT * FROM "{table}"')
            names = [column.name for column in cursor.description or []]
            for row in cursor.fetchall():
                for name, value in zip(names, row, strict=True):
                    if isinstance(value, str | dict | list | bytes | memoryview) and (seen := find(_text(value))):
                        found.setdefault(f"{table}.{name}", set()).update(seen)
    return found


def _text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- what was answered ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """One answer: to whom, for what address, and all that it says."""

    who: str
    path: str
    answer: HttpResponse

    @property
    def text(self) -> str:
        return "" if self.answer.streaming else self.answer.content.decode(errors="replace")

    @property
    def headers(self) -> str:
        """All but the cookies that are the browser's own."""
        return "\n".join(f"{name}: {value}" for name, value in self.answer.headers.items())

    @property
    def addresses(self) -> Iterator[str]:
        """The address that was asked for, that of a redirect, and every link of the page."""
        yield self.path
        yield self.answer.headers.get("Location", "")
        yield from LINK.findall(self.text)


def record_answers(monkeypatch: pytest.MonkeyPatch) -> list[Answered]:
    """Every answer of Frontdesk from now on; `Client.who` says who asks."""
    found: list[Answered] = []
    plain = Client.request

    def request(self: Client, **given: Any) -> Any:
        answer = plain(self, **given)
        query = given.get("QUERY_STRING", "")
        path = f"{given.get('PATH_INFO', '')}?{query}" if query else str(given.get("PATH_INFO", ""))
        found.append(Answered(getattr(self, "who", "visitor"), path, answer))
        return answer

    monkeypatch.setattr(Client, "request", request)
    return found


def shape(path: str) -> str:
    """An address without its ids, tokens and query, such as /admin/core/job/…/change/."""
    return re.sub(r"/[^/]*\d[^/]*(?=/)", "/…", path.partition("?")[0])
