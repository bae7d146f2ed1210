"""How many rows ran on which server, and what was measured there, said at the end of a run."""

import re

import pytest

from config.keycloak_distribution import VERSION

NAMES = {"standin": "on the stand-in", "keycloak": f"on Keycloak {VERSION}"}


def server_of(nodeid: str) -> str:
    """The server a test is for: `test_x[keycloak-…]`; empty when it is for none."""
    found = re.search(r"tests/contract/.*\[(standin|keycloak)\b", nodeid)
    return found[1] if found else ""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = [server_of(report.nodeid) for report in terminalreporter.stats.get("passed", [])]
    counts = {server: passed.count(server) for server in NAMES}
    if any(counts.values()):
        said = ", ".join(f"{count} {NAMES[server]}" for server, count in counts.items())
        terminalreporter.write_line(f"contract: rows passed: {said}")
    for report in terminalreporter.stats.get("passed", []):
        for what, value in report.user_properties if server_of(report.nodeid) else []:
            terminalreporter.write_line(f"contract: {value} {what} {NAMES[server_of(report.nodeid)]}")
