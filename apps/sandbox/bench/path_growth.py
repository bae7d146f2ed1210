"""What the database keeps of subscribers who renew each month for a year, after the nightly deletions."""

import os

import requests

from apps.core import jobs, sweep
from apps.sandbox.bench import path_signup
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import spread
from apps.sandbox.bench.requests_in_process import Application
from apps.sandbox.bench.rows import execute

PEOPLE, MONTHS, NIGHTS, DAY = 16, 12, 35, 86_400
# What the checks of everything leave each day, however many subscribe.
COMMON = {"core_comparisonrun", "core_lawcheck", "core_retentioncheck", "operations_dailyfigure"}
SIZES = """SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""


def measure(*, rows: int) -> list[Figure]:  # noqa: ARG001  (what one subscriber adds does not depend on them)
    """Kilobytes of all tables with their indexes: for each subscriber, of the tables that grew most, and of the installation itself."""
    application, seen = Application(), set[str]()
    for number in range(PEOPLE):
        path_signup.sign_up(application, f"growth{number}", seen)
    before = sizes()
    live_a_year(application, seen)
    grown = {name: (size - before[name]) / 1024 for name, size in sizes().items()}
    common = sum(grown.pop(name) for name in COMMON)
    largest = sorted(grown, key=lambda name: -grown[name])[:5]
    return [
        Figure("growth", "a subscriber's year", spread([sum(grown.values()) / PEOPLE]), "KB"),
        *(Figure("growth", f"of it {name}", spread([grown[name] / PEOPLE]), "KB") for name in largest),
        Figure("growth", "a year of the installation, without its subscribers", spread([common]), "KB"),
    ]


def live_a_year(application: Application, seen: set[str]) -> None:
    """Month by month, and at the end night by night: what is kept for weeks, such as jobs, is all there."""
    steps = [30 * DAY] * (MONTHS - 1) + [DAY] * NIGHTS
    for seconds in steps:
        url = f"{os.environ['SANDBOX_BASE_URL']}/control/clock"
        requests.post(url, json={"advance_seconds": seconds}, timeout=60).raise_for_status()
        sweep.sweep()
        while path_signup.deliver(application, seen) + jobs.drain():
            pass


def sizes() -> dict[str, int]:
    """Bytes of each table with its indexes, without the room that deleted rows have left."""
    execute("VACUUM FULL")
    return {str(name): int(size) for name, size in execute(SIZES)}
