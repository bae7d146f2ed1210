"""Between our client and a Keycloak: whatever can go wrong on the way, in front of a server that does nothing wrong."""

import http.server
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, override

import requests

LEFT_OUT = {"connection", "content-length", "transfer-encoding", "content-encoding", "keep-alive", "server", "date"}


@dataclass
class Trouble:
    """What happens to calls of `method` whose path contains `path`: the first `times` of them (0: all)."""

    how: str  # down, lost, slow, empty, or a status
    method: str = ""
    path: str = "/admin/"
    times: int = 0

    def takes(self, method: str, path: str) -> bool:
        return self.method in {"", method} and self.path in path


class Proxy:
    """Passes everything on, apart from what `trouble` touches."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.trouble = upstream, None
        self.lock, self.touched = threading.Lock(), 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    trouble: Trouble | None

    def make(self, how: str, **more: Any) -> None:
        self.trouble, self.touched = Trouble(how, **more), 0

    def mend(self) -> None:
        self.trouble = None

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def taken(self, method: str, path: str) -> str:
        """What happens to this call; empty: nothing."""
        with self.lock:
            trouble = self.trouble
            if trouble is None or not trouble.takes(method, path):
                return ""
            self.touched += 1
            return trouble.how if not trouble.times or self.touched <= trouble.times else ""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection of our client's."""

    proxy: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits 40 ms for its headers to be acknowledged

    @override
    def setup(self) -> None:
        super().setup()
        self.onward = requests.Session()
        self.onward.trust_env = False

    @override
    def finish(self) -> None:
        self.onward.close()
        super().finish()

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        how = self.proxy.taken(self.command, self.path)
        if how == "down":
            self.cut()
        elif how.isdecimal():
            self.answer(int(how), {"Content-Type": "application/json"}, b'{"error":"unknown_error"}')
        else:
            if how == "slow":
                time.sleep(5)
            given = self.ask(body)
            if how == "lost":
                self.cut()
            elif how == "empty" and given.content.startswith(b"["):
                self.answer(200, {"Content-Type": "application/json"}, b"[]")
            else:
                self.answer(given.status_code, dict(given.headers), given.content)

    do_GET = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815  (the library's names)

    def ask(self, body: bytes) -> requests.Response:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {*LEFT_OUT, "host"}}
        return self.onward.request(
            self.command,
            self.proxy.upstream + self.path,
            headers=headers,
            data=body or None,
            allow_redirects=False,
            timeout=30,
        )

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in LEFT_OUT:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    @override
    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # a connection that was cut
            return
