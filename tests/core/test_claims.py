"""What a claim costs and finds when very many jobs are due behind one busy lane, and that none of them stays there."""

import datetime as dt
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from apps.core import claims, clock, job_outcomes, jobs, sweep
from apps.core.models import Job, Schedule

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    keys: list[str] = []
    monkeypatch.setattr(jobs, "KINDS", {})
    jobs.register("note", keys.append)
    jobs.register("tidy", keys.append, importance=Job.Importance.SWEEP)
    return keys


def queue_behind(lane: str, count: int) -> None:
    """So many due jobs in one lane, which were asked for before all others."""
    past = clock.now() - dt.timedelta(hours=1)
    jobs.defer_many("note", {f"{lane}-{n}": lane for n in range(count)}, not_before=past)


def make_busy(lane: str) -> Job:
    jobs.defer("note", f"runs in {lane}", lane=lane, importance=Job.Importance.PERSON_WAITS)
    job = jobs.claim()
    assert job is not None
    assert job.lane == lane
    return job


def pages_read(statement: str, **values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", {"now": clock.now()} | values)
        (found,) = cursor.fetchone()
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def cost_of_claims() -> list[int]:
    """Pages of one claim and of one question, undone."""
    costs = []
    with connection.cursor() as cursor:
        cursor.execute("REINDEX TABLE core_job")  # without what earlier tests have undone
        cursor.execute("ANALYZE core_job")
    for statement in (claims.CLAIM, claims.COUNT, claims.SET_ASIDE):
        with transaction.atomic():
            costs.append(pages_read(statement))
            transaction.set_rollback(True)
    return costs


def test_a_claim_behind_a_busy_lane_costs_the_same_for_twenty_thousand_jobs() -> None:
    """perf 5d: 68-186 ms behind 100,000; each claim read them all."""
    make_busy("busy")
    queue_behind("busy", 2_000)
    few = cost_of_claims()
    past = clock.now() - dt.timedelta(hours=1)
    jobs.defer_many("note", {f"more-{n}": "busy" for n in range(18_000)}, not_before=past)
    many = cost_of_claims()
    # A window of a hundred rows; read one by one or not, as the planner likes.
    assert max(few[:2] + many[:2]) < 10 * claims.WINDOW
    assert many[2] <= 1.5 * few[2] + 500  # its thousand rows are written once


def test_a_claim_reads_no_jobs_of_the_future() -> None:
    """One subscriber in sixteen has a job for a date."""
    later = clock.now() + dt.timedelta(days=20)
    jobs.defer_many("note", {f"dated-{n}": f"d{n}" for n in range(20_000)}, not_before=later)
    jobs.defer("tidy", "due")
    claim, question, _ = cost_of_claims()
    assert claim < 200  # some 30, and more where others have worked on the server
    assert question < 200


@pytest.mark.long
def test_the_free_lane_behind_a_thousand_jobs_of_a_busy_one_is_found(ran: list[str]) -> None:
    busy = make_busy("busy")
    queue_behind("busy", 1_050)
    jobs.defer("note", "free")
    assert claims.count_due(limit=2) > 0
    assert jobs.drain() == 1
    assert ran == ["free"]
    assert claims.count_due(limit=2) == 0
    jobs.run(busy)
    assert jobs.drain(limit=2000) == 1_050
    assert not Job.objects.filter(state="queued").exists()


def test_few_jobs_behind_a_busy_lane_are_not_written_to() -> None:
    make_busy("busy")
    queue_behind("busy", claims.WINDOW - 1)
    assert jobs.claim() is None
    assert not Job.objects.filter(waits_for_lane=True).exists()


def set_many_aside() -> Job:
    busy = make_busy("busy")
    queue_behind("busy", claims.WINDOW + 10)
    assert jobs.claim() is None
    assert Job.objects.filter(waits_for_lane=True).count() == claims.WINDOW + 10
    return busy


ENDS: list[Callable[[Job], object]] = [
    jobs.run,
    lambda job: job_outcomes.finish(job, Job.State.BLOCKED, "for staff"),
    lambda job: job_outcomes.retry_later(job, "busy"),
    job_outcomes.resume_after_death,
]


@pytest.mark.parametrize("end", ENDS)
def test_however_a_run_ends_the_next_of_its_lane_comes_back(end: Callable[[Job], object], ran: list[str]) -> None:
    end(set_many_aside())
    jobs.drain(limit=2000)
    assert not Job.objects.filter(state="queued", attempts=0).exists()
    assert len(ran) >= claims.WINDOW + 10


@pytest.mark.mutant
def test_mutant_that_brings_none_back_leaves_the_lane(monkeypatch: pytest.MonkeyPatch, ran: list[str]) -> None:
    busy = set_many_aside()
    monkeypatch.setattr(job_outcomes, "END", job_outcomes.END.replace(claims.BRING_BACK, ""))
    jobs.run(busy)
    assert jobs.drain() == 0


def test_the_most_important_of_those_set_aside_comes_back_first(ran: list[str]) -> None:
    busy = set_many_aside()
    jobs.defer("note", "busy-7", lane="busy", importance=Job.Importance.PERSON_WAITS)  # joins one that is set aside
    jobs.run(busy)
    jobs.drain(limit=1)
    assert ran[-1] == "busy-7"


def test_the_sweep_frees_a_lane_whose_first_job_was_withdrawn(ran: list[str]) -> None:
    jobs.run(set_many_aside())
    first = Job.objects.get(state="queued", waits_for_lane=False)
    jobs.withdraw(first.kind, first.key, why="by a person")
    assert jobs.drain() == 0
    sweep.sweep()
    assert jobs.drain(limit=2000) == claims.WINDOW + 9


@pytest.mark.django_db(transaction=True)
def end_while_setting_aside() -> int:
    """A run ends while another worker sets its lane aside and has not committed yet; how many jobs can run then."""
    busy = make_busy("busy")
    queue_behind("busy", claims.WINDOW + 10)
    ends = threading.Thread(target=lambda: (jobs.run(busy), connection.close()))
    with transaction.atomic():
        assert claims.set_aside()
        ends.start()
        time.sleep(0.5)
    ends.join(timeout=20)
    return claims.count_due(limit=5)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_ends_while_its_lane_is_set_aside_brings_one_back() -> None:
    assert end_while_setting_aside() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.mutant
def test_mutant_without_the_lock_on_the_running_row_the_lane_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "SET_ASIDE", claims.SET_ASIDE.replace("FOR SHARE SKIP LOCKED", ""))
    assert end_while_setting_aside() == 0


def test_a_job_without_needs_costs_two_statements(django_assert_num_queries: Any) -> None:
    """perf 9: its claim, and its end; it was fifteen with their commits."""
    jobs.defer("note", "1")
    with django_assert_num_queries(2):
        assert jobs.drain(limit=1) == 1


def test_a_sweep_of_nothing_costs_a_few_statements_however_many_kinds(django_assert_max_num_queries: Any) -> None:
    """perf 5e: forty, 36 of them for nine kinds."""
    for number in range(12):
        jobs.register(f"periodic{number}", lambda _key: None, every=3600)
    sweep.sweep()
    with django_assert_max_num_queries(7):
        sweep.sweep()


def test_periodic_work_leaves_one_row_for_each_kind(ran: list[str]) -> None:
    """perf 7: 2.2 million rows a year without any subscriber."""
    jobs.register("note", ran.append, every=60)
    jobs.defer("note", "1")
    for _ in range(5):
        Schedule.objects.update(next_at=clock.now() - dt.timedelta(seconds=1))
        sweep.sweep()
        jobs.drain()
    assert ran.count("periodic") == 5
    assert sorted(Job.objects.values_list("key", "state")) == [("1", "done"), ("periodic", "done")]
