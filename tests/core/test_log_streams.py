"""The log has one form: whatever process writes to it, each line is a JSON object that says when, what, who wrote it and for which request."""

import json
import logging
import os
import shlex
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import structlog
from django.db import connection
from django.test import Client
from django.test.utils import override_settings

from apps.core import jobs, log_streams, logs
from apps.core.models import AuditEntry, Heartbeat, Job
from tests.core.test_logs import lines as lines
from tests.security.site import ROOT, running, wait_until

GIVEN = "0af7651916cd43dd8448eb211c80319c"
FIELDS = {"timestamp", "level", "logger", "event"}
Lines = Any


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own, and pytest's, are back at the end."""
    for module in (sys, threading):
        monkeypatch.setattr(module, "excepthook", module.excepthook)


def read(path: Path) -> list[dict[str, Any]]:
    """Every line of a file, each of which has to be an object with all fields and without a leak."""
    found = []
    for text in path.read_text().splitlines():
        line = json.loads(text)
        assert line.keys() >= FIELDS, text
        assert line["timestamp"].endswith("Z"), text
        assert logs.find_leaks(text) == []
        found.append(line)
    return found


def ask(value: str | None, *, proxies: int) -> str:
    headers = {} if value is None else {"X-Request-ID": value}
    with override_settings(TRUSTED_PROXY_COUNT=proxies):
        return str(Client().get("/health/live", headers=headers).headers["X-Request-ID"])


def test_a_trusted_proxy_names_the_request() -> None:
    assert ask(GIVEN, proxies=1) == GIVEN
    assert ask("f0f0f0f0-1111-2222-3333-444444444444", proxies=2) == "f0f0f0f0-1111-2222-3333-444444444444"


@pytest.mark.parametrize(
    "value",
    ["", "short", "a" * 65, "ada@example.com-0123456789", "has spaces in it 0123", "job-1234567890123", f'{GIVEN}"}}'],
)
def test_a_name_that_is_none_is_replaced(value: str) -> None:
    assert ask(value, proxies=1) not in {"", value}
    assert len(ask(value, proxies=1)) == 32


def test_nobody_else_names_a_request() -> None:
    assert ask(GIVEN, proxies=0) != GIVEN
    assert ask(None, proxies=1) != ask(None, proxies=1)


def test_a_job_and_the_jobs_it_asks_for_carry_the_request(
    db: None, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "KINDS", {})

    def first(_key: str) -> None:
        structlog.get_logger("apps.test").info("first")
        jobs.defer("second", 1)

    jobs.register("first", first)
    jobs.register("second", lambda _key: structlog.get_logger("apps.test").info("second"))
    with structlog.contextvars.bound_contextvars(request_id=GIVEN):
        one = jobs.defer("first", 1)
    jobs.drain()
    two = Job.objects.get(kind="second").pk
    found = [(line["event"], line["request_id"], line["job_id"]) for line in lines() if line["logger"] == "apps.test"]
    assert found == [("first", GIVEN, one), ("second", GIVEN, two)]


