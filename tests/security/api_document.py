"""The OpenAPI document of the JSON APIs, and requests made from it, sent through the WSGI application of production."""

import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import schemathesis
from django.conf import settings
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, transaction
from django.test import Client
from requests.structures import CaseInsensitiveDict
from schemathesis import Case, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks

from apps.accounts.models import Signup
from apps.core import heartbeats
from tests.billing.door import sign
from tests.storefront.visitor import ACCOUNT, SESSION, Visitor, code_mailed
from tests.test_json_apis import FINGERPRINT, Rows
from tests.world import SECRET, World

FILE = Path(__file__).resolve().parents[2] / "config/openapi.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
WEBHOOK, TOKEN = "/onboarding/webhook/", "c" * 32
CHECKS = [
    schemathesis.checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_headers_conformance, checks.response_schema_conformance,
]  # fmt: skip
# What only the text of an exception, or a debug page, would say.
INSIDES = re.compile(
    r"Traceback|psycopg|Exception\b|[a-z]Error\b|object at 0x|<class '|DETAIL:|Expecting (?:value|property)|line \d+ column"
)
WRITES = re.compile(r'\b(INSERT INTO|UPDATE|DELETE FROM)\s+"?(?!SET\b)(\w+)', re.IGNORECASE)
# What a refused request may write: that it was made, and when its session was used last.
HARMLESS = {("INSERT INTO", "core_ratelimit"), ("UPDATE", "django_session")}


def load() -> Any:
    """schemathesis' reading of the document; who asks is chosen here, by cookies and tokens that are right."""
    refused = {"expected-statuses": ["400", "401", "403", "404", "409", "413", "415", "429"]}
    config = SchemathesisConfig.from_dict(
        {"generation": {"with-security-parameters": False}, "checks": {"negative_data_rejection": refused}}
    )
    return schemathesis.openapi.from_dict(DOCUMENT, config=config)


def look_at(tables: list[str]) -> dict[str, str]:
    """A fingerprint of each of these tables."""
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(FINGERPRINT.format(name) for name in tables))
        return dict(cursor.fetchall())


@dataclass
class Browsers:
    """The Cookie header of somebody at each step, the token in it beside; `nobody` has neither session nor token."""

    cookies: dict[str, str] = field(default_factory=lambda: {"nobody": "", "stranger": f"frontdesk-csrf={TOKEN}"})

    def add(self, name: str, client: Client) -> None:
        key = client.cookies["frontdesk-sid"].value
        self.cookies[name] = f"frontdesk-csrf={TOKEN}; frontdesk-sid={key}"


def browsers_at_every_step(world: World) -> Browsers:
    """Somebody who has begun to sign up, confirmed the address, paid; a subscriber; one who recovers; and strangers."""
    made = Browsers()
    made.add("begun", Visitor().at_checkout().client)
    payer = Visitor().proven("payer@example.com")
    opened = payer.api(SESSION, **ACCOUNT | {"username": "payer"}).json()  # type: ignore[attr-defined]
    world.shop.pay({"url": "", "client_secret": opened["client_secret"]})
    world.deliver()
    made.add("paid", payer.client)
    made.add("proven", Visitor().proven("proven@example.com").client)
    subscriber = Client()
    subscriber.force_login(User.objects.get(profile=world.subscriber("nora")))
    made.add("subscriber", subscriber)
    made.add("recovering", _recovering(world))
    return made


def _recovering(world: World) -> Client:
    gone = world.subscriber("rosa")
    world.shop.v1.subscriptions.cancel(gone.stripe_subscription_id or "")
    world.deliver()
    browser = Visitor()
    browser.api("/recovery/send-code/", email=gone.email)
    proof = {"email": gone.email, "code": code_mailed("recovery_code")}
    assert browser.api("/recovery/verify-code/", **proof).status_code == 200
    world.work()
    return browser.client


