"""Running stuck jobs again because staff decided so: one, or many at once, which takes two people when they are too many."""

from django.db.models import Count

from apps.core import audit, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.operations import approvals
from apps.operations.models import ApprovalRequest

ACTION = ApprovalRequest.Action.RETRY_JOBS


def register() -> None:
    """What can be asked approval of."""
    approvals.register(ACTION, approvals.Approvable("retry_job", retry_approved, stuck_facts))


def retry(job: Job, *, actor: str, reason: str) -> None:
    """Run a stuck job again, and say so in the timeline."""
    audit.record(
        subject=("job", job.pk), action=AuditAction.JOB_RETRIED, actor=actor, reason=reason,
        before={"state": job.state}, after={"kind": job.kind, "key": job.key},
    )  # fmt: skip
    jobs.retry(job, actor=actor)


def retry_each(found: list[Job], *, actor: str, reason: str) -> str:
    """Run them again; returns what was done. BadInput when they are too many for one person."""
    approvals.refuse_alone(ACTION, len(found), actor=actor)
    for job in found:
        retry(job, actor=actor, reason=reason)
    return f"{len(found)} job{'s' if len(found) != 1 else ''} run again."


def retry_approved(request: ApprovalRequest) -> str:
    """Once it is approved: those of them that are still stuck."""
    found = list(Job.objects.filter(pk__in=request.row_ids, state__in=Job.GIVEN_UP).order_by("pk"))
    if not found:
        raise BadInput("None of them is stuck anymore.")
    return retry_each(found, actor=request.requested_by, reason=request.reason)


def stuck_facts(request: ApprovalRequest) -> approvals.Facts:
    """How many of each kind are stuck."""
    stuck = Job.objects.filter(pk__in=request.row_ids, state__in=Job.GIVEN_UP).order_by("kind")
    counted = stuck.values_list("kind").annotate(Count("pk"))
    return [[f"Stuck: {jobs.kind_label(kind)}", str(count)] for kind, count in counted]
