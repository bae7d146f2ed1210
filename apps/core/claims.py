"""Which job runs next: the claim, one statement whose cost is the same whatever is queued.

A claim reads the first `WINDOW` due jobs. If the lanes of all of them are busy, they are set aside (`waits_for_lane`), many
at a time, and each end of a run in their lane lets the first of them come back. So each job behind a busy lane is passed
over once, not by every claim. Only the end of a run brings them back; the sweep does when somebody withdrew the first.
"""

from django.db import IntegrityError, connection

from apps.core import clock
from apps.core.locks import LockClass
from apps.core.models import Job

WINDOW, ASIDE = 100, 1000

DUE_FIRST = """SELECT w.id, w.importance, w.not_before, w.lane FROM core_job w
        WHERE w.state = 'queued' AND NOT w.waits_for_lane AND w.not_before <= %(now)s
        ORDER BY w.importance, w.not_before, w.id"""
LANE_IS_FREE = "NOT EXISTS (SELECT FROM core_job r WHERE r.lane = j.lane AND r.state = 'running')"
LOCK = f"pg_advisory_lock({LockClass.JOB_RUN:d}, (id %% {2**31})::int)"  # taken before the commit: see promise 4 of core.jobs
CLAIM = f"""
UPDATE core_job SET state = 'running', attempts = attempts + 1, runs = runs + 1, started_at = %(now)s, parked_on = ''
WHERE id = (
    SELECT j.id FROM (
        {DUE_FIRST} LIMIT {WINDOW}) AS due JOIN core_job j ON j.id = due.id
    WHERE j.state = 'queued' AND {LANE_IS_FREE}
    ORDER BY due.importance, due.not_before, due.id LIMIT 1 FOR UPDATE OF j SKIP LOCKED)
RETURNING *, {LOCK}, EXISTS (SELECT FROM core_dependency) AS is_anything_down
"""  # noqa: S608
UNLOCK = f"SELECT pg_advisory_unlock({LockClass.JOB_RUN:d}, (%(id)s %% {2**31})::int)"
COUNT = f"""
SELECT count(*) FILTER (WHERE {LANE_IS_FREE}), count(*) FROM ({DUE_FIRST} LIMIT {WINDOW}) AS j
"""  # noqa: S608
# The lock on the running rows lets no run end in between: it could not bring back what it does not see yet.
SET_ASIDE = f"""
WITH busy AS (SELECT lane FROM core_job WHERE state = 'running' FOR SHARE SKIP LOCKED),
due AS MATERIALIZED ({DUE_FIRST} LIMIT {ASIDE}),
found AS (
    SELECT j.id FROM core_job j WHERE j.id IN (SELECT id FROM due WHERE lane IN (SELECT lane FROM busy))
      AND (SELECT count(*) FROM due) >= {WINDOW} FOR UPDATE SKIP LOCKED)
UPDATE core_job SET waits_for_lane = true FROM found WHERE core_job.id = found.id AND state = 'queued'
"""  # noqa: S608
BRING_BACK = """
UPDATE core_job SET waits_for_lane = false WHERE id = (
    SELECT id FROM core_job WHERE lane = %(lane)s AND state = 'queued' AND waits_for_lane
    ORDER BY importance, not_before, id LIMIT 1)
"""
FREE_LANES = f"""
WITH RECURSIVE lanes AS (
    (SELECT lane FROM core_job WHERE state = 'queued' AND waits_for_lane ORDER BY lane LIMIT 1)
    UNION ALL
    SELECT (SELECT lane FROM core_job WHERE state = 'queued' AND waits_for_lane AND lane > lanes.lane ORDER BY lane LIMIT 1)
    FROM lanes WHERE lane IS NOT NULL)
SELECT lane FROM lanes AS j WHERE lane IS NOT NULL AND {LANE_IS_FREE}
"""  # noqa: S608


def claim() -> Job | None:
    """Take the most important due job: counted, marked running, locked and committed. None when nothing is due."""
    for _ in range(5):
        try:
            while True:
                for job in Job.objects.raw(CLAIM, {"now": clock.now()}):
                    job.lock_holder = connection.connection
                    return job
                if not set_aside():
                    return None
        except IntegrityError:  # another worker took a job of the same lane between our read and our write
            continue
    return None


def count_due(*, limit: int) -> int:
    """How many jobs could be claimed now, up to `limit`."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"now": clock.now()})
        free, due = cursor.fetchone()
    return min(int(free), limit) or int(due == WINDOW)  # behind a full window a claim finds out


def set_aside() -> int:
    """Let the first due jobs wait for their lanes, if these are busy and there are many; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(SET_ASIDE, {"now": clock.now()})
        return int(cursor.rowcount)


def bring_back() -> None:
    """Let the first job of each free lane come back whose predecessor did not end by running."""
    with connection.cursor() as cursor:
        cursor.execute(FREE_LANES)
        for (lane,) in cursor.fetchall():
            cursor.execute(BRING_BACK, {"lane": lane})
