"""The sweep, run every few seconds by `manage.py worker`: it finds what dead runners left behind and what is due again.

Promises: it may run in several processes at once and be killed anywhere; it only makes jobs due and runs none.
"""

import datetime as dt
from typing import Any

from django.db import connection, transaction

from apps.core import claims, clock, dependencies, job_outcomes, jobs, restore_marker
from apps.core.locks import LockClass, lock_key
from apps.core.models import Dependency, Job


def sweep() -> None:
    """Notice a restored database, take over from dead runners, queue periodic jobs, and let parked ones try again."""
    restore_marker.check()  # before anything of an older database becomes due
    recover()
    start_periodic()
    _hold_back_parked()
    claims.bring_back()


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


# What is not due is not even locked.
START_PERIODIC = """
INSERT INTO core_schedule AS present (kind, next_at)
SELECT kind, %(now)s + make_interval(secs => every) FROM unnest(%(kinds)s::text[], %(every)s::int[]) AS wanted (kind, every)
WHERE NOT EXISTS (SELECT FROM core_schedule s WHERE s.kind = wanted.kind AND s.next_at > %(now)s)
ON CONFLICT (kind) DO UPDATE SET next_at = excluded.next_at WHERE present.next_at <= %(now)s
RETURNING kind
"""


@transaction.atomic
def start_periodic() -> None:
    """Queue each periodic kind that is due, once, however many periods were missed."""
    periods = {kind.name: kind.every for kind in jobs.KINDS.values() if kind.every}
    values: dict[str, Any] = {"now": clock.now(), "kinds": list(periods), "every": list(periods.values())}
    with connection.cursor() as cursor:
        cursor.execute(START_PERIODIC, values)
        due = sorted(name for (name,) in cursor.fetchall())
    for name in due:
        jobs.defer(name, job_outcomes.PERIODIC, reason="schedule")


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
                dependencies.forget(down.pk)
            continue
        parked.filter(pk=first).update(not_before=now)
        parked.filter(not_before__lte=now).exclude(pk=first).update(
            not_before=now + dt.timedelta(seconds=jobs.PARK_SECONDS)
        )


def is_any_job_running() -> bool:
    """Whether any job is running; a dead runner's job counts until the next sweep."""
    return Job.objects.filter(state=Job.State.RUNNING).exists()
