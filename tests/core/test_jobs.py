"""The ledger, promise by promise. Time is moved by changing rows; nothing here waits."""

import datetime as dt
import itertools
import signal
import threading
import time

import pytest
from django.db import OperationalError, connection, transaction

from apps.core import claims, clock, job_outcomes, jobs, sweep, turns
from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.core.locks import LockClass
from apps.core.models import Dependency, Job, Schedule

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    """Only the kinds that a test registers."""
    monkeypatch.setattr(jobs, "KINDS", {})
    return jobs.KINDS


@pytest.fixture
def ran():
    """Registers `note`, which writes down the keys it was run for."""
    keys: list[str] = []
    jobs.register("note", keys.append)
    return keys


def failing(*outcomes, kind="fail", **options):
    """Registers a kind that raises these in turn, and the last one for ever; None: success."""
    turns = itertools.chain(outcomes, itertools.repeat(outcomes[-1]))

    def handler(_key):
        outcome = next(turns)
        if outcome is not None:
            raise outcome

    jobs.register(kind, handler, **options)


def make_due():
    Job.objects.filter(state="queued").update(not_before=clock.now() - dt.timedelta(seconds=1))


def only():
    return Job.objects.get()


# --- asking ----------------------------------------------------------------------------------------------------------


def test_rings_for_the_same_work_make_one_waiting_row(ran):
    first = jobs.defer("note", 1, reason="a")
    assert jobs.defer("note", "1", reason="b") == first
    assert jobs.defer("note", 2) != first
    assert Job.objects.get(pk=first).reason == "b"
    assert jobs.drain() == 2
    assert ran == ["1", "2"]


def test_the_earlier_moment_wins_whatever_the_order(ran):
    soon, late = clock.now() + dt.timedelta(hours=1), clock.now() + dt.timedelta(days=1)
    jobs.defer("note", 1, not_before=late)
    jobs.defer("note", 1, not_before=soon)
    jobs.defer("note", 1, not_before=late)
    assert only().not_before == soon
    assert jobs.drain() == 0


def test_work_for_later_waits_for_its_time(ran):
    jobs.defer("note", 1, not_before=clock.now() + dt.timedelta(hours=1))
    assert jobs.drain() == 0
    make_due()
    assert jobs.drain() == 1


def test_a_ring_does_not_shorten_the_wait_after_a_failure():
    failing(RetryLater("busy"))
    jobs.defer("fail", 1)
    jobs.drain()
    until = only().not_before
    jobs.defer("fail", 1)
    assert only().not_before == until > clock.now()


def test_a_rollback_takes_the_job_with_it(ran):
    with transaction.atomic():
        jobs.defer("note", 1)
        transaction.set_rollback(True)
    assert not Job.objects.exists()


# --- running ---------------------------------------------------------------------------------------------------------


def test_a_ring_during_a_run_causes_exactly_one_more_run(ran):
    def handler(key):
        ran.append(key)
        if len(ran) == 1:
            for _ in range(3):
                jobs.defer("note", key)

    jobs.register("note", handler)
    jobs.defer("note", 1)
    assert jobs.drain() == 2
    assert list(Job.objects.values_list("state", flat=True)) == ["done", "done"]


def test_the_attempt_is_counted_before_the_work():
    seen = []
    jobs.register("look", lambda _key: seen.append(Job.objects.values_list("state", "attempts").get()))
    jobs.defer("look", 1)
    jobs.drain()
    assert seen == [("running", 1)]


def test_failures_wait_30_60_120_seconds_and_then_it_is_dead():
    failing(RetryLater("busy"))
    jobs.defer("fail", 1)
    for expected in (30, 60, 120):
        make_due()
        before = clock.now()
        assert jobs.drain() == 1
        wait = (only().not_before - before).total_seconds()
        assert expected * 0.8 <= wait <= expected * 1.2 + 5
    make_due()
    jobs.drain()
    job = only()
    assert (job.state, job.attempts, job.last_error) == ("dead", 4, "busy")
    assert [entry["outcome"] for entry in job.history] == ["retry", "retry", "retry", "dead"]
    make_due()
    assert jobs.drain() == 0


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_the_wait_is_spread_by_a_fifth_to_either_side(attempt):
    middle = 30 * 2 ** (attempt - 1)
    waits = [job_outcomes.backoff(attempt).total_seconds() / middle for _ in range(400)]
    assert min(waits) >= 0.8
    assert max(waits) <= 1.2
    assert max(waits) - min(waits) > 0.2


