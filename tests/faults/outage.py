"""A whole running Frontdesk on a Postgres of its own, which tests stop as a power cut would, and a load on its webhook."""

import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import requests
import stripe

from apps.sandbox.run import postgres
from apps.sandbox.run.demo import Demo
from apps.sandbox.run.postgres_programs import program, run
from apps.sandbox.run.servers import free_port
from tests import prepared

WEBHOOK = "/onboarding/webhook/"
PATIENCE_SECONDS = 60
DATABASE = "frontdesk"


class Stack(Demo):
    """A demo whose Postgres can be cut off."""

    def ask(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the running database; none for a statement that gives none."""
        host = self.env["POSTGRES_HOST"]
        with psycopg.connect(host=host, user=postgres.NAME, dbname=DATABASE, autocommit=True) as connection:
            cursor = connection.execute(question, values or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def cut(self) -> None:
        """Stop Postgres at once: no checkpoint, nothing more is written."""
        home = self.data / "postgres"
        elsewhere = home / "elsewhere"
        cluster = ((elsewhere if elsewhere.exists() else home) / "cluster").resolve()
        run(program("pg_ctl", cluster.parent), "stop", "-mimmediate", cluster=cluster)

    def back(self) -> float:
        """Start it again; the seconds from then on until the site is ready."""
        postgres.start(self.data / "postgres")
        began = time.monotonic()
        wait_for(self.ready, what="the site ready")
        return time.monotonic() - began

    def ready(self) -> bool:
        """Whether the site says of its database that it is well."""
        answer = requests.get(f"{self.site}/health/", timeout=10)
        return bool(answer.json()["parts"]["database"] == "ok")

    def now(self) -> int:
        """The time by the clock of the stack, in whole seconds."""
        offset = Path(self.env["CLOCK_OFFSET_FILE"])
        return int(time.time() + int(offset.read_text() if offset.exists() else 0))

    def pass_time(self, seconds: int) -> None:
        """Move the clock of the whole stack."""
        requests.post(f"{self.sandbox}/control/clock", json={"advance_seconds": seconds}, timeout=60).raise_for_status()


@contextmanager
def running(root: Path | None = None) -> Iterator[Stack]:
    """A stack with all of it, in a folder that Postgres' own account can reach; nothing of it is left.

    `root`: a checkout of another release, which makes its own tables.
    """
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-outage-", dir="/var/tmp"))
    folder.chmod(0o755)
    stack = Stack(data=folder, port=free_port(), sandbox_port=free_port())
    try:
        stack.claim()
        host = postgres.start(folder / "postgres")
        if root is None:
            copy_template(host)
        else:
            stack.root = root
        stack.start()
        yield stack
    finally:
        stack.stop()
        postgres.stop(folder / "postgres", remove=True)
        shutil.rmtree(folder)


def copy_template(host: str) -> None:
    """Give the server at `host` the tables of the tests' own, which takes a tenth of what migrating does."""
    source = {f"PG{name}": os.environ[f"POSTGRES_{name}"] for name in ("HOST", "PORT", "USER", "PASSWORD")}
    dump, load = (program(name, Path("none")) for name in ("pg_dump", "psql"))
    dumped = subprocess.run(
        [dump, "--no-owner", os.environ[prepared.TEMPLATE]], env=source, check=True, stdout=subprocess.PIPE
    ).stdout
    command = [load, "-qX", "-v", "ON_ERROR_STOP=1", "-h", host, "-U", postgres.NAME, DATABASE]
    subprocess.run(command, env={}, check=True, input=dumped, stdout=subprocess.DEVNULL)


class Load:
    """Clients who post signed events as Stripe does, one after the other, and note what was answered.

    `pause`: seconds between two of one client; 0: as fast as they are answered.
    """

    def __init__(self, stack: Stack, objects: list[dict[str, Any]], *, clients: int = 4, pause: float = 0) -> None:
        self.stack, self.objects, self.pause = stack, objects, pause
        self.name, self.numbers = uuid.uuid4().hex[:12], itertools.count(1)
        self.answers: dict[str, requests.Response | None] = {}
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._client) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def acknowledged(self) -> set[str]:
        """The ids of the events that were answered with 2xx: Stripe will not send them again."""
        return {name for name, answer in self.answers.copy().items() if answer is not None and answer.ok}

    def _client(self) -> None:
        with requests.Session() as session:
            while not self.over.is_set():
                number = next(self.numbers)
                self._post(session, f"evt_{self.name}_{number:06}", self.objects[number % len(self.objects)])
                self.over.wait(self.pause)

    def _post(self, session: requests.Session, name: str, about: dict[str, Any]) -> None:
        now = self.stack.now()
        body = json.dumps(event(name, about, now))
        secret = self.stack.env["STRIPE_WEBHOOK_SECRET"]
        header = stripe.WebhookSignature.generate_signature_header(body, secret, now)
        headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
        try:
            self.answers[name] = session.post(self.stack.site + WEBHOOK, body, headers=headers, timeout=30)
        except requests.ConnectionError:
            self.answers[name] = None
            time.sleep(0.05)


def event(name: str, about: dict[str, Any], now: int) -> dict[str, Any]:
    """An event of Stripe's that says `about` was changed just now."""
    return {
        "id": name,
        "object": "event",
        "api_version": "2026-08-26.dahlia",
        "created": now,
        "livemode": False,
        "type": f"{about['object']}.updated",
        "data": {"object": about},
    }


def wait_for(condition: Any, *, what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `condition` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"Not within {seconds} s: {what}")
