"""The browser of the browser tests itself: it starts, reaches loopback and nothing else is in the way."""

import http.server
import threading
from collections.abc import Iterator

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
