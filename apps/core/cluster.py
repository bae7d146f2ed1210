"""django-q2's cluster as we run it: it survives killed children, and each cluster proves by itself that it works.

django-q2 1.11 guards its queues in memory by semaphores, which a killed process never gives back: the others then wait
for ever. Ours are file locks, which the kernel releases. And its broker (`core.broker`) adds a heartbeat every few seconds,
which one of its workers has to run: no other cluster on the same database can answer for it.
"""

import fcntl
import os
import signal
import tempfile
from multiprocessing import RawValue, Value
from typing import Any, override

import django_q.cluster
from django_q.worker import worker

from apps.core import broker, turns
from apps.core.process_lifetime import killed_with_parent


class ProcessLock:
    """A lock between forked processes that ends with the one that holds it; one process may take it several times."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  (its lifetime is the lock's)
        self.depth = 0

    def acquire(self, *_: Any) -> bool:
        """Wait for it, however long."""
        if not self.depth:
            fcntl.lockf(self.file, fcntl.LOCK_EX)
        self.depth += 1
        return True

    def release(self) -> None:
        """Give it back."""
        self.depth -= 1
        if not self.depth:
            fcntl.lockf(self.file, fcntl.LOCK_UN)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class SturdySentinel(django_q.cluster.Sentinel):  # type: ignore[misc]  # django-q2 has no types
    """The process that starts the others, with our locks in all that they share."""

    @override
    def start(self) -> None:
        for queue in (self.task_queue, self.result_queue):
            queue._rlock, queue._wlock = ProcessLock(), ProcessLock()
            queue.size.count = Value("i", 0, lock=ProcessLock())  # type: ignore[call-overload]
        self.stopping = RawValue("b", 0)  # no lock that a killed process could keep
        turns.is_stopping = lambda: bool(self.stopping.value)
        super().start()

    @override
    def stop(self) -> None:
        self.stopping.value = 1
        super().stop()

    @override
    def spawn_worker(self) -> None:
        timer = Value("f", -1, lock=ProcessLock())  # type: ignore[call-overload]
        self.spawn_process(worker, self.task_queue, self.result_queue, timer, self.timeout)


def run_cluster(silent_after: float) -> None:
    """What the watchdog forks: the cluster, a process group of its own, each of whose processes dies with its parent."""
    os.setsid()
    killed_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):  # the watchdog's own answers to them are inherited
        signal.signal(number, signal.SIG_DFL)
    broker.heartbeat_seconds = min(broker.heartbeat_seconds, silent_after / 4)
    os.register_at_fork(after_in_child=killed_with_parent)
    django_q.cluster.Sentinel = SturdySentinel
    django_q.cluster.Cluster().start()
