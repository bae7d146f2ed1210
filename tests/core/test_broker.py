"""Wake-ups: notifications that arrive, are lost, doubled or cut off, and the question that finds the work all the same."""

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django_q.conf import Conf
from django_q.signing import BadSignature, SignedPackage

from apps.core import broker, claims, clock, jobs, turns
from apps.core.models import Job

pytestmark = pytest.mark.django_db(transaction=True)
LATE = 20.0  # a poll that would be too late for every test here


class Listener(threading.Thread):
    """A cluster's part that fetches tasks, with its own connection; the names of what it got, in order."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.broker, self.got, self.stop, self.pids = broker.LedgerBroker("test"), [], False, [0]
        self.got: list[str]
        self.broker.heartbeat_due = float("inf")
        self.start()

    def run(self) -> None:
        while not self.stop:
            self.got += [SignedPackage.loads(task)["name"] for _, task in self.broker.dequeue()]
            if self.broker.listening:
                self.pids.append(self.broker.listening.info.backend_pid)
        connection.close()

    def end(self) -> None:
        self.stop = True
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_notify('{broker.CHANNEL}', '')")
        self.join(timeout=10)


def wait_for(condition: Callable[[], Any], *, seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("not in time")


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ran: list[str] = []
    monkeypatch.setattr(jobs, "KINDS", {})
    jobs.register("note", ran.append)
    monkeypatch.setattr(broker, "POLL_SECONDS", LATE)
    return ran


@pytest.fixture
def listen() -> Iterator[Callable[[], Listener]]:
    made: list[Listener] = []

    def listen() -> Listener:
        made.append(Listener())
        wait_for(lambda: made[-1].broker.listening)
        return made[-1]

    yield listen
    for one in made:
        one.end()


def kill(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


def add_unnoticed(key: str = "1") -> None:
    """A job whose wake-up was lost."""
    Job.objects.create(kind="note", key=key, lane=f"note:{key}", not_before=clock.now(), created_at=clock.now())


def test_a_committed_job_starts_a_turn_without_a_poll(listen: Callable[[], Listener]) -> None:
    one = listen()
    jobs.defer("note", 1)
    wait_for(lambda: one.got == ["take_turn"])


def test_the_wake_up_leaves_with_the_transaction_and_not_before(listen: Callable[[], Listener]) -> None:
    one = listen()
    with transaction.atomic():
        jobs.defer("note", 1)
        time.sleep(0.2)
        assert one.got == []
    wait_for(lambda: one.got == ["take_turn"])


def heard_of(act: Callable[[], object]) -> int:
    """How many notifications somebody else gets of an act."""
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
        other.autocommit = True
        other.execute(f"LISTEN {broker.CHANNEL}")
        act()
        return len(list(other.notifies(timeout=0.2)))


def roll_back() -> None:
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        jobs.defer("note", 1)
        raise ZeroDivisionError


def test_one_wake_up_for_a_thousand_jobs_and_none_for_what_is_rolled_back_or_not_due() -> None:
    """perf 5a: fifty rows, one by one."""
    assert heard_of(lambda: jobs.defer_many("note", {str(n): f"n{n}" for n in range(1000)})) == 1
    assert heard_of(roll_back) == 0
    later = clock.now() + dt.timedelta(hours=1)
    assert heard_of(lambda: jobs.defer("note", "later", not_before=later)) == 0


def test_a_lost_wake_up_is_found_by_the_next_poll(
    listen: Callable[[], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "POLL_SECONDS", 0.2)
    one = listen()
    add_unnoticed()
    wait_for(lambda: "take_turn" in one.got)


def test_a_doubled_wake_up_starts_nothing_when_nothing_is_due(listen: Callable[[], Listener]) -> None:
    one = listen()
    jobs.defer("note", 1)
    wait_for(lambda: one.got)
    jobs.drain()
    before = len(one.got)
    for _ in range(5):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_notify('{broker.CHANNEL}', '')")
    jobs.defer("note", 2)
    wait_for(lambda: len(one.got) > before)
    jobs.drain()
    assert len(one.got) - before <= Conf.WORKERS


def test_a_killed_connection_listens_again_and_finds_what_came_meanwhile(
    listen: Callable[[], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "RECONNECT_SECONDS", 0.05)
    one = listen()
    for round_ in range(3):
        pid = one.broker.listening.info.backend_pid
        kill(pid)
        add_unnoticed(f"in the gap {round_}")
        wait_for(lambda: "take_turn" in one.got)
        wait_for(lambda: one.pids[-1] not in {0, pid})  # noqa: B023
        jobs.drain()
        one.got.clear()
        jobs.defer("note", f"afterwards {round_}")
        wait_for(lambda: "take_turn" in one.got)
        jobs.drain()
        one.got.clear()


@pytest.mark.mutant
def test_mutant_that_does_not_listen_again_waits_for_the_poll(
    listen: Callable[[], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "RECONNECT_SECONDS", 0.05)
    one = listen()
    monkeypatch.setattr(broker, "CHANNEL", "another")
    kill(one.broker.listening.info.backend_pid)
    time.sleep(0.5)
    jobs.defer("note", 1)
    with pytest.raises(AssertionError, match="not in time"):
        wait_for(lambda: "take_turn" in one.got, seconds=1)
    one.stop = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('another', '')")


def test_a_job_that_comes_while_it_asks_is_not_slept_over(
    listen: Callable[[], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notification arrives between the question's snapshot and the next wait."""
    count_due = claims.count_due
    late = iter(["1"])

    def count_and_miss(*, limit: int) -> int:
        found = count_due(limit=limit)
        for key in late:
            worker = threading.Thread(target=lambda: (jobs.defer("note", key), connection.close()))  # noqa: B023
            worker.start()
            worker.join()
            count_due(limit=limit)  # takes the notification off the wire
        return found

    monkeypatch.setattr(claims, "count_due", count_and_miss)
    one = listen()
    wait_for(lambda: "take_turn" in one.got)


