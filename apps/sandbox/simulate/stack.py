"""The running system of a simulation: real processes, a clock that is moved, and ways to hurt them.

Promises: nothing outside its folder and ports is touched; `finish_work` returns when nothing is left to do, or raises.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, override

import psutil
import requests

from apps.sandbox.run import postgres
from apps.sandbox.run.demo import Demo, DemoError
from apps.sandbox.run.demo_keycloak import RealKeycloak
from apps.sandbox.run.postgres_programs import program, run
from apps.sandbox.run.servers import free_port

PATIENCE_SECONDS = 180  # real ones, for the work of one step
LONGEST_ROUNDS = 60  # how often the clock is moved on to the next retry
VARIABLES = {
    "SANDBOX_SAVE_SECONDS": "86400",  # the state of a year is large: it is saved when asked
    "PAYMENT_GRACE_DAYS": "6",
    "FINAL_EXPIRY_DAYS": "30",
    "MAILBOX_PROVIDERS": "example.com",  # everybody who signs up here
    "CHECKOUT_RUSH": "1000",
    "SEATS_UNPAID_SHARE": "100",
    "SEATS_UNPAID_PER_NETWORK": "100",
    "KEYCLOAK_CANARY_USERNAME": "stranger.stan",
    "LOG_LEVEL": "ERROR",
}


class StuckError(Exception):
    """Work does not end; the message says what is left."""


class SimulatedStack(Demo):
    """Postgres, sandbox, web and workers in `folder`; `settings` is the settings module of web and workers.

    `fill` gets the socket directory of the new Postgres, before anybody else uses it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: str,
        real_keycloak: bool = False,
        ports: tuple[int, int] | None = None,
        fill: Callable[[str], None] | None = None,
    ) -> None:
        variables = VARIABLES | {"DJANGO_SETTINGS_MODULE": settings, "PYTHONWARNINGS": "ignore"}
        port, sandbox_port = ports or (free_port(), free_port())
        super().__init__(data=folder, port=port, sandbox_port=sandbox_port, variables=variables)
        self.fill = fill
        self.postgres_options = postgres.UNSYNCED  # what is cut off here is Postgres, never the machine
        if real_keycloak:
            self.keycloak = RealKeycloak(folder=folder / "keycloak", port=free_port(), site=self.site)
        self.session = requests.Session()

    @override
    def _postgres(self) -> dict[str, str]:
        found = super()._postgres()
        if self.fill:
            self.fill(found["POSTGRES_HOST"])
        return found

    def set_django_up(self) -> None:
        """Point this process at the same database and stand-ins; from now on the ORM may be imported."""
        os.environ.update(self.env | {"DJANGO_SETTINGS_MODULE": "config.settings"})
        import django

        django.setup()

    def control(self, path: str, /, **options: Any) -> dict[str, Any]:
        """Ask one of the sandbox's own switches."""
        answer = self.session.post(f"{self.sandbox}/control/{path}", json=options, timeout=600)
        answer.raise_for_status()
        return dict(answer.json())

    def now(self) -> int:
        """The time in Frontdesk's and Stripe's world, in whole seconds."""
        from apps.core import clock

        return clock.timestamp()

    def advance(self, seconds: int) -> None:
        """Move everybody's clock; what is due at Stripe on the way happens."""
        self.control("clock", advance_seconds=seconds)

    # --- waiting until nothing is left to do --------------------------------------------------------------------------

    def finish_work(self, *, retries: bool = False) -> None:
        """Wait until all events are delivered and no job is due; with `retries` move on to each retry, too."""
        for _ in range(LONGEST_ROUNDS):
            self._wait_until_idle()
            later = self._next_retry() if retries else None
            if later is None:
                return
            self.advance(max(1, int(later - self.now()) + 1))
        raise StuckError(f"After {LONGEST_ROUNDS} retries there is still work: {self.describe_work()}")

    def _wait_until_idle(self) -> None:
        """One look is not enough: an event may be on its way from Stripe to the queue."""
        deadline, calm, swept = time.monotonic() + PATIENCE_SECONDS, 0, 0.0
        while calm < 2:
            self._check()
            if time.monotonic() > deadline:
                raise StuckError(f"Work does not end within {PATIENCE_SECONDS} s: {self.describe_work()}")
            if time.monotonic() - swept > 1:
                swept = time.monotonic()
                _guarded(self._sweep)
            calm = calm + 1 if _guarded(self._is_idle) and self._deliver() else 0
            time.sleep(0.05)

    def _deliver(self) -> bool:
        """Let Stripe's stand-in send what waits, unless it holds its events back; whether nothing is left."""
        mode = self.session.get(f"{self.sandbox}/control/webhooks", timeout=60).json()["mode"]
        if mode == "hold":
            return True
        return not self.control("webhooks/flush")["failed"]

    @staticmethod
    def _sweep() -> bool:
        """What the worker does every five seconds."""
        from apps.core import sweep
        from apps.core.wake_ups import wake_up

        sweep.sweep()
        wake_up()
        return True

    @staticmethod
    def _is_idle() -> bool:
        from apps.core import clock
        from apps.core.models import Job

        due = Job.objects.filter(state=Job.State.QUEUED, not_before__lte=clock.now())
        return not (due.exists() or Job.objects.filter(state=Job.State.RUNNING).exists())

    @staticmethod
    def _next_retry() -> float | None:
        """When the first job is tried again that failed, or that waits for a system that was down."""
        from django.db.models import Min, Q

        from apps.core.models import Job

        again = Job.objects.filter(Q(attempts__gt=0) | ~Q(parked_on="") | ~Q(last_error=""), state=Job.State.QUEUED)
        first = again.aggregate(first=Min("not_before"))["first"]
        return first.timestamp() if first else None

    @staticmethod
    def describe_work() -> str:
        """What is left to do, for the person at the terminal."""
        from apps.core.models import Job

        left = Job.objects.filter(state__in=Job.UNFINISHED).order_by("not_before")[:10]
        return "; ".join(f"{one.kind} {one.key} {one.state} {one.last_error[:80]}" for one in left) or "events"

    # --- hurting it ---------------------------------------------------------------------------------------------------

    def kill_worker(self, pick: Callable[[list[Any]], Any]) -> str:
        """Kill -9 one process of the cluster that runs jobs; its watchdog lives. What was killed; empty: nothing."""
        found = [each for each in self._site_processes() if "qcluster" in _title(each)]
        if not found:
            return ""
        chosen = pick(sorted(found, key=lambda each: int(each.pid)))
        title = _title(chosen)
        with contextlib.suppress(psutil.NoSuchProcess):
            chosen.kill()
        return title

    def _site_processes(self) -> list[Any]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return list(psutil.Process(self.processes["site"].pid).children(recursive=True))
        return []

    def cut_postgres(self, seconds: float) -> None:
        """Stop Postgres as a power cut would, and start it again after a while."""
        from django.db import connection

        connection.close()
        home = self.data / "postgres"
        elsewhere = home / "elsewhere"
        cluster = ((elsewhere if elsewhere.exists() else home) / "cluster").resolve()
        run(program("pg_ctl", cluster.parent), "stop", "-mimmediate", cluster=cluster)
        time.sleep(seconds)
        postgres.start(self.data / "postgres", options=self.postgres_options)

    def remove(self) -> None:
        """Stop everything and forget it."""
        self.stop()
        postgres.stop(self.data / "postgres", remove=True)


def _title(process: Any) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def _guarded(question: Callable[[], bool]) -> bool:
    """The answer of the database; no, while it is away."""
    from django.db import DatabaseError, connection

    try:
        return question()
    except DatabaseError:
        connection.close()
        return False


__all__ = ["DemoError", "SimulatedStack", "StuckError"]