def test_a_handler_may_name_its_own_wait():
    failing(RetryLater("later", after=dt.timedelta(hours=2)))
    jobs.defer("fail", 1)
    jobs.drain()
    assert dt.timedelta(hours=1.9) < only().not_before - clock.now() <= dt.timedelta(hours=2)


def test_a_bug_is_retried_and_its_text_is_not_kept():
    failing(ValueError("ada@example.com"))
    jobs.defer("fail", 1)
    jobs.drain()
    assert only().last_error.startswith("Unexpected ValueError")
    assert "ada@" not in str(only().history)


@pytest.mark.parametrize("bug", [KeyError("x"), AttributeError("x")])
def test_any_bug_in_a_handler_counts_as_a_failed_attempt(bug):
    failing(bug)
    jobs.defer("fail", 1)
    jobs.drain()
    assert (only().state, only().attempts) == ("queued", 1)


def test_work_that_needs_an_operator_is_blocked_at_once():
    failing(NeedsOperator("Choose a new username."))
    jobs.defer("fail", 1)
    jobs.drain()
    assert (only().state, only().last_error) == ("blocked", "Choose a new username.")


def test_work_nobody_can_do_is_blocked_with_its_kind():
    jobs.defer("gone", 1)
    jobs.drain()
    assert (only().state, only().last_error) == ("blocked", "No code runs jobs of kind gone.")


def test_success_settles_what_was_dead_or_blocked_before():
    failing(NeedsOperator("no"), None)
    jobs.defer("fail", 1)
    jobs.drain()
    jobs.retry(Job.objects.get(state="blocked"), actor="staff:ada")
    jobs.drain()
    assert list(Job.objects.order_by("id").values_list("state", flat=True)) == [
        "superseded",
        "done",
    ]
    assert Job.objects.get(state="done").reason == "retried by staff:ada"


def test_a_failed_run_hands_its_attempts_to_the_ring_that_came_meanwhile():
    def handler(key):
        jobs.defer("fail", key)
        raise RetryLater("busy")

    jobs.register("fail", handler)
    jobs.defer("fail", 1)
    jobs.drain()
    old, new = Job.objects.order_by("id")
    assert (old.state, new.state, new.attempts, new.last_error) == (
        "superseded",
        "queued",
        1,
        "busy",
    )
    assert new.not_before > clock.now() + dt.timedelta(seconds=20)
    for _ in range(3):
        make_due()
        jobs.drain()
    assert Job.objects.filter(state="dead").count() == 1


def test_a_time_out_is_a_failed_attempt_and_still_ends_the_process():
    failing(SystemExit("Task exceeded maximum timeout"))
    jobs.defer("fail", 1)
    with pytest.raises(SystemExit):
        jobs.drain()
    assert (only().state, only().attempts) == ("queued", 1)
    assert "longer than its time" in only().last_error


@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F58")
def test_a_time_out_in_the_midst_of_a_query_is_recorded_at_once():
    def slow(_key):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")

    def out_of_time(_signal, _frame):
        raise SystemExit

    jobs.register("slow", slow)
    jobs.defer("slow", 1)
    before = signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(SystemExit):
            jobs.drain()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (only().state, only().attempts) == ("queued", 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F58")
def test_a_lost_database_connection_is_a_failed_attempt():
    def cut(_key):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    jobs.register("cut", cut)
    jobs.defer("cut", 1)
    jobs.drain()
    assert (only().state, only().attempts) == ("queued", 1)


def deadlock(first, second):
    """Two that lock the same two rows in opposite orders: Postgres ends one of them."""
    met = threading.Barrier(2)

    def lock(order):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [order[0]])
            met.wait(timeout=20)
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [order[1]])

    def other():
        try:
            lock((second, first))
        except OperationalError:
            pass
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET deadlock_timeout = '10ms'")  # so that ours is the one that notices
        lock((first, second))
    finally:
        thread.join()


def conflict():
    """A serializable transaction whose row another one changes meanwhile."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        Dependency.objects.get(name="x")

        def change():
            Dependency.objects.filter(name="x").update(reason="changed meanwhile")
            connection.close()

        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        Dependency.objects.filter(name="x").update(reason="ours")


def time_out():
    """A statement that takes longer than it may."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '20ms'")
        cursor.execute("SELECT pg_sleep(20)")


