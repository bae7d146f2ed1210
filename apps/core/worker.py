"""The worker under a watchdog: runs django-q2's cluster in a process group of its own and restarts it when it is silent.

django-q2 1.11 stalls for ever when an idle worker process is killed, and a killed parent leaves its children running
(django-q2 issue 23). So the cluster's word that it lives is a beat it has to execute, a restart kills the whole group,
and each of its processes asks Linux to be killed when its parent dies. What such a death interrupts is taken over by the
sweep, which runs here, in the loop a stalled cluster cannot stop.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType

import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django_q.cluster import Cluster
from django_q.tasks import async_task

from apps.core import beats, sweep
from apps.core.children import killed_with_parent

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 5.0
BEAT_SECONDS = 10.0
# Silence of a cluster that runs no job. One that does may be silent for the time a job is allowed in addition.
SILENT_SECONDS = 40.0
RESTART_SECONDS = 5.0  # a cluster that cannot even start is not tried more often
START_SECONDS = 30.0  # allowed in addition until the first beat after a start
IDLE_STOP_SECONDS = 10.0  # a cluster that was told to stop and runs no job for so long is stalled
STOP_SECONDS = settings.JOB_TIMEOUT_SECONDS + 15.0


class Watchdog:
    """The life of one `manage.py worker`: a cluster, the loop that watches it, and its graceful end."""

    def __init__(self, *, silent_after: float = SILENT_SECONDS) -> None:
        self.silent_after = silent_after
        self.stopping = False
        self.cluster = self._start()

    def watch(self) -> None:
        """Loop until told to stop; then let the cluster finish what it runs."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        beat_seconds = min(BEAT_SECONDS, self.silent_after / 3)
        every = {self._sweep: SWEEP_SECONDS, self._ask: beat_seconds, self._check: 1.0}
        due = dict.fromkeys(every, 0.0)
        while not self.stopping:
            for task, period in every.items():
                if time.monotonic() >= due[task]:
                    due[task] = time.monotonic() + period
                    self._guarded(task)
            time.sleep(0.2)
        self._end_cluster()

    def _start(self) -> subprocess.Popen[bytes]:
        self.started = time.monotonic()
        return subprocess.Popen(
            [sys.executable, "manage.py", "worker", "--cluster"],
            cwd=settings.BASE_DIR,
            start_new_session=True,
            preexec_fn=killed_with_parent,  # noqa: PLW1509  (one call into libc; no threads run yet)
        )

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _guarded(self, task: Callable[[], None]) -> None:
        """A database that is away must not end the watchdog."""
        try:
            close_old_connections()
            task()
        except DatabaseError as error:
            log.warning("worker_database", error=type(error).__name__)
            connection.close()

    def _sweep(self) -> None:
        sweep.sweep()
        beats.beat("worker")

    def _ask(self) -> None:
        async_task("apps.core.beats.beat")

    def _check(self) -> None:
        """Restart the cluster when its parent is gone or when it has run nothing for too long."""
        age = time.monotonic() - self.started
        if self.cluster.poll() is not None:
            if age > RESTART_SECONDS:
                log.error("cluster_died", code=self.cluster.returncode)
                self._restart()
            return
        silent = beats.seconds_silent()
        if min(age, silent) <= self.silent_after:
            return
        extra = START_SECONDS if silent >= age else 0.0
        extra += settings.JOB_TIMEOUT_SECONDS if sweep.busy() else 0.0
        if min(age, silent) > self.silent_after + extra:
            log.error("cluster_silent", seconds=round(min(age, silent)))
            self._restart()

    def _restart(self) -> None:
        self._kill_group()
        self.cluster = self._start()

    def _end_cluster(self) -> None:
        """SIGTERM lets running jobs end; whatever outlasts a job's time is killed, and the next sweep takes it over."""
        self.cluster.terminate()
        told = worked = time.monotonic()
        while self.cluster.poll() is None:
            now = time.monotonic()
            if self._busy():
                worked = now
            if now > told + STOP_SECONDS or now > worked + IDLE_STOP_SECONDS:
                log.warning("cluster_killed", after=round(now - told))
                break
            time.sleep(0.2)
        self._kill_group()

    def _busy(self) -> bool:
        try:
            return sweep.busy()
        except DatabaseError:
            connection.close()
            return True

    def _kill_group(self) -> None:
        """End every process of the cluster, also those whose parent is gone."""
        try:
            os.killpg(self.cluster.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.cluster.wait()


def run_cluster() -> None:
    """What the watchdog starts: the cluster itself, each of whose processes dies with the one that forked it."""
    os.register_at_fork(after_in_child=killed_with_parent)
    Cluster().start()
