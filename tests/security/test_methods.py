"""Methods that nothing here has, over the wire: TRACE, which shows what a script may not read, CONNECT, and made-up ones."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security import nginx, site

pytestmark = pytest.mark.xdist_group("slow senders")
ASKED = [
    *(f"{method} {path}" for method in ("TRACE", "TRACK", "BREW", "PUT", "DELETE", "PROPFIND") for path in ("/", "/onboarding/", "/health/live", "/admin/")),
    "CONNECT example.com:443", "CONNECT /onboarding/",
]  # fmt: skip
SECRET = "a-cookie-that-no-script-may-read"


@pytest.fixture
def web(transactional_db: None, tmp_path: Path) -> Iterator[int]:
    (tmp_path / "web").mkdir()
    with site.running(tmp_path / "web/log", TRUSTED_PROXY_COUNT="1") as port:
        yield port


def answer(port: int, asked: str) -> bytes:
    """All that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as made:
        made.sendall(f"{asked} HTTP/1.1\r\nHost: localhost\r\nCookie: {SECRET}\r\nConnection: close\r\n\r\n".encode())
        found = b""
        while part := made.recv(65536):
            found += part
    return found


def check(port: int) -> None:
    assert answer(port, "GET /health/live").startswith(b"HTTP/1.1 200")
    for asked in ASKED:
        found = answer(port, asked)
        # granian closes a CONNECT without a word
        assert found.split(b" ", 2)[1:2] in ([b"405"], [b"400"], [b"501"]) or not found, asked
        assert SECRET.encode() not in found, asked


def test_the_web_server_refuses_them(web: int) -> None:
    check(web)


def test_the_proxy_refuses_them(web: int, tmp_path: Path) -> None:
    with nginx.running(tmp_path / "nginx", web=web) as proxy:
        check(proxy.ports[8000])
