"""Real worker processes, killed in every way: faults F48-F51, F53 and F60. Work goes on, effects happen once, nothing is left."""

import contextlib
import os
import subprocess
import sys
import time

import psutil
import pytest
from django.conf import settings
from django.db import connection

from apps.core import heartbeats, jobs
from apps.core.models import AuditEntry, Heartbeat, Job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("workers")]
SILENT_AFTER = 4


class Stack:
    """One `manage.py worker`: the watchdog and what it started."""

    def __init__(self, *options, settings_module="tests.faults.worker_settings", **more):
        environment = (
            os.environ
            | more
            | {
                "DJANGO_SETTINGS_MODULE": settings_module,
                "PROBE_DATABASE": connection.settings_dict["NAME"],
                "LOG_LEVEL": "CRITICAL",
            }
        )
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "worker", *options],
            cwd=settings.BASE_DIR,
            env=environment,
            start_new_session=True,
        )
        self.known: set[psutil.Process] = set()

    def members(self):
        """All its processes that are alive, the watchdog first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            watchdog = psutil.Process(self.process.pid)
            self.known |= {watchdog, *watchdog.children(recursive=True)}
        return [process for process in self.known if alive(process)]

    def cluster(self):
        """django-q2's parent process."""
        (parent,) = self.clusters()
        return parent

    def clusters(self):
        """The same, in a list that is empty while one is replaced by another."""
        return psutil.Process(self.process.pid).children()

    def idle_workers(self):
        return [process for process in self.members() if title(process).endswith(" idle")]

    def stop(self):
        self.members()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        for process in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


def alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def title(process):
    try:
        return " ".join(process.cmdline()).strip()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def wait_for(condition, *, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"Not within {seconds} s: {what}")


def has_heartbeat():
    return Heartbeat.objects.filter(name__startswith="cluster@").exists()


@pytest.fixture
def start():
    stacks = []

    def start(*, silent_after=SILENT_AFTER, **more):
        stack = Stack("--silent-after", str(silent_after), **more)
        stacks.append(stack)
        return stack

    yield start
    for stack in stacks:
        stack.stop()


@pytest.fixture
def stack(start):
    return ready(start())


def ready(stack):
    wait_for(lambda: has_heartbeat() or stack.process.poll(), seconds=30, what="the cluster's first beat")
    assert stack.process.poll() is None
    stack.members()
    return stack


def traces(key, action):
    return AuditEntry.objects.filter(subject_kind="probe", subject_id=key, action=action)


def pid_of(key, action):
    found = traces(key, action).order_by("id").values_list("after", flat=True).first()
    return found["pid"] if found else None


def all_done():
    return not Job.objects.exclude(state="done").exists()


def work_goes_on(seconds):
    jobs.defer("note", f"after-{time.monotonic_ns()}")
    wait_for(all_done, seconds=seconds, what="a job done afterwards")


@pytest.mark.fault("F48")
def test_a_job_whose_worker_is_killed_is_finished_by_a_later_run(stack):
    """F48."""
    jobs.defer("sleep", "busy-60")
    pid = wait_for(lambda: pid_of("busy-60", "asleep"), seconds=10, what="the job's start")
    psutil.Process(pid).kill()
    wait_for(all_done, seconds=60, what="the job done")
    job = Job.objects.get()
    assert (job.attempts, job.runs) == (1, 2)
    assert [entry["reason"] for entry in job.history] == ["The worker that ran it died.", ""]
    assert traces("busy-60", "awake").count() == 1


@pytest.mark.fault("F48")
def test_a_worker_killed_in_the_midst_of_its_turn_costs_no_other_job_anything(stack):
    """The killed process had run some jobs of its turn, and would have run more."""
    jobs.defer_many("slow", {f"{number}-0.1": f"slow:{number}" for number in range(40)})
    wait_for(lambda: Job.objects.filter(state="done").count() >= 6, seconds=20, what="the midst")
    running = Job.objects.filter(state="running").first()
    psutil.Process(pid_of(running.key, "began")).kill()
    wait_for(all_done, seconds=60, what="all jobs done")
    assert set(Job.objects.values_list("attempts", flat=True)) == {1}
    assert list(Job.objects.filter(runs__gt=1).values_list("runs", flat=True)) in ([2], [])
    assert sum(1 for job in Job.objects.all() if traces(job.key, "ended").exists()) == 40


@pytest.mark.long
@pytest.mark.fault("F51")
def test_a_job_that_always_kills_its_worker_is_dead_after_four_runs(stack):
    """F51."""
    jobs.defer("kill_me", "1")
    wait_for(lambda: Job.objects.get(kind="kill_me").state == "dead", seconds=60, what="the job dead")
    assert traces("1", "killed").count() == 4
    Job.objects.all().delete()
    work_goes_on(seconds=30)


@pytest.mark.fault("F49")
@pytest.mark.times(5)
def test_killed_idle_workers_are_replaced_and_stall_nothing(start):
    """F49, reliability B7: two of eight killed children stopped all work for 40 s. No restart of the watchdog helps here."""
    stack = ready(start(silent_after=600))
    before = stack.cluster().pid
    for _ in range(4):
        killed = wait_for(stack.idle_workers, seconds=10, what="idle workers")
        for worker in killed:
            worker.kill()
        wait_for(lambda: not any(map(alive, killed)), seconds=5, what="them dead")  # noqa: B023
        work_goes_on(seconds=10)
    assert stack.cluster().pid == before


