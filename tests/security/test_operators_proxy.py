"""The manual's examples of a TLS proxy, Caddy's and nginx's, each started before the proxy of compose.yml: who asked is known behind both."""

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory

from apps.console import manual
from apps.core.requests import client_address
from apps.sandbox.run.servers import free_port
from tests.security import nginx, site

VISITOR = "127.0.0.77"
HOST = "kunden.example.com"


class Echo(BaseHTTPRequestHandler):
    """In place of web: answers what it was told."""

    def do_GET(self) -> None:
        body = json.dumps(list(self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[int]:
    """The port of compose.yml's proxy, with the echo behind it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with nginx.running(tmp_path / "composed", web=server.server_address[1]) as proxy:
            yield proxy.ports[8000]
        server.shutdown()


def example(sign: str) -> str:
    """The block of the chapter that has this in it."""
    found = re.findall(r"^```text\n(.*?)^```", manual.fill_in("proxy"), re.DOTALL | re.MULTILINE)
    (block,) = (one for one in found if sign in one)
    return block


def caddy(folder: Path, port: int, composed: int) -> list[str]:
    """The command that runs Caddy's example, with a certificate of ours and without asking for one."""
    text = re.sub(
        r"^(\S+) \{",
        rf"https://\1:{port} {{\n    tls {folder}/certificate.pem {folder}/key.pem",
        example("reverse_proxy"),
        flags=re.MULTILINE,
    )
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{composed}")
    (folder / "Caddyfile").write_text(
        f"{{\n    admin off\n    auto_https disable_redirects\n    servers {{\n        protocols h1 h2\n    }}\n}}\n{text}"
    )
    return ["caddy", "run", "--config", str(folder / "Caddyfile")]


def own_nginx(folder: Path, port: int, composed: int) -> list[str]:
    """The same of nginx's example."""
    ports = {"listen 443": f"listen {port}", "listen 80;": f"listen {free_port()};", ":8000": f":{composed}"}
    text = example("listen 443")
    for old, new in ports.items():
        text = text.replace(old, new)
    text = re.sub(r"/etc/letsencrypt/live/[^/]+/fullchain.pem", f"{folder}/certificate.pem", text)
    text = re.sub(r"/etc/letsencrypt/live/[^/]+/privkey.pem", f"{folder}/key.pem", text)
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off;\n{text}}}\n"
    )
    return [
        "nginx",
        "-c",
        str(folder / "nginx.conf"),
        "-e",
        "stderr",
        "-g",
        f"daemon off;{' user root;' * (os.geteuid() == 0)}",
    ]


@contextlib.contextmanager
def started(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """The proxy, for as long as the block runs."""
    program = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin")
    if program is None:
        pytest.skip(f"{command[0]} is not here; .ci/run installs it")
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *command[1:]], env=own, stdout=log, stderr=log)
    try:
        site.wait_until(lambda: process.poll() is not None or nginx.listens(port), "the proxy listens")
        assert process.poll() is None, (folder / "log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def ask(port: int, authority: Path, **headers: str) -> dict[str, str]:
    """What web is told of a request from VISITOR's address."""
    trust = ssl.create_default_context(cafile=str(authority))
    plain = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(VISITOR, 0))
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = trust.wrap_socket(plain, server_hostname=HOST)
    connection.request("GET", "/", headers={"Host": HOST} | headers)
    told: list[list[str]] = json.loads(connection.getresponse().read())
    connection.close()
    return {name.lower(): value for name, value in told}


@pytest.mark.parametrize("kind", [caddy, own_nginx])
def test_who_asked_is_known_behind_both_proxies(kind: Any, composed: int, tmp_path: Path, settings: Any) -> None:
    settings.TRUSTED_PROXY_COUNT = 2
    folder, port = tmp_path / "own", free_port()
    authority = nginx.make_certificate(folder, name=HOST)
    with started(kind(folder, port, composed), folder, port):
        for made_up in (
            {},
            {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"},
        ):
            told = ask(port, authority, **made_up)
            request = RequestFactory().get("/", headers=told)
            assert client_address(request) == VISITOR, told
            assert (told["host"], told["x-forwarded-proto"]) == (HOST, "https")
            assert "evil.example" not in str(told)
