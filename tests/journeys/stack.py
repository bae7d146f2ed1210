"""The whole stack as `manage.py demo` starts it, once for all browser tests, and an eye on what a page complains about.

    pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]   # one worker, one stack

    def test_somebody_does_something(stack: Stack, visit: Visit) -> None:
        page = visit(width=1440)
        page.goto(f"{stack.site}/onboarding/")

With `pytestmark = [pytest.mark.browser, BOTH]` a test runs twice: on the stand-in, and, as a long test, on a stack whose Keycloak
is real.
Web, worker and sandbox are real processes on free ports; the database is one of its own on the tests' server.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, override
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, expect
from psycopg import sql

from apps.sandbox.run import keycloak_realm
from apps.sandbox.run.demo import Demo
from apps.sandbox.run.demo_keycloak import RealKeycloak
from apps.sandbox.run.servers import free_port
from apps.sandbox.walk import Walk
from tests import prepared
from tests.contract.servers import Server
from tests.sandbox.keycloak_fixture import Standin

PATIENCE_SECONDS = 60
STAFF, PASSWORD = "admin.ada", "correct horse battery"
expect.set_options(timeout=20_000)  # the machine may be busy
BOTH = pytest.mark.parametrize(
    "stack",
    [
        pytest.param("standin", marks=pytest.mark.xdist_group("stack")),
        pytest.param("keycloak", marks=pytest.mark.xdist_group("keycloak")),
    ],
    indirect=True,
)


class Stack(Demo):
    """A running demo, and what one can ask its sandbox."""

    def mail(self, to: str, word: str, *, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The newest mail to `to` whose subject has `word`, as soon as it is there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            inbox = requests.get(f"{self.sandbox}/inbox.json", params={"to": to}, timeout=10).json()
            for mail in inbox:
                if word.lower() in mail["subject"].lower():
                    return dict(mail)
            time.sleep(0.2)
        raise AssertionError(f"No mail about “{word}” to {to}: {[one['subject'] for one in inbox]}")

    def now(self) -> int:
        """The time by the clock of the stack, in whole seconds."""
        offset = Path(self.env["CLOCK_OFFSET_FILE"])
        return int(time.time() + int(offset.read_text() if offset.exists() else 0))

    def code(self, to: str) -> str:
        """The six digits that prove a mailbox."""
        return re.findall(r"\b\d{6}\b", self.mail(to, "code")["text"])[0]

    def at_keycloak(self) -> Standin:
        """The stack's Keycloak, as its operator sees it."""
        found = Standin(self.sandbox)
        found.at(self.env["KEYCLOAK_SERVER_URL"], self.env["KEYCLOAK_REALM"])
        return found

    def walk_of_somebody(self) -> Walk:
        """Somebody new, who walks over HTTP."""
        return Walk(self.site, self.sandbox, self.env["KEYCLOAK_SERVER_URL"], self.env["KEYCLOAK_REALM"])


class RealmOfOurs(RealKeycloak):
    """The run's one real Keycloak, in which this stack has a realm of its own."""

    def __init__(self, server: Server, site: str) -> None:
        super().__init__(folder=Path("/nowhere"), port=0, site=site)
        self.server, self.mail_port = server, free_port()
        self.values["KC_SMTP_PORT"] = str(self.mail_port)

    @property
    @override
    def ports(self) -> tuple[int, ...]:
        return (self.mail_port,)

    @override
    def made_for_others(self) -> bool:
        return False

    @override
    def start(self, *, clock: Path) -> dict[str, str]:
        at = self.server.keycloak, self.server.login
        realm = keycloak_realm.make(*at, self.values)
        self._running.callback(keycloak_realm.remove, *at, realm)
        return {"KEYCLOAK_SERVER_URL": self.server.keycloak, "KEYCLOAK_REALM": realm}


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Stack:
    """The demo on the stand-in; for tests that are marked BOTH also on a real Keycloak. All come from one address: the
    rate limits begin anew with each test."""
    found: Stack = request.getfixturevalue(f"{getattr(request, 'param', 'standin')}_stack")
    with prepared.connect(found.env["POSTGRES_DB"]) as connection:
        connection.execute("DELETE FROM core_ratelimit")
    return found


@pytest.fixture
def customer(stack: Stack) -> Walk:
    """Somebody who has signed up and paid, over HTTP."""
    walk = Walk(stack.site, stack.sandbox)
    walk.sign_up()
    walk.gets_account()
    return walk


@pytest.fixture(scope="session")
def standin_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running("stack", tmp_path_factory.mktemp("stack")) as one:
        yield one


