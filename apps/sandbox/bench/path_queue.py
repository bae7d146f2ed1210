"""Jobs that do nothing: what the queue itself costs, what a claim costs with many due, and a thousand on two real workers."""

import functools
import time
from collections.abc import Callable

from django.db import transaction

from apps.core import jobs
from apps.core.models import Job
from apps.sandbox.bench import processes
from apps.sandbox.bench.apps import NOTHING
from apps.sandbox.bench.counters import counting
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import CONTROL, compare, spread
from apps.sandbox.bench.rows import execute

COUNT, THOUSAND, TIMES, FEW, MANY = 200, 1000, 5, 100, 10_000  # Django remembers 9,000 statements


def measure(*, rows: int) -> list[Figure]:  # noqa: ARG001  (the queue does not depend on them)
    """Statements of one job, its CPU, and the claim."""
    _empty()
    _defer(COUNT)
    with counting() as counts:
        ran = jobs.drain(limit=COUNT)
    ratios = compare({"few": functools.partial(_claim, FEW), "many": functools.partial(_claim, MANY)}, seconds=0.1)
    _empty()
    seconds, cpu = _run_on_workers()
    return [
        Figure("queue", "queries of an empty job", spread([counts.queries / ran])),
        Figure("queue", "commits of an empty job", spread([counts.commits / ran])),
        Figure("queue", "claim at 10,000 due / at 100 due", ratios["many"]["cpu"]),
        Figure("queue", "claim at 100 due / the same", ratios[CONTROL]["cpu"]),
        Figure("queue", "1,000 empty jobs on two workers", spread(seconds), "s"),
        Figure("queue", "of it CPU of the workers", spread(cpu), "s"),
    ]


def _run_on_workers() -> tuple[list[float], list[float]]:
    """Seconds until a thousand jobs that are queued at once are done, and the CPU of the worker's processes in them."""
    seconds, cpu = [], []
    with processes.worker() as worker:
        for number in range(TIMES + 1):
            began, used = time.perf_counter(), processes.cpu_of(worker.pid)
            with transaction.atomic():
                _defer(THOUSAND)
            while Job.objects.filter(kind=NOTHING).exclude(state="done").exists():
                time.sleep(0.02)
            if number:  # the first is for warmth
                seconds.append(time.perf_counter() - began)
                cpu.append(processes.cpu_of(worker.pid) - used)
            Job.objects.filter(kind=NOTHING).delete()
    return seconds, cpu


def _claim(due: int, count: int) -> Callable[[], None]:
    """Claim and put back, so that as many are due each time."""
    _empty()
    _defer(due)
    execute("VACUUM (ANALYZE) core_job")

    def run() -> None:
        for _ in range(count):
            job = jobs.claim()
            if job is None:
                raise LookupError("no job is due")
            Job.objects.filter(pk=job.pk).update(state="queued")

    return run


def _defer(count: int) -> None:
    jobs.defer_many(NOTHING, {str(number): f"bench:{number}" for number in range(count)})


def _empty() -> None:
    execute("SELECT pg_advisory_unlock_all()")
    execute("TRUNCATE core_job, django_q_ormq")
