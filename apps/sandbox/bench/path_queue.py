"""Jobs that do nothing: what the queue itself costs, in this process, and what a claim costs with many due."""

import functools
from collections.abc import Callable

from apps.core import jobs
from apps.core.models import Job
from apps.sandbox.bench.counters import counting
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import CONTROL, compare, spread
from apps.sandbox.bench.rows import execute

KIND, COUNT, FEW, MANY = "bench_nothing", 200, 100, 10_000  # Django remembers 9,000 statements


def measure(*, rows: int) -> list[Figure]:  # noqa: ARG001  (the queue does not depend on them)
    """Statements of one job, its CPU, and the claim."""
    jobs.register(KIND, lambda _key: None)
    _empty()
    _defer(COUNT)
    with counting() as counts:
        ran = jobs.drain(limit=COUNT)
    ratios = compare({"few": functools.partial(_claim, FEW), "many": functools.partial(_claim, MANY)}, seconds=0.1)
    _empty()
    return [
        Figure("queue", "queries of an empty job", spread([counts.queries / ran])),
        Figure("queue", "commits of an empty job", spread([counts.commits / ran])),
        Figure("queue", "claim at 10,000 due / at 100 due", ratios["many"]["cpu"]),
        Figure("queue", "claim at 100 due / the same", ratios[CONTROL]["cpu"]),
    ]


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
    jobs.defer_many(KIND, {str(number): f"bench:{number}" for number in range(count)})


def _empty() -> None:
    execute("SELECT pg_advisory_unlock_all()")
    execute("TRUNCATE core_job, django_q_ormq")
