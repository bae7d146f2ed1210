"""The sweep, run every few seconds by `manage.py worker`: it finds what dead runners left behind and what is due again.

Promises: it may run in several processes at once and be killed anywhere; it only makes jobs due and runs none.
"""

import datetime as dt

from django.db import connection, transaction

from apps.core import clock, job_outcomes, jobs
from apps.core.locks import LockClass, lock_key
from apps.core.models import Dependency, Job, Schedule


def sweep() -> None:
    """Take over from dead runners, queue periodic jobs, and let parked ones try again."""
    recover()
    start_periodic()
    _hold_back_parked()


def recover() -> int:
    """Queue again the running jobs whose runner's process is gone; returns how many."""
    count = 0
    for job in Job.objects.filter(state=Job.State.RUNNING):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LockClass.JOB_RUN, lock_key(job.pk)])
            if cursor.fetchone()[0]:
                job_outcomes.resume_after_death(job)
                count += 1
    return count


def start_periodic() -> None:
    """Queue each periodic kind that is due, once, however many periods were missed."""
    now = clock.now()
    for kind in jobs.KINDS.values():
        if not kind.every:
            continue
        upcoming = now + dt.timedelta(seconds=kind.every)
        with transaction.atomic():
            _, new = Schedule.objects.get_or_create(kind=kind.name, defaults={"next_at": upcoming})
            if new or Schedule.objects.filter(pk=kind.name, next_at__lte=now).update(next_at=upcoming):
                jobs.defer(kind.name, "periodic", reason="schedule")


def _hold_back_parked() -> None:
    """While a system is down, let the longest parked job try it at each probe; the others keep waiting.

    If nothing is parked on it, no job would ever find out that it is up again: then it counts as up.
    """
    now = clock.now()
    for down in Dependency.objects.all():
        parked = Job.objects.filter(state=Job.State.QUEUED, parked_on=down.pk)
        if down.probe_at > now:
            parked.filter(not_before__lte=now).update(not_before=now + dt.timedelta(seconds=jobs.PARK_SECONDS))
            continue
        first = parked.order_by("id").values_list("pk", flat=True).first()
        if first is None:
            if down.probe_at < now - dt.timedelta(seconds=jobs.JOB_SECONDS):
                down.delete()
            continue
        parked.filter(pk=first).update(not_before=now)
        parked.filter(not_before__lte=now).exclude(pk=first).update(
            not_before=now + dt.timedelta(seconds=jobs.PARK_SECONDS)
        )


def is_any_job_running() -> bool:
    """Whether any job is running; a dead runner's job counts until the next sweep."""
    return Job.objects.filter(state=Job.State.RUNNING).exists()
