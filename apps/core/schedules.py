"""The periodic jobs as they stand: when each is due, when it last ended well, how its last run ended, and whether it is late."""

import datetime as dt
from dataclasses import dataclass

from django.db import connection

from apps.core import jobs
from apps.core.job_outcomes import PERIODIC
from apps.core.models import Job

LATE = dt.timedelta(seconds=120)
PERIODS = 3  # that may pass without a run that ended well
READ = f"""
SELECT wanted.kind, schedule.next_at, told.done_at, told.asked_at, told.running_since, last.id, last.state, last.finished_at, last.last_error,
    ARRAY(SELECT name::text FROM core_dependency ORDER BY name)
FROM unnest(%s::text[]) AS wanted (kind)
LEFT JOIN core_schedule schedule ON schedule.kind = wanted.kind
LEFT JOIN LATERAL (
    SELECT max(finished_at) FILTER (WHERE state = 'done') AS done_at, min(created_at) FILTER (WHERE state <> 'done') AS asked_at,
        max(started_at) FILTER (WHERE state = 'running') AS running_since, max(id) FILTER (WHERE state IN ('done', 'blocked', 'dead')) AS last_id
    FROM core_job job WHERE job.kind = wanted.kind AND job.key = '{PERIODIC}') told ON true
LEFT JOIN core_job last ON last.id = told.last_id
ORDER BY wanted.kind
"""  # noqa: S608  (constants of the code)


@dataclass(frozen=True)
class ScheduleState:
    """One periodic kind of job. `done_at`: when it last ended well; `job` to `error`: its last run that ended, well or not."""

    kind: jobs.Kind
    next_at: dt.datetime | None
    done_at: dt.datetime | None
    asked_at: dt.datetime | None  # when the oldest that has not ended well was asked for
    running_since: dt.datetime | None
    job: int | None
    state: str | None
    ended_at: dt.datetime | None
    error: str | None
    down: list[str]

    @property
    def result(self) -> Job.State | None:
        return Job.State(self.state) if self.state else None

    @property
    def waits_for(self) -> list[str]:
        """The systems it needs that are down: its jobs are parked."""
        return [one for one in self.down if one in self.kind.needs_for(PERIODIC)]

    def lateness(self, now: dt.datetime) -> str:
        """Why it is late, in a sentence; empty: it is not."""
        if self.waits_for:
            return ""
        if self.next_at is None or self.next_at < now - LATE:
            return f"“{self.kind.label}” is not being scheduled."
        since = self.done_at or self.asked_at or self.next_at - dt.timedelta(seconds=self.kind.every)
        if since < now - dt.timedelta(seconds=PERIODS * self.kind.every):
            return f"“{self.kind.label}” has not ended well since {since:%d %B, %H:%M}."
        return ""


def read_schedules() -> list[ScheduleState]:
    """All of them, in the order of their kinds; one query."""
    kinds = [kind.name for kind in jobs.KINDS.values() if kind.every]
    with connection.cursor() as cursor:
        cursor.execute(READ, [kinds])
        return [ScheduleState(jobs.KINDS[kind], *row) for kind, *row in cursor.fetchall()]
