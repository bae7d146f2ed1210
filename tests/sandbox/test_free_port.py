"""Ports that tests and the demo give to servers: nobody else takes one between the giving and the server's start."""

import socket
import subprocess
import sys
from pathlib import Path

from apps.sandbox.run.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_no_port_is_given_twice_not_even_to_another_process() -> None:
    asks = (
        "from apps.sandbox.run.servers import free_port\nprint(*[free_port() for _ in range(200)], flush=True)\ninput()"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", asks], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        ours = [free_port() for _ in range(200)]
        theirs = [port for other in others if other.stdout for port in map(int, other.stdout.readline().split())]
    finally:
        for other in others:
            other.communicate("\n")
    assert len(theirs) == 400
    assert len({*ours, *theirs}) == 600


def test_a_connection_of_the_kernels_choice_never_takes_one() -> None:
    first = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32_768
    assert all(free_port() < first for _ in range(50))


def test_a_server_can_listen_on_it() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
