"""Laws of work: no job is left behind, and the workers and their periodic jobs are alive."""

from django.conf import settings
from django.db.models import Case, Exists, OuterRef, Q, Value, When

from apps.core import heartbeats, jobs, schedules
from apps.core.job_outcomes import MAX_ATTEMPTS
from apps.core.laws import NEEDS_A_WORKER, Checked, Law, LawSeverity, LawViolation, Scope, judge, register
from apps.core.models import Heartbeat, Job

MARGIN_SECONDS = 60  # a runner that is stopped at its time-out, and the takeover of its job
LATE_SECONDS = 120
SWEEP_LATE_SECONDS = 86_400  # work over everybody waits for all other work; the next sweep comes after a day


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
            number=NEEDS_A_WORKER,
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
    periodic = [one for one in schedules.read_schedules() if not one.waits_for]
    late = ((one.kind.name, one.lateness(scope.moment)) for one in periodic)
    found += [_violation("schedule", name, words) for name, words in late if words]
    return Checked(len(periodic) + Heartbeat.objects.count(), found, len(found))


def _violation(kind: str, key: str, words: str) -> LawViolation:
    return LawViolation(kind, key, None, words)
