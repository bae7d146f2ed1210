"""The web server as the image's CMD starts it, on the test's database, and visitors who send slowly."""

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests
from django.db import connection

from apps.sandbox.run.servers import free_port
from tests.image.dockerfile import parse

ROOT = Path(__file__).resolve().parents[2]
PROMPT = 2  # seconds within which everybody else is answered


@contextlib.contextmanager
def running(log: Path, **environment: str) -> Iterator[int]:
    """The server with the flags of the Dockerfile; its port, once it answers."""
    port = free_port()
    command = parse((ROOT / "Dockerfile").read_text())[-1].last("CMD")
    assert command is not None
    flags = re.sub(r".*python -m config\.serve", "", command.words()[2])
    flags = flags.replace("0.0.0.0", "127.0.0.1").replace("--port 8000", f"--port {port}")
    shared = log.parent / "prometheus"
    shared.mkdir()
    ours = {
        "POSTGRES_DB": connection.settings_dict["NAME"], "DJANGO_SETTINGS_MODULE": "config.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(shared),
    }  # fmt: skip
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "config.serve", *flags.split()], cwd=ROOT, env=os.environ | ours | environment,
            stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: answers(port), "the server answers")
        yield port
    finally:
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:  # it waits half a minute for connections that nobody closes
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(60)


def wait_until(true: object, what: str, *, seconds: int = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def answers(port: int, path: str = "/health/live") -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=PROMPT).status_code == 200
    return False


def count_threads(port: int) -> int:
    """Of all processes of the server, as a container's `pids_limit` counts them."""
    listening = [one.pid for one in psutil.net_connections("tcp") if one.status == "LISTEN" and one.laddr.port == port]
    session = {os.getsid(pid) for pid in listening if pid}
    return sum(one.num_threads() for one in psutil.process_iter() if os.getsid(one.pid) in session)


def begin(
    port: int, path: str, *, headers: str = "Content-Length: 1000", sent: bytes = b"{", address: str = "127.0.0.1"
) -> socket.socket:
    """A connection that sends its request's head and a little of its body, and then nothing."""
    made = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(address, 0))
    made.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n".encode() + sent)
    return made


def answer_of(made: socket.socket) -> tuple[int, bytes]:
    """Status and everything else that arrives until the other side closes, or two seconds pass."""
    made.settimeout(10)
    found = made.recv(65536)
    made.settimeout(PROMPT)
    with contextlib.suppress(TimeoutError):
        while more := made.recv(65536):
            found += more
    return int(found.split(b" ", 2)[1]), found


def answered(connections: list[socket.socket]) -> list[socket.socket]:
    """Those on which something has arrived."""
    with selectors.DefaultSelector() as waiting:
        for one in connections:
            waiting.register(one, selectors.EVENT_READ, one)
        return [key.data for key, _ in waiting.select(0)]


@contextlib.contextmanager
def holding(connections: list[socket.socket]) -> Iterator[list[socket.socket]]:
    try:
        yield connections
    finally:
        for one in connections:
            one.close()


def slow_phone(port: int, path: str, body: dict[str, str], *, address: str = "127.0.0.1") -> tuple[int, bytes]:
    """An honest visitor on a bad line: the body comes in small parts over a second."""
    text = json.dumps(body).encode()
    headers = f"Content-Length: {len(text)}\r\nContent-Type: application/json\r\nConnection: close"
    phone = begin(port, path, headers=headers, sent=b"", address=address)
    for at in range(0, len(text), 8):
        time.sleep(0.05)
        phone.sendall(text[at : at + 8])
    with phone:
        return answer_of(phone)