@pytest.fixture(scope="session")
def keycloak_stack(tmp_path_factory: pytest.TempPathFactory, keycloak_process: Server) -> Iterator[Stack]:
    with running("real", tmp_path_factory.mktemp("real"), keycloak_process) as one:
        yield one


@contextlib.contextmanager
def running(
    name: str, data: Path, keycloak: Server | None = None, variables: dict[str, str] | None = None
) -> Iterator[Stack]:
    """The demo with its data in `data`; stopped, and its database dropped, at the end."""
    database = f"test_frontdesk_{os.environ[prepared.RUN]}_{name}"
    with prepared.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(database), sql.Identifier(os.environ[prepared.TEMPLATE])
        ))  # fmt: skip
    where = {key: os.environ[key] for key in ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD")}
    where["POSTGRES_DB"] = database
    one = Stack(data=data, port=free_port(), sandbox_port=free_port(), database=where, variables=variables)
    if keycloak is not None:
        one.keycloak = RealmOfOurs(keycloak, one.site)
    try:
        one.claim()
        one.start()
        yield one
    finally:
        one.stop()
        with prepared.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


@dataclass
class Complaints:
    """Everything a browser says is wrong with our pages: errors, broken rules (CSP), requests that fail.

    A real Keycloak's own pages are not ours: what they say (`not_ours` is how their addresses begin) is not heard. Nor are refusals
    at the paths `refusing`, which the test is about.
    """

    not_ours: str = ""
    refusing: set[str] = field(default_factory=set)
    found: list[str] = field(default_factory=list)

    def listen(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self._say(error.page.url, f"exception: {error.error}"))
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def _say(self, url: str, what: str) -> None:
        if not (self.not_ours and url.startswith(self.not_ours)) and urlsplit(url).path not in self.refusing:
            self.found.append(what)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            url = message.location.get("url", "")
            self._say(url, f"{message.type}: {message.text} ({url})")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the browser's own doing, when a page is left
            self._say(request.url, f"failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self._say(response.url, f"answered {response.status}: {response.request.method} {response.url}")


class Visit(Protocol):
    """Opens a browser of a person; nobody else's cookies."""

    def __call__(self, *, width: int, height: int = 900, dark: bool = False, locale: str = "en-GB") -> Page: ...


@pytest.fixture
def visit(new_context: Callable[..., BrowserContext], stack: Stack) -> Iterator[Visit]:
    """At the end of the test none of the browsers may have had anything to complain about."""
    yield from visits(new_context, Complaints(stack.env["KEYCLOAK_SERVER_URL"] if stack.keycloak else ""))


def visits(new_context: Callable[..., BrowserContext], complaints: Complaints) -> Iterator[Visit]:
    """A way to open browsers; AssertionError at the end with what they complained about."""

    def open_browser(*, width: int, height: int = 900, dark: bool = False, locale: str = "en-GB") -> Page:
        context = new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=width < 600,
            locale=locale,
        )
        complaints.listen(context)
        return context.new_page()

    yield open_browser
    assert not complaints.found, "\n".join(complaints.found)


def reload(page: Page) -> Response | None:
    """As a person does, who sees the page before: Chromium refuses it while a document is still taking another's place."""
    page.wait_for_load_state("load")
    return page.reload()


class Album:
    """The pages of a journey, each no wider than its window; with `--screenshot on` their pictures, numbered, below
    pytest-playwright's output folder, for somebody to look at."""

    def __init__(self, folder: Path, name: str, *, kept: bool) -> None:
        self.folder, self.name, self.count, self.kept = folder / "journeys", name, 0, kept

    def take(self, page: Page, what: str) -> None:
        """A picture of the whole page, which must not be wider than the window."""
        self.count += 1
        if self.kept:
            self.folder.mkdir(parents=True, exist_ok=True)
            page.screenshot(
                path=self.folder / f"{self.name}-{self.count:02}-{what}.png",
                full_page=True,
                animations="disabled",
            )
        widths = "document.body && [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        wide, seen = page.wait_for_function(widths).json_value()  # a page that has just been opened has no body yet
        assert wide <= seen, f"{what} is {wide - seen} px too wide at {page.url}"


@pytest.fixture
def album(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Album:
    """Named after the file and the test; those on a real Keycloak say so."""
    file = request.node.path.stem.removeprefix("test_browser_")
    name = f"{file}-{request.node.name.removeprefix('test_').split('[')[0]}"
    real = "stack" in request.fixturenames and request.getfixturevalue("stack").keycloak
    folder, kept = Path(pytestconfig.getoption("--output")).absolute(), pytestconfig.getoption("--screenshot") == "on"
    return Album(folder, f"real-{name}" if real else name, kept=kept)
