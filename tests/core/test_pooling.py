"""A pooler that lends connections by transaction: web may use it, a worker refuses it, and nothing runs twice or is lost."""

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest
import requests
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection, connections, transaction

from apps.core import checks, heartbeats, jobs, pooling
from apps.core.locks import LockClass, hold_if_free
from apps.core.models import AuditEntry, Job
from tests.core import pgbouncer
from tests.faults.test_worker_process import Stack
from tests.security.site import running, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = settings.BASE_DIR


@pytest.fixture(params=["transaction"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with pgbouncer.running(request.param) as found:
        yield found
        connections["default"].close()


@contextmanager
def through(port: int, *, is_web: bool = False) -> Iterator[None]:
    """The connections of this thread go through the pooler: as POSTGRES_HOST, or as web's POSTGRES_POOLER_HOST."""
    pooler = {"HOST": "127.0.0.1", "PORT": str(port), "DISABLE_SERVER_SIDE_CURSORS": True}
    connection.close()
    with mock.patch.dict(connections.settings["default"]):
        if is_web:
            with mock.patch.object(settings, "POSTGRES_POOLER", pooler):
                pooling.use_pooler()
        else:
            connections.settings["default"].update(pooler)
        try:
            yield
        finally:
            connection.close()


@pytest.mark.parametrize(("port", "lent"), [("session", False), ("transaction", True)], indirect=["port"])
def test_what_stands_between_is_noticed(port: int, lent: bool) -> None:
    assert not pooling.are_sessions_lent()
    with through(port):
        assert pooling.are_sessions_lent() is lent


def test_who_needs_a_session_refuses_one_that_is_lent(port: int) -> None:
    with through(port):
        with pytest.raises(ImproperlyConfigured, match="POSTGRES_POOLER_HOST"):
            pooling.refuse_transaction_pooling()
        with pytest.raises(ImproperlyConfigured, match="POSTGRES_POOLER_HOST"):
            call_command("migrate")
        assert [one.id for one in checks.sessions_are_ours(databases=["default"])] == ["frontdesk.E014"]
    assert checks.sessions_are_ours(databases=["default"]) == []
    with through(port, is_web=True):
        assert checks.sessions_are_ours(databases=["default"]) == []


@pytest.mark.long
def test_a_worker_does_not_start_behind_one(port: int) -> None:
    ours = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(port), "POSTGRES_DB": connection.settings_dict["NAME"]}
    done = subprocess.run(
        [sys.executable, "manage.py", "worker"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | ours | {"DJANGO_SETTINGS_MODULE": "config.settings"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Frontdesk cannot start: POSTGRES_HOST is a pooler" in done.stderr
    assert heartbeats.count_alive() == 0


def hold_together(port: int) -> list[bool]:
    """What two requests of web hear that want the same lock over a call, at the same time."""
    both, heard = threading.Barrier(2), []

    def ask() -> None:
        try:
            with hold_if_free(LockClass.PAYMENTS_OF_CUSTOMER, "cus_1") as held:
                heard.append(held)
                both.wait(20)
        finally:
            connection.close()

    with through(port, is_web=True):
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    return heard


def test_a_lock_over_a_call_is_held_once(port: int) -> None:
    assert sorted(hold_together(port)) == [False, True]


@pytest.mark.mutant
def test_mutant_through_the_pooler_both_would_hold_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ask in the one session that the pooler has: a lock that one already has is given once more."""
    with pgbouncer.running("transaction", size=1) as narrow:
        monkeypatch.setattr("apps.core.locks.PAST", "nothing")
        assert hold_together(narrow) == [True, True]


def test_a_long_list_is_read_without_a_cursor_of_the_session(port: int) -> None:
    """After its first part the pooler lends the session to somebody else; a server-side cursor would be gone."""
    jobs.defer_many("note", {str(n): f"n{n}" for n in range(3_000)})
    with through(port, is_web=True):
        rows = Job.objects.order_by("id").values_list("key", flat=True).iterator(chunk_size=100)
        next(rows)
        other = connection.copy()
        other.set_autocommit(False)
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT 1")
            assert len(list(rows)) == 2_999
        finally:
            other.close()


@pytest.fixture
def start() -> Iterator[Callable[[], Any]]:
    stacks: list[Any] = []

    def start() -> Any:
        stacks.append(Stack())
        return stacks[-1]

    yield start
    for one in stacks:
        one.stop()


@pytest.mark.long
@pytest.mark.xdist_group("workers")
def test_two_workers_and_many_clients_behind_one_lose_and_double_nothing(start: Callable[[], Any]) -> None:
    """Eight threads of web over two sessions ask for 400 jobs, each with a line of the audit trail in its transaction."""
    with pgbouncer.running("transaction", size=2) as port:
        for _ in range(2):
            start()
        wait_until(lambda: heartbeats.count_alive() == 2, "both workers are there")
        numbers = itertools.count()

        def ask(_: int) -> None:
            try:
                for _ in range(50):
                    with transaction.atomic():
                        jobs.defer("note", next(numbers))
            finally:
                connection.close()

        with through(port, is_web=True), ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))
        wait_until(lambda: Job.objects.filter(state="done").count() == 400, "all are done")
    noted = AuditEntry.objects.filter(action="noted").values_list("subject_id", flat=True)
    assert sorted(noted) == sorted(str(n) for n in range(400))
    assert set(Job.objects.values_list("runs", flat=True)) == {1}


@pytest.mark.long
def test_web_serves_through_one(port: int, tmp_path: Path) -> None:
    pooler = {"POSTGRES_POOLER_HOST": "127.0.0.1", "POSTGRES_POOLER_PORT": str(port)}
    with running(tmp_path / "log", **pooler) as web:
        assert requests.get(f"http://127.0.0.1:{web}/health/", timeout=10).json()["parts"]["database"] == "ok"
        found = [one for one in psutil.net_connections("tcp") if one.status == "ESTABLISHED" and one.raddr]
        assert port in {one.raddr.port for one in found}
