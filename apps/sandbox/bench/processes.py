"""Processes beside the benchmark's own: started, asked over HTTP, and their CPU read from /proc."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from django.conf import settings

from apps.core.models import Heartbeat
from apps.core.process_lifetime import stopped_with_parent
from apps.sandbox.bench.rows import execute
from apps.sandbox.run.postgres_programs import PostgresError
from apps.sandbox.run.servers import WEB, WEB_APPLICATION

START_SECONDS, STOP_SECONDS = 60, 30


def granian(port: int) -> list[str]:
    """The web server as the image runs it, with one worker and the benchmark's own route."""
    words = f"config.serve {WEB} --port {port} {WEB_APPLICATION}"
    return [sys.executable, "-m", *words.split()]


@contextlib.contextmanager
def running(
    command: list[str], *, ready: Callable[[], bool], extra: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process, once it is ready; it is stopped at the end."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(  # noqa: S603  (our own commands)
        command, cwd=settings.BASE_DIR, env=os.environ | (extra or {}), stdin=quiet, stdout=quiet, stderr=quiet,
        preexec_fn=stopped_with_parent,  # noqa: PLW1509  (one call into libc; we have no threads)
    )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise PostgresError(f"{' '.join(command[:4])} does not start.")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def accepts(port: int) -> Callable[[], bool]:
    """Whether something listens there."""

    def ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ready


@contextlib.contextmanager
def worker(count: int = 2) -> Iterator["subprocess.Popen[bytes]"]:
    """`manage.py worker` with so many processes that run jobs; the first of them has run something."""
    Heartbeat.objects.all().delete()
    with running(
        [sys.executable, "manage.py", "worker"], ready=_has_run, extra={"WORKER_PROCESSES": str(count)}
    ) as process:
        yield process


def _has_run() -> bool:
    return Heartbeat.objects.exclude(name="worker").exists()


class Peer:
    """One kept-alive connection to a web server."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self, path: str, body: bytes, signature: str) -> None:
        """LookupError unless the answer is 200."""
        headers = {"Content-Type": "application/json", "Stripe-Signature": signature}
        self.connection.request("POST", path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise LookupError(f"{path} answered {answer.status}: {text[:200]!r}")


def cpu_of(*roots: int) -> float:
    """Seconds of CPU that these processes and all below them have used so far; 0 where /proc does not tell."""
    parents, seconds = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            threads = [int(one.read_text().split()[0]) for one in (entry / "task").glob("*/schedstat")]
            seconds[int(entry.name)] = sum(threads) / 1e9
    wanted = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return sum(seconds.get(pid, 0.0) for pid in wanted)


def postmaster() -> int:
    """The process of the Postgres server, whose children serve the connections."""
    return int(execute("SELECT pg_read_file('postmaster.pid')")[0][0].split()[0])