def test_a_job_of_nobodys_request_names_itself_and_the_audit_names_the_run(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.core import audit
    from apps.core.audit_actions import AuditAction

    seen: list[str] = []
    monkeypatch.setattr(jobs, "KINDS", {})

    def note(key: str) -> None:
        seen.append(structlog.contextvars.get_contextvars()["request_id"])
        audit.record(subject=("job", key), action=next(iter(AuditAction)), actor="system")

    jobs.register("note", note)
    alone = jobs.defer("note", 1)
    with structlog.contextvars.bound_contextvars(request_id=GIVEN):
        caused = jobs.defer("note", 2)
    jobs.drain()
    assert sorted(seen) == sorted([f"job-{alone}-1", GIVEN])
    assert list(AuditEntry.objects.order_by("subject_id").values_list("request_id", flat=True)) == [
        f"job-{alone}-1",
        f"job-{caused}-1",
    ]
    assert "request_id" not in structlog.contextvars.get_contextvars()


def test_a_later_request_that_joins_a_waiting_job_is_named_and_nobody_takes_the_name_away(db: None) -> None:
    for given in ("a" * 32, "b" * 32, ""):
        with structlog.contextvars.bound_contextvars(**({"request_id": given} if given else {})):
            jobs.defer("note", 1)
    assert list(Job.objects.values_list("request_id", flat=True)) == ["b" * 32]


def test_what_is_printed_is_logged_line_by_line(lines: Lines) -> None:
    with log_streams.taken_over("manage.test"):
        sys.stdout.write("  Applying core.0001")
        sys.stdout.flush()
        sys.stdout.write("... OK\n\nto ada@example.com\n")
        sys.stderr.write("CommandError: no")
    found = [(line["logger"], line["level"], line["event"]) for line in lines()]
    assert found[0] == ("manage.test", "info", "Applying core.0001... OK")
    assert found[1][2].endswith("@example.com")
    assert not found[1][2].startswith("to ada")
    assert found[2:] == [("manage.test", "error", "CommandError: no")]


def test_what_is_printed_by_a_log_that_cannot_write_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(record.getMessage())
            sys.stderr.write("cannot write\n")

    logger = logging.getLogger("manage.broken")
    monkeypatch.setattr(logger, "handlers", [Broken()])
    monkeypatch.setattr(logger, "level", logging.INFO)
    with log_streams.taken_over("manage.broken"):
        sys.stdout.write("once\n")
    assert logged == ["once", "cannot write"]


def test_what_another_thread_prints_while_a_line_is_logged_is_logged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def write_slowly(record: logging.LogRecord) -> bool:
        said.append(record.getMessage())
        if len(said) == 1:
            other = threading.Thread(target=sys.stdout.write, args=["of another thread\n"])
            other.start()
            other.join()
            sys.stdout.write("of the log itself\n")
        return False

    logger = logging.getLogger("manage.slow")
    monkeypatch.setattr(logger, "filters", [write_slowly])
    monkeypatch.setattr(logger, "level", logging.INFO)
    with log_streams.taken_over("manage.slow"):
        sys.stdout.write("first\n")
    assert said == ["first", "of another thread"]


def test_warnings_and_uncaught_errors_are_lines(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("of ada@example.com")

    monkeypatch.setattr(threading, "excepthook", log_streams._log_uncaught_of_thread)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    logging.captureWarnings(capture=True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("an old way", DeprecationWarning, stacklevel=1)
    error, warning = lines()
    assert (error["event"], error["level"]) == ("uncaught", "critical")
    assert "ValueError" in error["exception"]
    assert "ada@" not in error["exception"]
    assert warning["logger"] == "py.warnings"
    assert "an old way" in warning["event"]


def manage(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *shlex.split(command)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "INFO"} | environment,
    )  # fmt: skip


@pytest.mark.long
def test_a_command_of_a_service_writes_lines_and_a_persons_does_not(tmp_path: Path) -> None:
    text = manage("check --tag models")
    assert text.stdout.startswith("System check identified")
    said = manage("check --tag models", LOG_COMMANDS="true")
    assert said.stdout == ""
    (tmp_path / "log").write_text(said.stderr)
    (line,) = read(tmp_path / "log")
    assert (line["logger"], line["level"], line["event"] + "\n") == ("manage.check", "info", text.stdout)
    refused = manage("check --tag nowhere", LOG_COMMANDS="true")
    (tmp_path / "log").write_text(refused.stderr)
    assert refused.returncode == 1
    assert [line["level"] for line in read(tmp_path / "log")] == ["error"]
    listed = manage("", LOG_COMMANDS="true")
    (tmp_path / "log").write_text(listed.stderr)
    assert {line["logger"] for line in read(tmp_path / "log")} == {"manage"}


@pytest.mark.long
def test_a_service_that_cannot_start_says_so_in_one_line(tmp_path: Path) -> None:
    done = manage("worker", BASE_URL="https://x.example", DEBUG="perhaps")
    (tmp_path / "log").write_text(done.stderr)
    (line,) = read(tmp_path / "log")
    assert (done.returncode, line["event"]) == (
        1,
        "Frontdesk cannot start: DEBUG must be true or false, not 'perhaps'.",
    )


@contextmanager
def worker(log: Path, **environment: str) -> Iterator[None]:
    ours = {"POSTGRES_DB": connection.settings_dict["NAME"], "DJANGO_SETTINGS_MODULE": "config.settings"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=ROOT,
            env=os.environ | ours | environment,
            stdout=file,
            stderr=file,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_web_and_worker_write_nothing_but_such_lines(tmp_path: Path) -> None:
    """A visitor, a request that fails, one cut off before Django, and a job that a request has asked for, run and failed."""
    Heartbeat.objects.all().delete()
    loud = {"LOG_LEVEL": "INFO", "LOG_REQUESTS": "true", "TRUSTED_PROXY_COUNT": "1", "PYTHONWARNINGS": "always"}
    web, work = tmp_path / "web.log", tmp_path / "work.log"
    with worker(work, **loud), running(web, **loud) as port:
        site = f"http://127.0.0.1:{port}"
        token = f"/onboarding/waitlist/confirm/{'a' * 30}:signature/?email=ada%40example.com"
        assert requests.get(f"{site}{token}", timeout=10).status_code == 404
        named = {"X-Request-ID": GIVEN, "Content-Type": "application/json"}
        assert (
            requests.post(f"{site}/onboarding/webhook/", "{}", headers=named, timeout=10).headers["X-Request-ID"]
            == GIVEN
        )
        with structlog.contextvars.bound_contextvars(request_id=GIVEN):
            job = jobs.defer("reconcile", "no number")
        wait_until(lambda: Job.objects.get(pk=job).last_error, "it has run")
    seen = read(web)
    access = [line for line in seen if line["logger"] == "granian.access"]
    assert {"_granian", "granian.access", "django.request"} <= {line["logger"] for line in seen}
    assert [(line["status"], line["method"]) for line in access if line["request_id"] == GIVEN] == [(400, "POST")]
    assert "/onboarding/waitlist/confirm/<str:token>/" in {line["path"] for line in access}
    assert ":signature" not in web.read_text()
    assert "ada@" not in web.read_text().replace("%40", "@")
    (fault,) = (line for line in read(work) if line.get("request_id") == GIVEN)
    assert (fault["event"], fault["job_id"], fault["logger"]) == ("job_fault", job, "apps.core.jobs")
