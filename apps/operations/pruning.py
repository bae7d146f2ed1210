"""What operations leave behind goes after a while: the timeline keeps what was done and by whom."""

import datetime as dt

from apps.core import retention
from apps.operations.models import Drift, SafeguardReview, SyncResult, SyncRun


def prune(before: dt.datetime) -> int:
    """Delete drift that is gone, sync runs that nobody waits for, and reviews with a decision. Returns how many rows."""
    waiting = SyncResult.objects.filter(outcome=SyncResult.Outcome.WAITING).values("run")
    open_states = [SafeguardReview.State.COLLECTING, SafeguardReview.State.PENDING]
    return sum(
        map(
            retention.delete_in_batches,
            (
                Drift.objects.filter(resolved_at__lt=before),
                SyncRun.objects.filter(created_at__lt=before).exclude(pk__in=waiting),
                SafeguardReview.objects.filter(seen_at__lt=before).exclude(state__in=open_states),
            ),
        )
    )
