"""The sandbox as its users meet it: a process on a port of its own, emptied before each test."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.sandbox.run.servers import free_port
from tests.sandbox.stripe_fixture import receiver, shop  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base address of a running sandbox, one per test worker."""
    port = free_port()
    log = tmp_path_factory.mktemp("sandbox") / "log"
    arguments = [sys.executable, "-m", "apps.sandbox", "--port", str(port)]
    with log.open("w") as out:
        environment = {**os.environ, "SANDBOX_BASE_URL": f"http://127.0.0.1:{port}"}
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=out, stderr=out)
    base = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"The sandbox did not start:\n{log.read_text()}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                break
        except OSError:
            time.sleep(0.05)
    yield base
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)


@pytest.fixture
def sandbox(sandbox_process: str) -> str:
    """The running sandbox's base address, as empty as after its start."""
    post_json(f"{sandbox_process}/control/reset", {})
    return sandbox_process


def post_json(url: str, body: object) -> tuple[int, dict]:
    """POST JSON, status and answer."""
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), method="POST", headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read() or b"{}")
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, {"text": text.decode(errors="replace")}