class Sender:
    """Sends cases to the application, each into the same database, and judges the answers by the document."""

    def __init__(self, browsers: Browsers) -> None:
        self.browsers, self.application = browsers, WSGIHandler()
        self.rows, self.written = Rows(), set[tuple[str, str]]()
        self.before = self.rows.look()
        self.count, self.refused, self.attempts, self.statuses = 0, 0, 0, dict[tuple[str, int], int]()

    def send(self, case: Case, who: str, *, spoil: "Spoil | None" = None) -> None:
        """One request by somebody; what it changed is undone."""
        prepared = requests.Request(**case.as_transport_kwargs(base_url="http://localhost")).prepare()
        prepared.headers.pop("Cookie", None)
        if spoil is not None:
            spoil.change(prepared)
        point = transaction.savepoint()
        try:
            if case.path == "/health/":
                self.be_well()
            self.written = set()
            with connection.execute_wrapper(self._note):
                answer = self.call(prepared, who)
            self._judge(case, answer, spoiled=spoil is not None)
        finally:
            transaction.savepoint_rollback(point)
            transaction.savepoint_commit(point)  # else each would lie in the one before
        if case.path == SESSION and answer.status_code in {200, 409}:
            self._number_attempts()

    def _number_attempts(self) -> None:
        """What is undone here, Stripe remembers: the next payment is another attempt."""
        self.attempts += 1
        Signup.objects.update(checkout_number=self.attempts)
        self.before = self.rows.look()

    def be_well(self) -> None:
        """A worker has just given a sign of life."""
        for part in ("worker", "cluster"):
            heartbeats.record_heartbeat(part)

    def call(self, prepared: requests.PreparedRequest, who: str) -> Response:
        """The application's answer."""
        body = prepared.body or b""
        body = body.encode() if isinstance(body, str) else body
        path, _, query = (prepared.url or "").removeprefix("http://localhost").partition("?")
        environ = {
            "REQUEST_METHOD": prepared.method, "SCRIPT_NAME": "", "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1",
            "PATH_INFO": requests.utils.unquote(path), "SERVER_NAME": "localhost", "SERVER_PORT": "80", "REMOTE_ADDR": "192.0.2.7",
            "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http", "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0),
            "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False, "CONTENT_LENGTH": str(len(body)),
        }  # fmt: skip
        headers = CaseInsensitiveDict(prepared.headers)
        headers.update({"Host": "localhost", "Accept": "application/json", "Cookie": self.browsers.cookies[who]})
        if who != "nobody":
            headers["X-CSRFToken"] = TOKEN
            headers["Authorization"] = f"Bearer {settings.PROMETHEUS_METRICS_API_KEY}"
            if path == WEBHOOK:
                headers["Stripe-Signature"] = sign(body, SECRET)
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": str(value) for name, value in headers.items()}
        environ["CONTENT_TYPE"] = str(headers.get("Content-Type", ""))
        status, given = 0, dict[str, list[str]]()

        def start(line: str, pairs: list[tuple[str, str]], _info: Any = None) -> None:
            nonlocal status
            status = int(line[:3])
            for name, value in pairs:
                given.setdefault(name.lower(), []).append(value)

        said = self.application(environ, start)
        content = b"".join(said)
        said.close()
        return Response(status, given, content, prepared, elapsed=0, verify=False)

    def _judge(self, case: Case, answer: Response, *, spoiled: bool) -> None:
        status = answer.status_code
        self.count += 1
        key = f"{case.method} {case.path}", status
        self.statuses[key] = self.statuses.get(key, 0) + 1
        judges = CHECKS if spoiled else [*CHECKS, checks.negative_data_rejection]
        case.validate_response(answer, checks=judges)
        assert not INSIDES.search(answer.text) or case.path == "/metrics", answer.text[:300]
        if status >= 400:
            self.refused += 1
            assert ("INSERT INTO", "django_session") not in self.written, case.path
            if self.written - HARMLESS or self.refused % 50 == 0:
                self._look_for_changes(case.path, status)

    def _look_for_changes(self, path: str, status: int) -> None:
        """At the tables that were written, as looking at all takes long; at all now and then."""
        written = {table for _, table in self.written} & self.before.keys()
        now = self.rows.look() if self.refused % 50 == 0 else look_at(sorted(written)) if written else {}
        changed = {name for name, value in now.items() if value != self.before[name]}
        assert not changed, (path, status, changed)

    def _note(self, execute: Any, statement: Any, values: Any, many: bool, context: Any) -> Any:
        self.written |= set(WRITES.findall(str(statement)))
        return execute(statement, values, many, context)


@dataclass(frozen=True)
class Spoil:
    """What goes wrong on the way: the body is cut, its bytes are changed, its type or the method is another one."""

    kind: str
    number: int = 0
    text: str = ""

    def change(self, prepared: requests.PreparedRequest) -> None:
        body = prepared.body or b"{}"
        body = body.encode() if isinstance(body, str) else body
        at = self.number % (len(body) + 1)
        if self.kind == "cut":
            prepared.body = body[:at]
        elif self.kind == "byte":
            prepared.body = body[:at] + bytes([self.number % 256]) + body[at + 1 :]
        elif self.kind == "twice":
            prepared.body = body + body
        elif self.kind == "long":
            prepared.body = body[:-1] + b" " * (16_384 + self.number) + body[-1:]
        elif self.kind == "type":
            prepared.headers["Content-Type"] = self.text
        elif self.kind == "query":
            prepared.prepare_url(prepared.url, {"session_id": self.text})  # type: ignore[arg-type]