def test_jobs_of_a_busy_lane_start_no_turns(listen: Callable[[], Listener]) -> None:
    jobs.defer("note", "1", lane="busy")
    assert jobs.claim() is not None
    jobs.defer_many("note", {str(n): "busy" for n in range(2, 50)})
    assert claims.count_due(limit=10) == 0
    jobs.defer("note", "free")
    assert claims.count_due(limit=10) == 1


@pytest.mark.fault("F52")
def test_what_it_hands_out_is_signed_and_a_new_secret_key_costs_no_work(
    kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F52: django-q2 throws away what it cannot verify; nothing signed is kept in the database."""
    monkeypatch.setattr(broker, "POLL_SECONDS", 0.05)
    for key in range(100):
        jobs.defer("note", key)
    one = broker.LedgerBroker("test")
    one.heartbeat_due = float("inf")
    before = one.dequeue()
    monkeypatch.setattr(Conf, "SECRET_KEY", "another-key-than-the-one-before")
    with pytest.raises(BadSignature):
        SignedPackage.loads(before[0][1])
    (_, task), *_ = one.dequeue()
    assert SignedPackage.loads(task)["func"] == f"{turns.__name__}.take_turn"
    turns.take_turn()
    assert sorted(kinds, key=int) == [str(key) for key in range(100)]


def test_heartbeats_go_the_way_of_all_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "POLL_SECONDS", 0.0)
    one = broker.LedgerBroker("test")
    assert [SignedPackage.loads(task)["name"] for _, task in one.dequeue()] == ["record_heartbeat"]
    assert one.dequeue() == []


def test_nothing_is_put_into_a_second_queue() -> None:
    with pytest.raises(RuntimeError):
        broker.LedgerBroker("test").enqueue("task")
