"""Laws of work: no job is left behind, and the workers and their periodic jobs are alive."""

import datetime as dt

from django.conf import settings
from django.db.models import Case, Exists, Min, OuterRef, Q, Value, When

from apps.core import heartbeats, jobs
from apps.core.job_outcomes import MAX_ATTEMPTS, PERIODIC
from apps.core.laws import Checked, Law, LawSeverity, LawViolation, Scope, judge, register
from apps.core.models import Dependency, Heartbeat, Job, Schedule

MARGIN_SECONDS = 60  # a runner that is stopped at its time-out, and the takeover of its job
LATE_SECONDS = 120
SWEEP_LATE_SECONDS = 86_400  # work over everybody waits for all other work; the next sweep comes after a day
PERIODS = 3  # of a periodic job that may pass without it


def register_laws() -> None:
    """Make the laws of this module known."""
    register(
        Law(
            number="L15",
            title="No job is left",
            sentence="A job runs no longer than its time allows, starts within two minutes of its date, and is tried at most four times.",
            severity=LawSeverity.URGENT,
            check=check_jobs,
        ),
        Law(
            number="L16",
            title="Workers are alive",
            sentence="A worker gave a sign of life within the last minute, and no periodic job has missed three of its periods.",
            severity=LawSeverity.URGENT,
            check=check_heartbeats,
        ),
    )


def check_jobs(scope: Scope) -> Checked:
    """L15. A job set aside behind its lane waits for a run that is looked at itself; one parked by an outage moves its date."""
    if scope.subscriber_id is not None:
        return Checked(0)
    unfinished = Job.objects.filter(state__in=Job.UNFINISHED)
    stuck = Q(state=Job.State.RUNNING, started_at__lt=scope.before(settings.JOB_TIMEOUT_SECONDS + MARGIN_SECONDS))
    in_lane = Job.objects.filter(lane=OuterRef("lane"), state=Job.State.RUNNING)
    waiting = Q(state=Job.State.QUEUED, waits_for_lane=False) & ~Exists(in_lane)
    patience = Case(
        When(importance=Job.Importance.SWEEP, then=Value(scope.before(SWEEP_LATE_SECONDS))),
        default=Value(scope.before(LATE_SECONDS)),
    )
    overdue = Q(not_before__lt=patience)
    broken = unfinished.filter(stuck | (waiting & overdue) | Q(attempts__gt=MAX_ATTEMPTS)).order_by("pk")
    return judge(unfinished, broken, kind="job", words=_describe_job)


def _describe_job(job: Job) -> str:
    label = jobs.kind_label(job.kind)
    if job.attempts > MAX_ATTEMPTS:
        return f"“{label}” was tried {job.attempts} times."
    if job.state == Job.State.RUNNING:
        return f"“{label}” has been running since {job.started_at:%d %B, %H:%M}."
    return f"“{label}” was due at {job.not_before:%d %B, %H:%M} and has not started."


def check_heartbeats(scope: Scope) -> Checked:
    """L16. What needs a system that is down is left out: its jobs are parked."""
    if scope.subscriber_id is not None:
        return Checked(0)
    found = [] if heartbeats.count_alive() else [_violation("worker", "any", "No worker is alive.")]
    down = set(Dependency.objects.values_list("pk", flat=True))
    periodic = {kind.name: kind for kind in jobs.KINDS.values() if kind.every and not down & set(kind.needs)}
    last = dict(Job.objects.filter(key=PERIODIC, state=Job.State.DONE).values_list("kind", "finished_at"))
    unfinished = Job.objects.filter(key=PERIODIC).exclude(state=Job.State.DONE).order_by()
    asked = dict(unfinished.values_list("kind").annotate(at=Min("created_at")))
    due = dict(Schedule.objects.values_list("kind", "next_at"))
    for name, kind in sorted(periodic.items()):
        if name not in due or due[name] < scope.before(LATE_SECONDS):
            found.append(_violation("schedule", name, f"“{kind.label}” is not being scheduled."))
            continue
        since = last.get(name) or asked.get(name) or due[name] - dt.timedelta(seconds=kind.every)
        if since < scope.before(PERIODS * kind.every):
            found.append(_violation("schedule", name, f"“{kind.label}” has not ended well since {since:%d %B, %H:%M}."))
    return Checked(len(periodic) + Heartbeat.objects.count(), found, len(found))


def _violation(kind: str, key: str, words: str) -> LawViolation:
    return LawViolation(kind, key, None, words)
