"""Costs that a busy machine does not bend: slices of all contestants in alternating order, and the first against itself.

A ratio is the median over rounds of what one slice cost divided by what the first contestant's slice of the same round cost. The
first one runs twice in each round: where that control is not 1, the ratio is not believed, and it is tried again, three times in all.
CPU is our process and, besides, the Postgres backend that serves it (0 where /proc does not tell), or what a meter of the caller's reads.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

# Asked for n operations it prepares them, and returns what runs them all.
Work = Callable[[int], Callable[[], object]]
Meter = Callable[[], tuple[float, float]]  # seconds of CPU so far: the application's and Postgres'
ROUNDS, SLICE_SECONDS, TRIES = 11, 0.2, 3
CONTROL, TOLERANCE = "control", 0.1


@dataclass(frozen=True)
class Cost:
    """Seconds of one operation: on the wall clock, of our process' CPU, and of Postgres' CPU."""

    wall: float
    app: float
    postgres: float

    @property
    def cpu(self) -> float:
        return self.app + self.postgres


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles; `noisy`: its control failed."""

    median: float
    low: float
    high: float
    noisy: bool = False


def spread(values: list[float], *, noisy: bool = False) -> Spread:
    """Median and quartiles; of one value, all three are it."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Spread(median=middle, low=low, high=high, noisy=noisy)


def read_own() -> tuple[float, float]:
    """Of this process and the backend of its connection."""
    return time.process_time(), postgres_seconds()


def compare(
    works: Mapping[str, Work], *, rounds: int = ROUNDS, seconds: float = SLICE_SECONDS, meter: Meter = read_own
) -> dict[str, dict[str, Spread]]:
    """Of each contestant but the first: the ratios `wall`, `app`, `postgres` and `cpu` to the first, the control among them."""
    base, *_ = works
    contestants = {base: works[base], CONTROL: works[base], **works}
    counts = {name: _calibrate(work, seconds, meter) for name, work in works.items()}
    counts[CONTROL] = counts[base]
    found: dict[str, dict[str, Spread]] = {}
    for _ in range(TRIES):
        costs = _run_rounds(contestants, counts, rounds, meter)
        found = {
            kind: {
                name: spread([one / first for one, first in _pairs(costs, name, base, kind)])
                for name in costs
                if name != base
            }
            for kind in ("wall", "app", "postgres", "cpu")
            if min(getattr(cost, kind) for cost in costs[base]) > 0
        }
        if all(_holds(found, kind) for kind in ("app", "cpu")):
            break
    noisy = {kind: not _holds(found, kind) for kind in found}
    return {
        name: {
            kind: Spread(one[name].median, one[name].low, one[name].high, noisy[kind]) for kind, one in found.items()
        }
        for name in contestants
        if name != base
    }


def _holds(found: dict[str, dict[str, Spread]], kind: str) -> bool:
    return abs(found[kind][CONTROL].median - 1) <= TOLERANCE


def _pairs(costs: dict[str, list[Cost]], name: str, base: str, kind: str) -> list[tuple[float, float]]:
    return [(getattr(one, kind), getattr(first, kind)) for one, first in zip(costs[name], costs[base], strict=True)]


def _run_rounds(
    works: Mapping[str, Work], counts: Mapping[str, int], rounds: int, meter: Meter
) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    for number in range(rounds):
        for name in list(works) if number % 2 == 0 else reversed(list(works)):
            costs[name].append(run_slice(works[name], counts[name], meter))
    return costs


def run_slice(work: Work, count: int, meter: Meter = read_own) -> Cost:
    """The cost of one operation, from `count` of them in a row; what they need is prepared before."""
    run = work(count)
    wall, before = time.perf_counter(), meter()
    run()
    wall, after = time.perf_counter() - wall, meter()
    return Cost(wall / count, (after[0] - before[0]) / count, (after[1] - before[1]) / count)


def repeat[T](action: Callable[[T], object], things: list[T]) -> Callable[[], None]:
    """What does `action` with each of the things."""

    def run() -> None:
        for thing in things:
            action(thing)

    return run


def _calibrate(work: Work, seconds: float, meter: Meter) -> int:
    """How many operations fill a slice; warms up, too."""
    run_slice(work, 3, meter)
    return max(1, round(seconds / run_slice(work, 10, meter).wall))


def postgres_seconds() -> float:
    """CPU that the backend of our connection has used so far."""
    if connection.connection is None:
        return 0.0
    try:
        return int(Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0
