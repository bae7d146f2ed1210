"""Kinds of jobs whose traces are lines of the audit trail, and shorter waits than in production."""

import os
import signal
import time

from django.apps import AppConfig


class ProbeConfig(AppConfig):
    """Django's handle on the app."""

    name = "tests.faults.probe"

    def ready(self):
        import django_q.cluster

        from apps.core import cluster, job_outcomes, jobs, worker

        job_outcomes.FIRST_RETRY_SECONDS = 0.5
        worker.SWEEP_SECONDS = 1.0
        worker.IDLE_STOP_SECONDS = 3.0
        jobs.KINDS.clear()  # the periodic jobs of core are not what is counted here
        jobs.register("note", lambda key: trace(key, "noted"))
        jobs.register("sleep", sleep)
        jobs.register("kill_me", kill_me)
        jobs.register("slow", slow)
        jobs.register("nothing", lambda _key: None)
        jobs.register("tidy", lambda _key: None, importance=jobs.Job.Importance.SWEEP)
        if "PROBE_PLAIN" in os.environ:
            cluster.SturdySentinel = django_q.cluster.Sentinel
        if "PROBE_UNGUARDED" in os.environ:
            unguard()


def trace(key, action):
    from apps.core import audit

    audit.record(subject=("probe", key), action=action, after={"pid": os.getpid()})


def sleep(key):
    """Sleep for as many seconds as the key says after its hyphen, the first time; later runs end at once."""
    from apps.core.models import AuditEntry

    again = AuditEntry.objects.filter(subject_kind="probe", subject_id=key).exists()
    trace(key, "asleep")
    time.sleep(0 if again else float(key.partition("-")[2]))
    trace(key, "awake")


def slow(key):
    """Work for as many seconds as the key says after its hyphen, every time."""
    trace(key, "began")
    time.sleep(float(key.partition("-")[2]))
    trace(key, "ended")


def unguard():
    """The mutant: a ring names its job, as is usual with django-q2, and whoever gets the ring runs it."""
    from apps.core import jobs

    def claim():
        waiting = jobs.Job.objects.filter(kind="slow").exclude(state="done").order_by("id")
        return waiting.first()

    jobs.claim = claim
    jobs.run = lambda job: (
        jobs.KINDS[job.kind].handler(job.key),
        jobs.Job.objects.filter(pk=job.pk).update(state="done"),
    )


def kill_me(key):
    trace(key, "killed")
    os.kill(os.getpid(), signal.SIGKILL)