@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F58")
@pytest.mark.parametrize(
    "fault", [lambda: deadlock(701, 702), conflict, time_out], ids=["deadlock", "conflict", "time-out"]
)
def test_what_postgres_ends_is_tried_again_and_has_its_effect_once(fault):
    now = clock.now()
    Dependency.objects.create(name="x", down_since=now, probe_at=now, reason="before")
    faults, effects = [fault], []

    def handler(key):
        with transaction.atomic():
            Dependency.objects.create(name=f"effect {len(effects)}", down_since=now, probe_at=now)
            if faults:
                faults.pop()()
        effects.append(key)

    jobs.register("write", handler)
    jobs.defer("write", 1)
    jobs.drain()
    assert (only().state, only().attempts) == ("queued", 1)
    assert not Dependency.objects.filter(name__startswith="effect").exists()
    make_due()
    jobs.drain()
    assert only().state == "done"
    assert effects == ["1"]
    assert Dependency.objects.filter(name__startswith="effect").count() == 1


# --- a system that is down -------------------------------------------------------------------------------------------


def down_and_up(count):
    """`count` jobs that need Keycloak, run once while it is down; returns what makes it answer again."""
    state = {"up": False, "calls": 0}

    def handler(_key):
        state["calls"] += 1
        if not state["up"]:
            raise DependencyDown("keycloak", "Keycloak does not answer.")

    jobs.register("call", handler, needs=("keycloak",))
    for key in range(count):
        jobs.defer("call", key)
    jobs.drain()
    return state


def test_while_a_system_is_down_jobs_wait_and_spend_no_attempt():
    state = down_and_up(5)
    for _ in range(6):
        make_due()
        jobs.drain()
    assert state["calls"] == 1  # the first found out, the others were not even tried
    assert set(Job.objects.values_list("state", "attempts", "parked_on")) == {("queued", 0, "keycloak")}
    assert Dependency.objects.get().reason == "Keycloak does not answer."


def test_one_success_releases_everything_that_was_parked():
    state = down_and_up(5)
    state["up"] = True
    Dependency.objects.update(probe_at=clock.now())
    Job.objects.filter(key="3").update(not_before=clock.now())
    jobs.drain()
    assert set(Job.objects.values_list("state", "parked_on")) == {("done", "")}
    assert not Dependency.objects.exists()


def test_a_system_that_is_down_is_tried_once_per_probe():
    state = down_and_up(5)
    for _ in range(3):
        Dependency.objects.update(probe_at=clock.now())
        make_due()
        jobs.drain()
    assert state["calls"] == 1 + 3


def test_the_sweep_sends_one_parked_job_to_try_and_lets_the_others_wait():
    state = down_and_up(5)
    runs = sum(Job.objects.values_list("runs", flat=True))
    make_due()
    sweep.sweep()
    assert jobs.drain() == 0
    Dependency.objects.update(probe_at=clock.now())
    make_due()
    sweep.sweep()
    assert jobs.drain() == 1
    assert (state["calls"], sum(Job.objects.values_list("runs", flat=True))) == (2, runs + 1)
    state["up"] = True
    Dependency.objects.update(probe_at=clock.now())
    sweep.sweep()
    jobs.drain()
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}


def test_a_system_nothing_waits_for_counts_as_up_again():
    down_and_up(1)
    Job.objects.all().delete()
    Dependency.objects.update(probe_at=clock.now() - dt.timedelta(hours=1))
    sweep.sweep()
    assert not Dependency.objects.exists()


def test_a_kind_that_did_not_say_what_it_needs_leaves_no_system_down_for_ever():
    failing(DependencyDown("stripe", "away"), None)
    jobs.defer("fail", 1)
    jobs.drain()
    assert (only().parked_on, only().attempts) == ("stripe", 0)
    make_due()
    jobs.drain()
    assert only().state == "done"
    assert not Dependency.objects.exists()


# --- what a sweep repairs --------------------------------------------------------------------------------------------


@pytest.mark.fault("F47")
def test_periodic_work_runs_once_after_three_days_without_a_worker(monkeypatch, ran):
    """F47."""
    jobs.register("note", ran.append, every=60)
    sweep.sweep()
    jobs.drain()
    assert ran == ["periodic"]
    Schedule.objects.update(next_at=clock.now() - dt.timedelta(days=3))
    sweep.sweep()
    sweep.sweep()
    jobs.drain()
    sweep.sweep()
    assert (jobs.drain(), ran) == (0, ["periodic"] * 2)


def test_periodic_work_that_is_still_waiting_is_not_doubled(ran):
    jobs.register("note", ran.append, every=60)
    for _ in range(3):
        Schedule.objects.update(next_at=clock.now() - dt.timedelta(hours=1))
        sweep.sweep()
    assert Job.objects.filter(state="queued").count() == 1


