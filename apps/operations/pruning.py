"""What operations leave behind goes after a while: the timeline keeps what was done and by whom."""

import contextlib
import datetime as dt

from apps.accounts.models import UserProfile
from apps.core import audit, retention
from apps.core.errors import BadInput
from apps.core.states import AccessState
from apps.operations import privacy
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


def erase_expired(before: dt.datetime) -> int:
    """Erase who lost everything for good before then and has not returned; returns how many."""
    gone = UserProfile.objects.filter(access_state=AccessState.EXPIRED, final_expiry_at__lt=before)
    named = gone.exclude(email__endswith=privacy.NOBODY)
    count = 0
    for one in named.order_by("pk")[: retention.BATCH]:
        with contextlib.suppress(BadInput):  # on hold, or about to pay
            privacy.erase(one, actor=audit.SYSTEM, reason="The retention of expired customers is over.")
            count += 1
    return count
