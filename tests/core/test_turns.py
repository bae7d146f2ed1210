"""A worker's turn: it works until nothing is due, hands over in time, stops when told to, and serves who waits next."""

import signal
from collections.abc import Iterator

import pytest
from django_q.timeout import TimeoutHandler

from apps.core import jobs, sweep, turns
from apps.core.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of what has run, in order."""
    keys: list[str] = []
    monkeypatch.setattr(jobs, "KINDS", {})
    jobs.register("note", keys.append)
    jobs.register("tidy", keys.append, importance=Job.Importance.SWEEP)
    return keys


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many wake-ups each hand-over has left."""
    counts: list[int] = []
    monkeypatch.setattr(turns, "wake_up", lambda count=1: counts.append(count))
    return counts


def defer_notes(count: int) -> None:
    jobs.defer_many("note", {str(n): f"note:{n}" for n in range(count)})


def test_one_turn_works_until_nothing_is_due(ran: list[str], woken: list[int]) -> None:
    """perf 5a: one wake-up ran one job, and a thousand took 100 s on an idle system."""
    defer_notes(200)
    turns.take_turn()
    assert (sorted(map(int, ran)), woken) == (list(range(200)), [])


def test_what_a_job_asks_for_runs_in_the_same_turn(ran: list[str], woken: list[int]) -> None:
    jobs.register("chain", lambda key: jobs.defer("note", key, lane=f"chain:{key}") and None)
    jobs.defer("chain", "1", lane="chain:1")
    turns.take_turn()
    assert (ran, woken) == (["1"], [])


def test_a_turn_that_is_over_hands_the_rest_to_the_next_wake_up(
    ran: list[str], woken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    defer_notes(5)
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    turns.take_turn()
    assert (ran, woken) == ([], [1])
    monkeypatch.undo()
    monkeypatch.setattr(jobs, "KINDS", {"note": jobs.Kind("note", "Note", ran.append, (), 0)})
    turns.take_turn()
    assert len(ran) == 5


def test_a_worker_that_is_told_to_stop_begins_no_other_job(
    ran: list[str], woken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    defer_notes(5)
    monkeypatch.setattr(turns, "is_stopping", lambda: len(ran) == 2)
    turns.take_turn()
    assert (len(ran), woken, Job.objects.filter(state="queued").count()) == (2, [1], 3)


def test_who_has_paid_is_next_in_the_midst_of_a_turn_over_ten_thousand_sweeps(ran: list[str], woken: list[int]) -> None:
    """Also what a person clicked, and events: at most the job that is already running is before them."""

    def pay(_key: str) -> None:
        jobs.defer("note", "event")
        jobs.defer("note", "clicked", importance=Job.Importance.CLICKED)
        jobs.defer("note", "payer", importance=Job.Importance.PERSON_WAITS)

    jobs.register("pay", pay, importance=Job.Importance.SWEEP)
    jobs.defer("pay", "1")
    jobs.defer_many("tidy", {str(n): f"t{n}" for n in range(10_000)})
    for _ in range(5):
        if (job := jobs.claim()) is not None:
            jobs.run(job)
    assert ran[:3] == ["payer", "clicked", "event"]


def test_sweeps_run_whenever_nothing_better_is_due(ran: list[str], woken: list[int]) -> None:
    jobs.defer("tidy", "sweep")
    defer_notes(3)
    turns.take_turn()
    assert ran[-1] == "sweep"


@pytest.fixture
def alarm() -> Iterator[None]:
    """What django-q2 does around a turn, with five seconds left of it."""
    before = signal.getsignal(signal.SIGALRM)
    with TimeoutHandler(5):
        yield
    signal.signal(signal.SIGALRM, before)


def seconds_left_of_each(count: int) -> list[float]:
    """How much time each of so many jobs of one turn has when it begins."""
    left: list[float] = []
    jobs.register("time", lambda _key: left.append(signal.getitimer(signal.ITIMER_REAL)[0]))
    jobs.defer_many("time", {str(n): f"time:{n}" for n in range(count)})
    turns.take_turn()
    return left


def test_each_job_of_a_turn_has_the_whole_time_of_a_job(ran: list[str], alarm: None) -> None:
    left = seconds_left_of_each(3)
    assert len(left) == 3
    assert min(left) > jobs.JOB_SECONDS - 2


def test_elsewhere_no_time_out_is_touched(ran: list[str]) -> None:
    before, _ = signal.setitimer(signal.ITIMER_REAL, 500)  # pytest's
    left = seconds_left_of_each(2)
    signal.setitimer(signal.ITIMER_REAL, before)
    assert min(left) > 400


@pytest.mark.mutant
def test_mutant_without_the_restart_the_jobs_share_what_is_left(
    ran: list[str], alarm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_restart_timeout", lambda: None)
    assert max(seconds_left_of_each(3)) <= 5


def test_a_job_that_is_out_of_time_ends_the_turn_and_the_others_stay(ran: list[str], woken: list[int]) -> None:
    def hang(_key: str) -> None:
        raise SystemExit

    jobs.register("hang", hang, importance=Job.Importance.PERSON_WAITS)
    jobs.defer("hang", "1")
    defer_notes(3)
    with pytest.raises(SystemExit):
        turns.take_turn()
    assert sorted(Job.objects.values_list("kind", "state", "attempts")) == [
        ("hang", "queued", 1), ("note", "queued", 0), ("note", "queued", 0), ("note", "queued", 0),
    ]  # fmt: skip
    sweep.sweep()
    turns.take_turn()
    assert len(ran) == 3
