"""The browser of the browser tests itself: it starts, reaches loopback and nothing else is in the way; and how it is got."""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page


@pytest.fixture
def greeting() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>Hello</title><link rel=icon href=data:,><h1>Good day</h1>")

        def log_message(self, *args: object) -> None:
            """Keep the output of the tests clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.browser
def test_a_browser_shows_a_page_of_this_machine(page: Page, greeting: str) -> None:
    page.goto(greeting)
    assert page.title() == "Hello"
    assert page.get_by_role("heading").inner_text() == "Good day"


# A machine without any Chromium: no command is known, Playwright has downloaded none and cannot, `apt` does what is put there.
BARE = """
import sys
from tests import browser
browser.COMMANDS = ("a-chromium",)
browser.PLAYWRIGHT = ((sys.executable, "-c", "raise SystemExit('Error: the download failed')"),)
browser.APT = (("true",), ("sh", "-c", {apt!r}))
browser.os.geteuid = lambda: 0
try:
    print(browser.find_or_install())
except browser.NoBrowserError as error:
    print(error)
"""


def found_on_a_bare_machine(folder: Path, apt: str) -> str:
    """What is found, or why nothing is. In a process of its own: Playwright runs in ours."""
    more = {"PLAYWRIGHT_BROWSERS_PATH": str(folder / "none"), "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", BARE.format(apt=apt)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, env=os.environ | more, capture_output=True, text=True, check=True)
    return done.stdout


def test_where_playwright_cannot_download_one_apt_installs_it(tmp_path: Path) -> None:
    chromium = tmp_path / "a-chromium"
    installs = f"printf '#!/bin/sh\\necho Chromium 1\\n' > {chromium}; chmod +x {chromium}"
    assert found_on_a_bare_machine(tmp_path, installs) == f"{chromium}\n"


def test_where_neither_works_one_line_says_why(tmp_path: Path) -> None:
    said = found_on_a_bare_machine(tmp_path, "echo Reading lists; echo 'E: no such package' >&2; exit 100")
    assert said.count("\n") == 1
    assert said.startswith("No Chromium: ")
    assert "Error: the download failed" in said
    assert "E: no such package" in said
