"""The worker under a watchdog: runs django-q2's cluster in a process group of its own and restarts it when it is silent.

django-q2 1.11 stalls for ever when an idle worker process is killed, and a killed parent leaves its children running
(django-q2 issue 23). So our cluster has other locks (`core.cluster`), proves that it is alive by a heartbeat task it has to
run, a restart kills the whole process group, and each process asks Linux to be killed when its parent dies. Work interrupted
by such a death is taken over within a second, in a loop here that a stalled cluster cannot stop. The cluster is forked, so
that it starts at once and shares what is imported.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from types import FrameType

import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection

from apps.core import heartbeats, outages, pooling, restore_marker, sweep
from apps.core.cluster import run_cluster
from apps.core.preload import preload

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 5.0
CHECK_SECONDS = 1.0  # for runners that died and for a silent cluster
# Allowed silence of a cluster without a running job. With one, the time a job may take is added.
SILENT_SECONDS = 20.0
RESTART_SECONDS = 5.0  # a cluster that fails to start is not restarted more often
START_SECONDS = 30.0  # added until the first heartbeat after a start
IDLE_STOP_SECONDS = 10.0  # a stopping cluster that runs no job for this long is stalled
STOP_SECONDS = settings.JOB_TIMEOUT_SECONDS + 15.0


class Watchdog:
    """One `manage.py worker`: a cluster, the loop that watches it, and its graceful shutdown."""

    def __init__(self, *, silent_after: float = SILENT_SECONDS) -> None:
        self.silent_after = silent_after
        self.stopping = False
        self.database = outages.DatabaseWatch()
        pooling.refuse_transaction_pooling()
        heartbeats.claim_name()
        restore_marker.check()  # before the first job runs
        preload()
        self.cluster = self._start()

    def watch(self) -> None:
        """Loop until told to stop; then let the cluster finish its jobs."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        every = {self._check: CHECK_SECONDS, self._sweep: SWEEP_SECONDS}
        due = dict.fromkeys(every, 0.0)
        try:
            while not self.stopping:
                for task, period in every.items():
                    if time.monotonic() >= due[task]:
                        due[task] = time.monotonic() + period
                        self._run_guarded(task)
                time.sleep(0.2)
        finally:
            self._end_cluster()
        self._run_guarded(heartbeats.forget_worker)

    def _start(self) -> ForkProcess:
        self.started = time.monotonic()
        connection.close()  # it belongs to one process
        cluster = multiprocessing.get_context("fork").Process(target=run_cluster, args=(self.silent_after,))
        cluster.start()
        return cluster

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _run_guarded(self, task: Callable[[], object]) -> None:
        """Run the task; an unreachable database must not end the watchdog."""
        try:
            close_old_connections()
            task()
            self.database.note_success()
        except DatabaseError as error:
            log.warning("worker_database", error=type(error).__name__)
            self.database.note_failure()

    def _check(self) -> None:
        self._restart_if_silent()
        sweep.recover()

    def _sweep(self) -> None:
        sweep.sweep()
        heartbeats.record_heartbeat("worker")
        heartbeats.forget_gone()

    def _restart_if_silent(self) -> None:
        """Restart the cluster when its parent is gone or when it has run nothing for too long."""
        age = time.monotonic() - self.started
        if not self.cluster.is_alive():
            if age > RESTART_SECONDS:
                log.error("cluster_died", code=self.cluster.exitcode)
                self._restart()
            return
        silent = heartbeats.seconds_silent()
        if min(age, silent) <= self.silent_after:
            return
        extra = START_SECONDS if silent >= age else 0.0
        extra += settings.JOB_TIMEOUT_SECONDS if sweep.is_any_job_running() else 0.0
        if min(age, silent) > self.silent_after + extra:
            log.error("cluster_silent", seconds=round(min(age, silent)))
            self._restart()

    def _restart(self) -> None:
        self._kill_group()
        self.cluster = self._start()

    def _end_cluster(self) -> None:
        """SIGTERM lets running jobs finish; those that take too long are killed, and the next sweep takes them over."""
        self.cluster.terminate()
        told = worked = time.monotonic()
        while self.cluster.is_alive():
            now = time.monotonic()
            if self._is_busy():
                worked = now
            if now > told + STOP_SECONDS or now > worked + IDLE_STOP_SECONDS:
                log.warning("cluster_killed", after=round(now - told))
                break
            time.sleep(0.2)
        self._kill_group()

    def _is_busy(self) -> bool:
        try:
            return sweep.is_any_job_running()
        except DatabaseError:
            connection.close()
            return True

    def _kill_group(self) -> None:
        """Kill every process of the cluster, including those whose parent is gone."""
        if self.cluster.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.cluster.pid, signal.SIGKILL)
        self.cluster.join()
