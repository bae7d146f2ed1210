"""The whole stack as `manage.py demo` starts it, once for all browser tests, and an eye on what a page complains about.

    pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]   # one worker, one stack

    def test_somebody_does_something(stack: Stack, visit: Visit) -> None:
        page = visit(width=1440)
        page.goto(f"{stack.site}/onboarding/")

Web, worker and sandbox are real processes on free ports; the database is one of its own on the tests' server.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, expect
from psycopg import sql

from config.demo import Demo
from tests import prepared
from tests.sandbox.keycloak_fixture import free_port

PATIENCE_SECONDS = 60
STAFF, PASSWORD = "admin.ada", "correct horse battery"
expect.set_options(timeout=20_000)  # the machine may be busy


class Stack(Demo):
    """A running demo, and what one can ask its sandbox."""

    def mail(self, to: str, word: str) -> dict[str, Any]:
        """The newest mail to `to` whose subject has `word`, as soon as it is there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            inbox = requests.get(f"{self.sandbox}/inbox.json", params={"to": to}, timeout=10).json()
            for mail in inbox:
                if word.lower() in mail["subject"].lower():
                    return dict(mail)
            time.sleep(0.2)
        raise AssertionError(f"No mail about “{word}” to {to}: {[one['subject'] for one in inbox]}")

    def code(self, to: str) -> str:
        """The six digits that prove a mailbox."""
        return re.findall(r"\b\d{6}\b", self.mail(to, "code")["text"])[0]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The demo with its data in a temporary folder; stopped, and its database dropped, at the end."""
    name = f"test_frontdesk_{os.environ[prepared.RUN]}_stack"
    with prepared.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(os.environ[prepared.TEMPLATE])
        ))  # fmt: skip
    database = {
        key: os.environ[key] for key in ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD")
    }
    running = Stack(
        data=tmp_path_factory.mktemp("stack"),
        port=free_port(),
        sandbox_port=free_port(),
        database=database | {"POSTGRES_DB": name},
    )
    try:
        running.claim()
        running.start()
        yield running
    finally:
        running.stop()
        with prepared.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass
class Complaints:
    """Everything a browser says is wrong with our pages: errors, broken rules (CSP), requests that fail."""

    found: list[str] = field(default_factory=list)

    def listen(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.found.append(f"exception: {error.error}"))
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.found.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the browser's own doing, when a page is left
            self.found.append(f"failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.found.append(f"answered {response.status}: {response.request.method} {response.url}")


class Visit(Protocol):
    """Opens a browser of a person; nobody else's cookies."""

    def __call__(self, *, width: int, height: int = 900, dark: bool = False) -> Page: ...


@pytest.fixture
def visit(new_context: Callable[..., BrowserContext]) -> Iterator[Visit]:
    """At the end of the test none of the browsers may have had anything to complain about."""
    complaints = Complaints()

    def open_browser(*, width: int, height: int = 900, dark: bool = False) -> Page:
        context = new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=width < 600,
            locale="en-GB",
        )
        complaints.listen(context)
        return context.new_page()

    yield open_browser
    assert not complaints.found, "\n".join(complaints.found)


class Album:
    """Screenshots of a journey, numbered, below pytest-playwright's output folder; each checks the page's width."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.count = folder / "journeys", name, 0

    def take(self, page: Page, what: str) -> None:
        """A picture of the whole page, which must not be wider than the window."""
        self.count += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(
            path=self.folder / f"{self.name}-{self.count:02}-{what}.png",
            full_page=True,
            animations="disabled",
        )
        wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= seen, f"{what} is {wide - seen} px too wide at {page.url}"


@pytest.fixture
def album(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Album:
    """Named after the test."""
    return Album(
        Path(pytestconfig.getoption("--output")).absolute(),
        request.node.name.removeprefix("test_").split("[")[0],
    )
