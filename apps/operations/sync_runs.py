"""Sync runs: staff choose subscribers, one run queues a reconcile of each and keeps the result for each.

Promises: a run survives any crash, since its rows are what is still to do; each batch costs a few statements; one failure
does not stop the rest; those who would lose access need an approval when they are too many (safeguard.py). A run only
calls `reconcile.enqueue_many`, and is told when each reconcile is done.
"""

import datetime as dt
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import batched

from django.db import transaction
from django.db.models import BigIntegerField, Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Cast

from apps.access import reconcile, recording
from apps.accounts.models import UserProfile
from apps.core import audit, clock, jobs
from apps.core.audit_actions import AuditAction
from apps.core.errors import BadInput
from apps.core.locks import LockClass, lock_until_commit
from apps.core.models import Job
from apps.operations import approvals, safeguard
from apps.operations.models import ApprovalRequest, SyncResult, SyncRun

KIND = "sync_run"
SLICE, SECONDS = 500, 20.0  # people asked for at once; of one job, which has a minute
SAME_CLICK = dt.timedelta(minutes=1)
Outcome = SyncResult.Outcome
ACTIONS = {
    SyncRun.Scope.SELECTED: ApprovalRequest.Action.SYNC_SELECTED,
    SyncRun.Scope.DIFFERING: ApprovalRequest.Action.SYNC_DIFFERING,
}  # what is asked for approval of


@dataclass(frozen=True)
class SyncRunProgress:
    """How far a run is. `failed` have stopped for good; `awaiting_approval` wait for the safeguard."""

    total: int
    changed: int
    same: int
    failed: int
    awaiting_approval: int

    @property
    def done(self) -> int:
        """How many are synced."""
        return self.changed + self.same

    @property
    def waiting(self) -> int:
        """How many will still be synced automatically."""
        return self.total - self.done - self.failed - self.awaiting_approval

    @property
    def moving(self) -> bool:
        """Whether the numbers will change without anybody doing anything."""
        return self.waiting > 0


def register() -> None:
    """Make the job kind known."""
    jobs.register(KIND, run_sync, label="Sync run")
    recording.on_synced.append(end_results)


def end_results(profile: UserProfile, generation: int, steps: list[str]) -> None:
    """Note in the runs that wait for this subscriber how the reconcile ended."""
    waiting = SyncResult.objects.filter(profile=profile, outcome=Outcome.WAITING, generation__lte=generation)
    waiting.update(outcome=Outcome.CHANGED if steps else Outcome.SAME, steps=steps, ended_at=clock.now())


# --- what staff ask --------------------------------------------------------------------------------------------------


def needs_second(people: Collection[int], *, scope: SyncRun.Scope, actor: str) -> bool:
    """Whether another person has to approve it. Of people selected by hand only where somebody would lose access."""
    if not approvals.needs_second(ACTIONS[scope], len(people), actor=actor):
        return False
    return scope != SyncRun.Scope.SELECTED or bool(safeguard.find_losing(people))


@transaction.atomic
def start_sync_run(profile_ids: Iterable[int], *, scope: SyncRun.Scope, actor: str, reason: str) -> SyncRun:
    """Begin a run over these people; BadInput when there is nobody, or another person has to approve it first.

    Nothing is asked for before its job runs.

    The same asked twice within a minute by one actor, as by a double click, is one run.
    """
    people = sorted(set(profile_ids))
    if not people:
        raise BadInput("There is nobody to sync.")
    if needs_second(people, scope=scope, actor=actor):
        approvals.refuse_alone(ACTIONS[scope], len(people), actor=actor)
    lock_until_commit(LockClass.SYNC_RUN_START, actor)
    if twin := _find_same_click(people, scope, actor, reason):
        return twin
    run = SyncRun.objects.create(
        scope=scope, total=len(people), actor=actor, reason=reason, created_at=clock.now()
    )  # fmt: skip
    for batch in batched(people, 1000, strict=False):
        SyncResult.objects.bulk_create(SyncResult(run=run, profile_id=pk) for pk in batch)
    audit.record(
        subject=("syncrun", run.pk), action=AuditAction.SYNC_RUN_STARTED, actor=actor, reason=reason,
        after={"scope": scope.value, "subscribers": run.total},
    )  # fmt: skip
    jobs.defer(KIND, run.pk, reason=f"asked by {actor}")
    return run


def _find_same_click(people: list[int], scope: SyncRun.Scope, actor: str, reason: str) -> SyncRun | None:
    """The run that was begun a moment ago with the same words over the same people."""
    since = clock.now() - SAME_CLICK
    runs = SyncRun.objects.filter(scope=scope, actor=actor, reason=reason, total=len(people), created_at__gt=since)
    for run in runs:
        if sorted(run.results.values_list("profile_id", flat=True)) == people:
            return run
    return None


