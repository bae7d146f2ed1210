"""How many rows ran on which server, and what was measured there, said at the end of a run."""

import re

import pytest

from apps.sandbox.run.keycloak_distribution import VERSION
from tests.fault_results import FAULT, FIGURE

NAMES = {"standin": "on the stand-in", "keycloak": f"on Keycloak {VERSION}"}


def server_of(nodeid: str) -> str:
    """The server a test is for: `test_x[keycloak-…]`; empty when it is for none."""
    found = re.search(r"tests/(?:contract|journeys)/.*\[(?:chromium-)?(standin|keycloak)\b", nodeid)
    return found[1] if found else ""


def print_servers(terminalreporter: pytest.TerminalReporter) -> None:
    passed = [report for report in terminalreporter.stats.get("passed", []) if server_of(report.nodeid)]
    for suite, what in (("contract", "rows"), ("journeys", "journeys")):
        ran = [server_of(report.nodeid) for report in passed if f"tests/{suite}/" in report.nodeid]
        if ran:
            said = ", ".join(f"{ran.count(server)} {name}" for server, name in NAMES.items())
            terminalreporter.write_line(f"contract: {what} passed: {said}")
    for report in passed:
        for what, value in report.user_properties:
            if what in (FAULT, FIGURE) or not server_of(report.nodeid):
                continue
            terminalreporter.write_line(f"contract: {value} {what} {NAMES[server_of(report.nodeid)]}")
