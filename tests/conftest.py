"""What all tests share: Hypothesis' profile, a Chromium, and that nothing is skipped unseen under CI."""

import functools
import gc
import os
import time
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import hypothesis
import pytest
import stripe
import structlog
from django.test import TransactionTestCase
from httpx._transports import default as httpx_transports

from tests import browser, database, fault_results
from tests.console import support_questions
from tests.contract import counting
from tests.contract.counting import server_of
from tests.contract.servers import keycloak_process
from tests.fault_results import figure, time_number
from tests.sandbox.keycloak_fixture import standin, standin_process
from tests.world import empty_world, world, world_process

# Fixtures of processes are named here alone: where a test's file imports one by itself, it gets a process of its own.
__all__ = [
    "empty_world",
    "figure",
    "keycloak_process",
    "standin",
    "standin_process",
    "time_number",
    "world",
    "world_process",
]  # fmt: skip

# Fresh examples on every run, under CI too; a failure prints what reproduces it. No deadline: the machine may be busy.
hypothesis.settings.register_profile("frontdesk", deadline=None, derandomize=False, print_blob=True)
hypothesis.settings.load_profile("frontdesk")

# python-keycloak makes clients of httpx that nobody uses, each of which reads all of certifi's authorities three times.
httpx_transports.create_ssl_context = functools.cache(httpx_transports.create_ssl_context)

# Stripe's library waits half a second and more before it repeats a call; nothing here gets better by waiting.
stripe.HTTPClient.INITIAL_DELAY = stripe.HTTPClient.MAX_DELAY = 0.01

MAX_PARAMETER_NAME = 200  # characters
LONG = (
    "tests/security/test_bad_inputs", "tests/journeys/test_demo", "tests/journeys/test_browser", "tests/faults/", "test_djstripe_migrations",
)  # fmt: skip


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, Any, Any]:
    """For the rate limits no time passes during a test: a minute or an hour that ends in one would count anew."""
    from apps.core import limits

    structlog.contextvars.clear_contextvars()  # what the request of another test has left counts as a person's click
    moment = time.time()
    with mock.patch.object(limits, "time", SimpleNamespace(time=lambda: moment)):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped_under_ci(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped_under_ci(report)
    return report


def _fail_if_skipped_under_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"Under CI nothing may be skipped: {reason}"


def pytest_make_parametrize_id(val: object) -> str | None:
    """A short name for a long value: the name of the running test is in the environment of all that it starts.

    Linux starts no program with a longer string than 128 KiB there.
    """
    if isinstance(val, str | bytes) and len(val) > MAX_PARAMETER_NAME:
        return f"{val[:20]!r} and {len(val) - 20:,} more"
    return None


def pytest_addoption(parser: pytest.Parser) -> None:
    fault_results.add_option(parser)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    fault_results.repeat(metafunc)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counting.print_servers(terminalreporter)
    support_questions.print_clicks(terminalreporter)
    fault_results.keep_results(
        [one for kind in ("passed", "failed", "error") for one in terminalreporter.stats.get(kind, [])]
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test may be for the night on one of the servers alone. What is for the night or needs the real Keycloak is long, too."""
    fault_results.name_faults(item)
    server, group = server_of(item.nodeid), item.get_closest_marker("xdist_group")
    mark = item.get_closest_marker("nightly_on")
    if mark and mark.args[0] == server:
        item.add_marker("nightly")
    if item.get_closest_marker("nightly") or (group and group.args[0] == "keycloak" and server != "standin"):
        item.add_marker("long")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The groups that take longest begin first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: not any(folder in str(item.path) for folder in LONG))


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: each full collection of garbage would look through it in vain."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """pytest-django's databases; tests with real transactions empty every table at their end."""
    TransactionTestCase._fixture_teardown = lambda _case: database.empty()


@pytest.fixture(scope="session")
def base_url() -> None:
    """No base address: tests name whole ones. (pytest-playwright's own fixture warns under pytest 9.)"""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, object]) -> dict[str, object]:
    """How pytest-playwright starts Chromium; its fixtures `page`, `context` and `browser` follow from this."""
    try:
        executable = browser.find_or_install()
    except browser.NoBrowserError as error:
        pytest.skip(str(error))
    return browser_type_launch_args | {
        "executable_path": executable,
        "args": list(browser.ARGUMENTS),
    }