# --- several runners -------------------------------------------------------------------------------------------------

TRANSACTION = pytest.mark.django_db(transaction=True)


class Runner(threading.Thread):
    """Another worker, as far as the database can tell: a thread with its own connection."""

    def __init__(self, work):
        super().__init__()
        self.work, self.result = work, None
        self.start()

    def run(self):
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001  (the test judges it)
            self.result = error
        finally:
            connection.close()

    def wait(self):
        self.join(timeout=30)
        return self.result


class Slow:
    """A handler that stays until it is let go, and knows how many are inside at once."""

    def __init__(self, *, loses_its_lock=False):
        self.loses_its_lock = loses_its_lock
        self.entered, self.leave = threading.Semaphore(0), threading.Event()
        self.inside = self.most = self.calls = 0
        self.lock = threading.Lock()

    def __call__(self, _key):
        with self.lock:
            self.calls += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
            first = self.calls == 1
        if first and self.loses_its_lock:
            connection.close()
        self.entered.release()
        self.leave.wait(timeout=20)
        with self.lock:
            self.inside -= 1


@pytest.fixture
def slow():
    handler = Slow()
    jobs.register("slow", handler)
    yield handler
    handler.leave.set()


def start_slow(slow):
    jobs.defer("slow", 1)
    runner = Runner(turns.take_turn)
    assert slow.entered.acquire(timeout=10)
    return runner


@TRANSACTION
def test_jobs_of_one_lane_never_run_at_the_same_time(slow):
    for key in range(4):
        jobs.defer("slow", key, lane="one")
    runners = [Runner(jobs.drain) for _ in range(4)]
    assert slow.entered.acquire(timeout=10)
    time.sleep(0.3)
    slow.leave.set()
    for runner in runners:
        assert isinstance(runner.wait(), int)
    jobs.drain()
    assert (slow.most, slow.calls) == (1, 4)


@TRANSACTION
def test_different_lanes_run_at_the_same_time(slow):
    for key in range(3):
        jobs.defer("slow", key)
    runners = [Runner(turns.take_turn) for _ in range(3)]
    for _ in range(3):
        assert slow.entered.acquire(timeout=10)
    slow.leave.set()
    for runner in runners:
        runner.wait()
    assert slow.most == 3


@TRANSACTION
@pytest.mark.mutant
def test_mutant_without_the_lane_rule_they_overlap(slow, monkeypatch):
    monkeypatch.setattr(claims, "CLAIM", claims.CLAIM.replace("r.lane = j.lane", "false"))
    (constraint,) = [found for found in Job._meta.constraints if found.name == "job_one_running_per_lane"]
    with connection.schema_editor() as schema:
        schema.remove_constraint(Job, constraint)
    try:
        for key in range(2):
            jobs.defer("slow", key, lane="one")
        runners = [Runner(turns.take_turn) for _ in range(2)]
        for _ in range(2):
            slow.entered.acquire(timeout=10)
        slow.leave.set()
        for runner in runners:
            runner.wait()
        assert slow.most == 2
    finally:
        with connection.schema_editor() as schema:
            schema.add_constraint(Job, constraint)


@TRANSACTION
def test_two_runners_never_take_the_same_job(ran):
    for key in range(60):
        jobs.defer("note", key)
    runners = [Runner(jobs.drain) for _ in range(6)]
    assert sum(runner.wait() for runner in runners) + jobs.drain() == 60
    assert len(ran) == len(set(ran)) == 60


@TRANSACTION
def test_a_living_runner_is_left_alone_however_long_it_takes(slow):
    runner = start_slow(slow)
    Job.objects.update(started_at=clock.now() - dt.timedelta(hours=1))
    assert sweep.recover() == 0
    slow.leave.set()
    runner.wait()
    assert (only().state, slow.calls) == ("done", 1)


def die_while_running(slow):
    """A runner whose connection is gone, as after kill -9, while its code would go on."""
    runner = start_slow(slow)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND l.classid = %s AND d.datname = current_database()",
            [LockClass.JOB_RUN],
        )
    Job.objects.update(started_at=clock.now() - dt.timedelta(minutes=1))
    while sweep.recover() == 0:
        time.sleep(0.02)
    return runner


@TRANSACTION
def test_a_dead_runners_job_is_due_at_once_and_its_attempt_given_back(slow):
    die_while_running(slow)
    job = only()
    assert (job.state, job.attempts, job.last_error) == ("queued", 0, "The worker that ran it died.")
    assert job.not_before <= clock.now()
    assert sweep.recover() == 0