@transaction.atomic
def retry_failed(run: SyncRun, *, actor: str, reason: str) -> int:
    """Ask once more for those whose sync has failed; returns how many. BadInput when there are none, or too many for one person."""
    row = SyncRun.objects.select_for_update().get(pk=run.pk)
    who = list(failed_results(row).values_list("pk", flat=True))
    if not who:
        raise BadInput("Nobody of this run has failed.")
    approvals.refuse_alone(ApprovalRequest.Action.SYNC_FAILED, len(who), actor=actor)
    SyncResult.objects.filter(pk__in=who).update(generation=None, awaiting_approval=False)
    row.actor, row.reason = actor, reason
    row.save(update_fields=["actor", "reason"])
    audit.record(
        subject=("syncrun", row.pk),
        action=AuditAction.SYNC_RUN_RETRIED,
        actor=actor,
        reason=reason,
        after={"subscribers": len(who)},
    )
    jobs.defer(KIND, row.pk, reason=f"asked by {actor}")
    return len(who)


# --- carrying it out -------------------------------------------------------------------------------------------------


def run_sync(key: str) -> None:
    """The job: queue a reconcile of everyone in the run `key` who is not queued yet; those who would lose access come last.

    Raises NeedsOperator when those are too many and staff have not confirmed it. The others are not waited for.
    """
    run, began = SyncRun.objects.get(pk=key), time.monotonic()
    fresh = (
        run.results.filter(generation=None, awaiting_approval=False).order_by("pk").values_list("profile_id", flat=True)
    )
    while people := list(fresh[:SLICE]):
        losing = safeguard.find_losing(people)
        run.results.filter(profile__in=losing).update(awaiting_approval=True)
        _enqueue(run, {*people} - {*losing})
        if time.monotonic() - began > SECONDS:
            jobs.defer(KIND, key, reason="the next slice")
            return
    held = (
        run.results.filter(generation=None, awaiting_approval=True).order_by("pk").values_list("profile_id", flat=True)
    )
    may = safeguard.check(KIND, scope=key, job_key=key, losing=list(held))
    for batch in batched(may, SLICE, strict=False):
        _enqueue(run, batch)


@transaction.atomic
def _enqueue(run: SyncRun, profile_ids: Collection[int]) -> None:
    """Part of the run's people, with a line of the timeline for each. Who was asked for before is left out."""
    open_ = run.results.select_for_update().filter(profile__in=profile_ids, generation=None).order_by("pk")
    people = list(open_.values_list("profile_id", flat=True))
    if not people:
        return
    reconcile.enqueue_many(people, reason=f"{run} by {run.actor}")
    asked = UserProfile.objects.filter(pk=OuterRef("profile")).values("desired_generation")
    run.results.filter(profile__in=people).update(generation=Subquery(asked))
    audit.record_many(
        kind="profile",
        ids=people,
        action=AuditAction.SYNC_REQUESTED,
        actor=run.actor,
        reason=run.reason,
        after={"run": run.pk},
    )


# --- how it goes -----------------------------------------------------------------------------------------------------


def read_progress(run: SyncRun) -> SyncRunProgress:
    """The numbers, in two queries; three when somebody is held back."""
    held = Q(outcome=Outcome.WAITING, awaiting_approval=True, generation=None)
    counted = run.results.aggregate(
        changed=Count("pk", filter=Q(outcome=Outcome.CHANGED)),
        same=Count("pk", filter=Q(outcome=Outcome.SAME)),
        awaiting_approval=Count("pk", filter=held),
    )
    own = Job.objects.filter(kind=KIND, key=str(run.pk), state__in=Job.UNFINISHED)
    if counted["awaiting_approval"] and own.exists():  # the run's job is still at it: nothing is asked of staff
        counted["awaiting_approval"] = 0
    return SyncRunProgress(total=run.total, failed=failed_results(run).count(), **counted)


def failed_results(run: SyncRun) -> QuerySet[SyncResult]:
    """Those of the run whose sync failed or needs an operator, and is not being tried again."""
    asked = run.results.filter(outcome=Outcome.WAITING, generation__isnull=False)
    return asked.filter(profile_id__in=_people(reconcile.failed_or_blocked())).exclude(
        profile_id__in=_people(reconcile.in_progress())
    )


def _people(jobs_: QuerySet[Job]) -> QuerySet[Job, int]:
    """Whose reconciles these are: the key of such a job is the profile id."""
    return jobs_.annotate(person=Cast("key", BigIntegerField())).values_list("person", flat=True)


def jobs_of(results: Collection[SyncResult]) -> dict[int, Job]:
    """The job of each result that is in progress or has failed, by profile id; one in progress counts first. Two queries."""
    keys = [str(one.profile_id) for one in results if one.outcome == Outcome.WAITING]
    found = {int(job.key): job for job in reconcile.failed_or_blocked().filter(key__in=keys)}
    return found | {int(job.key): job for job in reconcile.in_progress().filter(key__in=keys)}
