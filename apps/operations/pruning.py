"""What operations leave behind goes after a while: the timeline keeps what was done and by whom."""

import datetime as dt
from typing import Any

from django.db.models import QuerySet

from apps.access import reconcile
from apps.access.models import AccessFreeze
from apps.accounts import erasure_attempts, legal_holds
from apps.accounts.erasers import NOBODY
from apps.accounts.models import UserProfile
from apps.core import audit, clock, jobs, retention
from apps.core.dependencies import RESTORED
from apps.core.errors import BadInput
from apps.core.models import Job
from apps.core.states import AccessState
from apps.operations import approvals, import_leftovers, imports, privacy
from apps.operations.models import (
    ApprovalRequest,
    CustomerImport,
    Drift,
    SafeguardReview,
    SeatPlan,
    SyncResult,
    SyncRun,
    TermsPreview,
    TermsPreviewPerson,
)

KIND = "erase_expired_customer"


def register() -> None:
    """Our rows of the retention table, and the job for one person."""
    retention.register("operations", prune, lambda before: sum(rows.count() for rows in ended(before)))
    retention.register("expired_customers", erase_later, overdue)
    retention.WORK.add(KIND)
    label = "Erase an expired customer"
    jobs.register(KIND, erase_expired, label=label, needs=(RESTORED,), importance=Job.Importance.SWEEP)


def prune(before: dt.datetime) -> int:
    """Delete drift that is gone, sync runs and previews that nobody waits for, and reviews and requests with a decision. Returns how many rows."""
    approvals.expire(clock.now())
    count = sum(map(retention.delete_in_batches, ended(before)))
    import_leftovers.tell_staff(before)
    return count


def ended(before: dt.datetime) -> list[QuerySet[Any]]:
    """The drift, sync runs, previews of terms, reviews, requests, seat plans and imports of before then that nobody waits for."""
    waiting = SyncResult.objects.filter(outcome=SyncResult.Outcome.WAITING).values("run")
    at_work = [TermsPreview.State.COUNTING, TermsPreview.State.CONFIRMED]
    previews = TermsPreview.objects.filter(requested_at__lt=before).exclude(state__in=at_work)
    open_states = [SafeguardReview.State.COLLECTING, SafeguardReview.State.PENDING]
    return [
        Drift.objects.filter(resolved_at__lt=before),
        SyncRun.objects.filter(created_at__lt=before).exclude(pk__in=waiting),
        SafeguardReview.objects.filter(seen_at__lt=before).exclude(state__in=open_states),
        ApprovalRequest.objects.filter(decided_at__lt=before),
        AccessFreeze.objects.filter(ended_at__lt=before),
        SeatPlan.objects.filter(ended_at__lt=before),
        CustomerImport.objects.filter(ended_at__lt=before),
        imports.unstarted().filter(created_at__lt=before),
        import_leftovers.left_behind(before),
        TermsPreviewPerson.objects.filter(
            preview__in=previews
        ),  # so many that they are not left to the rows they belong to
        previews,
    ]


def expired(before: dt.datetime) -> QuerySet[UserProfile]:
    """Who lost everything for good before then, has not returned, is not erased, and is under no legal hold."""
    gone = UserProfile.objects.filter(access_state=AccessState.EXPIRED, final_expiry_at__lt=before)
    return gone.exclude(email__endswith=NOBODY).exclude(pk__in=legal_holds.held_profiles())


def erase_later(before: dt.datetime) -> int:
    """Queue a job for each of a batch of them; returns how many."""
    found = erasure_attempts.choose(expired(before), limit=retention.BATCH)
    jobs.defer_many(KIND, {str(one): reconcile.lane(one) for one in found}, reason="retention is over")
    return len(found)


def erase_expired(key: str) -> None:
    """The job: erase the profile `key`, unless they returned; who is on hold, of staff or about to pay is refused and noted."""
    profile = expired(retention.limit_of("expired_customers")).filter(pk=key).first()
    if profile is None:
        return
    try:
        privacy.erase(profile, actor=audit.SYSTEM, reason="The retention of expired customers is over.")
    except BadInput as refusal:
        erasure_attempts.note_refusal(profile, refusal.message)


def overdue(before: dt.datetime) -> QuerySet[UserProfile]:
    """Who should be erased and was not lately refused for a reason."""
    return erasure_attempts.not_kept(expired(before))
