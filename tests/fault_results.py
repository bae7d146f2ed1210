"""Which faults of the list a test proves, and with which figure: kept for `manage.py faults`."""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from apps.sandbox import fault_list

FAULT, FIGURE = "fault", "figure"
GROUP = re.compile(r"@\w+$")  # what xdist adds to the name of a test that belongs to a group


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say what a test of a fault has counted: `figure("50 of 50 answered 200, one effect")`."""
    return lambda text: record_property(FIGURE, text)


@pytest.fixture
def time_number(request: pytest.FixtureRequest) -> int:
    """Which of the times it is that a test is run; 0 but with `--full-counts`."""
    return int(getattr(request, "param", 0))


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full-counts",
        action="store_true",
        help="run each test marked times(n) n times, as the list of faults asks for",
    )


def repeat(metafunc: pytest.Metafunc) -> None:
    """With `--full-counts`, a test marked times(n) is n tests."""
    mark = metafunc.definition.get_closest_marker("times")
    if mark and metafunc.config.getoption("--full-counts"):
        if "time_number" not in metafunc.fixturenames:
            metafunc.fixturenames.append("time_number")
        metafunc.parametrize("time_number", range(mark.args[0]), indirect=True)


def name_faults(item: pytest.Item) -> None:
    """Carry the faults that a test names into its report, also from another process."""
    ids = {one for mark in item.iter_markers(FAULT) for one in mark.args}
    item.user_properties.extend((FAULT, one) for one in sorted(ids))


def keep_results(reports: list[Any]) -> None:
    """Write what a run has shown of the faults; without a test of any, nothing."""
    found: dict[str, Any] = {}
    said: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        for kind, value in getattr(report, "user_properties", ()):
            if kind in (FAULT, FIGURE) and value not in said[report.nodeid][kind]:
                said[report.nodeid][kind].append(str(value))
    for report in reports:
        faults = said[report.nodeid][FAULT]
        if not faults or report.outcome == "skipped" or (report.when != "call" and report.outcome == "passed"):
            continue
        worse = found.get(GROUP.sub("", report.nodeid), {}).get("outcome") == "failed"
        found[GROUP.sub("", report.nodeid)] = {
            "faults": faults,
            "figures": said[report.nodeid][FIGURE],
            "outcome": "failed" if worse else report.outcome,
            "seconds": round(report.duration, 1),
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        }
    if found:
        fault_list.add_results(found)
