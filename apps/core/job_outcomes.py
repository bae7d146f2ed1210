"""How a run of a job ends: each function records one outcome, unless the row belongs to another run by now.

The rules for retries, delays and deaths are here; what the runner catches is in `core.jobs`.
"""

import datetime as dt
import json
import random
from typing import Any

import structlog
from django.db import IntegrityError, connection, transaction

from apps.core import clock
from apps.core.claims import BRING_BACK, UNLOCK
from apps.core.models import Job
from apps.core.wake_ups import wake_up

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 4  # the first try and three retries
FIRST_RETRY_SECONDS = 30
HISTORY = 10
DIED = "died"
PERIODIC = "periodic"  # the key of periodic jobs: each kind keeps its last one that is done

FENCE = "id = %(id)s AND state = 'running' AND runs = %(runs)s"  # the row of this run: see `row_of_this_run`
# Two statements in one go and one transaction; the second sees what was set aside while the first waited.
END = f"""
WITH ended AS (
    UPDATE core_job SET state = %(state)s, finished_at = %(now)s, parked_on = '', last_error = %(reason)s,
        history = %(history)s::jsonb
    WHERE {FENCE} RETURNING id, kind, key),
stuck AS (
    UPDATE core_job s SET state = 'superseded' FROM ended
    WHERE s.kind = ended.kind AND s.key = ended.key AND s.state IN ('dead', 'blocked') AND s.id <> ended.id),
earlier AS (
    DELETE FROM core_job s USING ended
    WHERE ended.key = %(periodic)s AND %(state)s = 'done'
      AND s.kind = ended.kind AND s.key = ended.key AND s.state IN ('done', 'superseded') AND s.id <> ended.id)
SELECT count(*) FROM ended;
{BRING_BACK}"""  # noqa: S608


def backoff(attempts: int) -> dt.timedelta:
    """The wait after the `attempts`-th try: 30 s, 60 s, 120 s, each up to a fifth shorter or longer."""
    spread = random.uniform(0.8, 1.2)  # noqa: S311
    return dt.timedelta(seconds=FIRST_RETRY_SECONDS * 2 ** (attempts - 1) * spread)


def _history(job: Job, outcome: str, reason: str) -> dict[str, Any]:
    entry = {"at": clock.now().isoformat(), "outcome": outcome, "reason": reason}
    return {"last_error": reason, "history": [*job.history, entry][-HISTORY:]}


def row_of_this_run(job: Job) -> Any:
    """The row, while it still belongs to this run: a sweep may have given it to another."""
    return Job.objects.filter(pk=job.pk, state=Job.State.RUNNING, runs=job.runs)


def finish(job: Job, state: Job.State, reason: str) -> bool:
    """Record a final state; False when the row belongs to another run. Supersedes earlier dead or blocked rows: staff see one."""
    told = _history(job, state, reason)
    values: dict[str, Any] = {
        "id": job.pk,
        "runs": job.runs,
        "lane": job.lane,
        "state": state,
        "now": clock.now(),
        "reason": reason,
    }
    is_ours = job.lock_holder is not None and job.lock_holder is connection.connection
    with connection.cursor() as cursor:
        cursor.execute(
            f"{END}; {UNLOCK}" if is_ours else END,
            values | {"history": json.dumps(told["history"]), "periodic": PERIODIC},
        )
        job.lock_holder = None
        if not cursor.fetchone()[0]:
            return False
    if state != Job.State.DONE:
        log.warning("job_ended", kind=job.kind, job=job.pk, state=state, reason=reason)
    return True


def retry_later(job: Job, reason: str, *, after: dt.timedelta | None = None) -> None:
    """Queue a failed attempt again with back-off; after the last one the job is dead."""
    if job.attempts >= MAX_ATTEMPTS:
        finish(job, Job.State.DEAD, reason)
    else:
        requeue(job, "retry", reason, {"not_before": clock.now() + (after or backoff(job.attempts))})


def resume_after_death(job: Job) -> None:
    """Its runner died: queue it again, at first without a wait, with its attempt given back; after four deaths it is dead."""
    deaths = count_deaths(job)
    reason = "The worker that ran it died."
    if deaths + 1 >= MAX_ATTEMPTS:
        finish(job, Job.State.DEAD, reason)
        return
    not_before = clock.now() + (backoff(deaths) if deaths else dt.timedelta())
    requeue(job, DIED, reason, {"not_before": not_before, "attempts": job.attempts - 1})
    wake_up()


def count_deaths(job: Job) -> int:
    """How many of its runners died since it was asked for."""
    return sum(entry["outcome"] == DIED for entry in job.history)


@transaction.atomic
def requeue(job: Job, outcome: str, reason: str, changes: dict[str, Any]) -> None:
    """Queue it again; if a newer request is already queued, that row takes over the attempts and the delay."""
    waiting = Job.objects.select_for_update().filter(kind=job.kind, key=job.key, state=Job.State.QUEUED).first()
    if waiting is None:
        try:
            with transaction.atomic():
                row_of_this_run(job).update(state=Job.State.QUEUED, **changes, **_history(job, outcome, reason))
        except IntegrityError:  # a request arrived in between
            requeue(job, outcome, reason, changes)
            return
    if waiting is not None and row_of_this_run(job).update(
        state=Job.State.SUPERSEDED, finished_at=clock.now(), **_history(job, outcome, reason)
    ):
        for name, value in ({"attempts": job.attempts} | changes | _history(job, outcome, reason)).items():
            setattr(waiting, name, value)
        waiting.importance = min(waiting.importance, job.importance)
        waiting.save()
    with connection.cursor() as cursor:
        cursor.execute(BRING_BACK, {"lane": job.lane})