def lose_the_row(slow):
    """A runner that goes on with a new connection, without its lock, while its job was handed on."""
    slow.loses_its_lock = True
    runner = start_slow(slow)
    Job.objects.update(started_at=clock.now() - dt.timedelta(minutes=1))
    while sweep.recover() == 0:  # Postgres lets go of the lock a moment after the connection has closed
        time.sleep(0.02)
    make_due()
    return runner


@TRANSACTION
def test_a_runner_that_lost_its_row_does_not_write_over_the_next_one(slow):
    lost = lose_the_row(slow)
    claimed = jobs.claim()
    slow.leave.set()
    lost.wait()
    assert only().state == "running"
    jobs.run(claimed)
    job = only()
    assert (job.state, job.runs, job.attempts) == ("done", 2, 1)
    assert [entry["outcome"] for entry in job.history] == ["died", "done"]


@TRANSACTION
@pytest.mark.mutant
def test_mutant_without_the_fence_the_lost_runner_writes_over(slow, monkeypatch):
    monkeypatch.setattr(job_outcomes, "END", job_outcomes.END.replace(job_outcomes.FENCE, "id = %(id)s"))
    lost = lose_the_row(slow)
    assert jobs.claim()
    slow.leave.set()
    lost.wait()
    assert only().state == "done"  # said by a run that was not its own


@TRANSACTION
def test_a_runner_that_lost_its_lock_before_it_began_leaves_the_job_to_the_next(ran):
    jobs.defer("note", 1)
    stalled = jobs.claim()
    assert Runner(sweep.recover).wait() == 0  # locked from the claim on
    connection.close()
    while sweep.recover() == 0:
        time.sleep(0.02)
    jobs.run(stalled)
    assert (ran, only().state) == ([], "queued")


@TRANSACTION
@pytest.mark.mutant
def test_mutant_without_the_runners_lock_a_job_runs_twice_at_once(slow, monkeypatch):
    monkeypatch.setattr(claims, "CLAIM", claims.CLAIM.replace(claims.LOCK, "NULL"))
    runner = start_slow(slow)
    Job.objects.update(started_at=clock.now() - dt.timedelta(hours=1))
    assert sweep.recover() == 1
    make_due()
    second = Runner(turns.take_turn)
    assert slow.entered.acquire(timeout=10)
    slow.leave.set()
    runner.wait()
    second.wait()
    assert slow.most == 2


def killed_again_and_again(limit):
    """How many runs a job gets whose runner dies each time, up to `limit`."""
    for count in range(limit):
        make_due()
        job = jobs.claim()
        if job is None:
            return count
        Job.objects.filter(pk=job.pk).update(started_at=clock.now() - dt.timedelta(minutes=1))
        sweep.recover()
    return limit


@TRANSACTION
@pytest.mark.fault("F51")
def test_a_job_that_always_kills_its_worker_is_dead_after_four_runs(ran):
    """F51."""
    jobs.defer("note", 1)
    assert killed_again_and_again(limit=10) == 4
    assert only().state == "dead"


@TRANSACTION
@pytest.mark.mutant
@pytest.mark.fault("F51")
def test_mutant_without_counting_deaths_it_loops_for_ever(ran, monkeypatch):
    monkeypatch.setattr(job_outcomes, "count_deaths", lambda _job: 0)
    jobs.defer("note", 1)
    assert killed_again_and_again(limit=10) == 10


@pytest.mark.mutant
def test_mutant_without_the_one_waiting_row_rings_pile_up(ran):
    name = "job_one_waiting_per_kind_and_key"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {name}")  # rolled back with the test
        cursor.execute(f"CREATE INDEX {name} ON core_job (kind, key) WHERE state = 'queued'")
    for _ in range(3):
        Job.objects.create(kind="note", key="1", lane="note:1", not_before=clock.now(), created_at=clock.now())
    jobs.drain()
    assert ran == ["1"] * 3


@TRANSACTION
def test_a_job_in_an_open_transaction_is_seen_by_nobody(ran):
    with transaction.atomic():
        jobs.defer("note", 1)
        assert Runner(jobs.drain).wait() == 0
    assert Runner(jobs.drain).wait() == 1


@TRANSACTION
def test_many_rings_at_once_make_one_waiting_row(ran):
    runners = [Runner(lambda: jobs.defer("note", 1)) for _ in range(12)]
    assert len({runner.wait() for runner in runners}) == 1