@pytest.mark.mutant
@pytest.mark.long
@pytest.mark.fault("F49")
def test_mutant_with_the_locks_of_django_q2_killed_idle_workers_stall_for_ever(start):
    cluster = start(silent_after=600, PROBE_PLAIN="1")
    workers = wait_for(cluster.idle_workers, seconds=30, what="idle workers")
    time.sleep(1)
    for worker in workers:
        worker.kill()
    jobs.defer("note", "1")
    with pytest.raises(AssertionError, match="Not within"):
        wait_for(all_done, seconds=6, what="the job done")


@pytest.mark.long
def test_a_stopped_cluster_is_restarted_while_that_of_another_host_beats(stack, start):
    """ecosystem B6: both had one heartbeat, so the watchdog of the first heard the second."""
    start()
    wait_for(
        lambda: Heartbeat.objects.filter(name__startswith="cluster@").count() == 2, seconds=30, what="two clusters"
    )
    assert (heartbeats.count_alive(), heartbeats.list_silent()) == (2, {})
    cluster = stack.cluster()
    for process in [cluster, *cluster.children(recursive=True)]:
        process.suspend()
    wait_for(lambda: stack.clusters() not in ([], [cluster]), seconds=20, what="another cluster")
    stack.stop()
    assert heartbeats.count_alive() == 1
    assert Heartbeat.objects.count() == 2  # it has forgotten its own


def test_a_killed_worker_is_noticed_within_two_seconds(stack):
    """reliability B7: the job of a runner that died waited its half minute and lost an attempt."""
    jobs.defer("sleep", "busy-60")
    pid = wait_for(lambda: pid_of("busy-60", "asleep"), seconds=10, what="the job's start")
    psutil.Process(pid).kill()
    job = wait_for(lambda: Job.objects.filter(runs=2).first(), seconds=2 + 1, what="its second run")
    assert job.attempts == 1


@pytest.mark.long
@pytest.mark.fault("F50")
def test_a_killed_cluster_leaves_no_orphan_and_work_goes_on(stack):
    """F50."""
    jobs.defer("sleep", "orphan-60")
    wait_for(lambda: pid_of("orphan-60", "asleep"), seconds=10, what="the job's start")
    cluster = stack.cluster()
    family = [cluster, *cluster.children(recursive=True)]
    assert len(family) >= 5
    cluster.kill()
    wait_for(lambda: not any(map(alive, family)), seconds=10, what="all its processes gone")
    wait_for(all_done, seconds=60, what="the job done")
    assert traces("orphan-60", "awake").count() == 1


@pytest.mark.fault("F50")
def test_a_killed_watchdog_takes_its_cluster_with_it(stack):
    family = stack.members()
    assert len(family) >= 6
    stack.process.kill()
    wait_for(lambda: not any(map(alive, family)), seconds=10, what="all its processes gone")


def test_told_to_stop_it_finishes_the_running_job_and_leaves_nothing_running(stack):
    jobs.defer("sleep", "last-3")
    wait_for(lambda: pid_of("last-3", "asleep"), seconds=10, what="the job's start")
    family = stack.members()
    stack.process.terminate()
    assert stack.process.wait(20) == 0
    assert traces("last-3", "awake").count() == 1
    assert Job.objects.get().state == "done"
    assert not [process for process in family if alive(process)]


@pytest.mark.long
def test_the_cluster_is_forked_and_shares_the_memory_of_its_watchdog(stack):
    """The watchdog was a second copy of everything, and each process of the cluster copied what it had inherited."""
    watchdog, *others = stack.members()
    assert len(others) == 6
    for process in [watchdog, *others]:
        assert process.memory_full_info().uss < process.memory_info().rss / 2, title(process)


def overlaps():
    """The slow jobs that ran twice at the same time, by their traces."""
    found, running = set(), set()
    for key, action in (
        AuditEntry.objects.filter(subject_kind="probe").order_by("id").values_list("subject_id", "action")
    ):
        if action == "began" and key in running:
            found.add(key)
        (running.add if action == "began" else running.discard)(key)
    return found


@pytest.fixture
def full_queue(monkeypatch):
    """Rings that django-q2 hands out again after three seconds, more of them in a worker's memory than it can run by then."""
    monkeypatch.setenv("PROBE_RETRY", "3")
    for number in range(20):
        jobs.defer("slow", f"{number}-1")


@pytest.mark.long
@pytest.mark.fault("F53")
@pytest.mark.times(3)
def test_slow_jobs_that_sit_in_the_queues_memory_never_run_twice_at_once(full_queue, start):
    """F53."""
    start(silent_after=60)
    wait_for(lambda: not Job.objects.exclude(state="done").exists(), seconds=60, what="all jobs done")
    assert Job.objects.filter(state="done", runs=1).count() == 20
    assert overlaps() == set()


@pytest.mark.long
@pytest.mark.mutant
@pytest.mark.fault("F53")
def test_mutant_rings_that_name_their_job_run_it_twice_at_once(full_queue, start, monkeypatch):
    monkeypatch.setenv("PROBE_UNGUARDED", "1")
    start(silent_after=60)
    wait_for(overlaps, seconds=60, what="a job that runs twice at once")


@pytest.mark.long
@pytest.mark.fault("F60")
def test_hundreds_of_jobs_through_two_stacks_at_once_have_each_effect_once(stack, start):
    """F60, as in a deployment where the old and the new release overlap."""
    start()
    for number in range(300):
        jobs.defer("note", number)
    wait_for(all_done, seconds=90, what="all jobs done")
    assert Job.objects.filter(state="done", runs=1).count() == 300
    noted = AuditEntry.objects.filter(action="noted")
    assert noted.count() == noted.values("subject_id").distinct().count() == 300
    assert len({after["pid"] for after in noted.values_list("after", flat=True)}) > 1
