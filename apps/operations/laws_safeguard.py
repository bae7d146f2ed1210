"""The law of the safeguard: no sweep takes access from many at once unless staff approved it for these subscribers."""

import datetime as dt
from collections import defaultdict
from typing import Any

from django.db import connection

from apps.access import memberships
from apps.billing import mirror
from apps.core.audit_actions import AuditAction
from apps.core.laws import MOST, Checked, Law, LawSeverity, LawViolation, Scope, register
from apps.core.models import AuditEntry
from apps.operations import incident, stripe_comparison, sweeps
from apps.operations.models import SafeguardReview
from apps.operations.safeguard import HAS_ACCESS, count_with_access, loss_limit

REACH = dt.timedelta(days=1)  # a sweep begins once a day or more often

# Losses of the last day in a sweep's own jobs, or in those that followed a fetch it asked for, of the person or of somebody who paid
# for them; told by why they were queued.
LOSSES = """
SELECT a.subject_id::bigint, coalesce(fetched.reason, shared.reason, j.reason),
    date_trunc('hour', coalesce(fetched.created_at, shared.created_at, j.created_at))
FROM core_auditentry a
JOIN core_job j ON j.id = substring(a.request_id FROM '^job-([0-9]+)-')::bigint
JOIN accounts_userprofile p ON p.id = a.subject_id::bigint
LEFT JOIN LATERAL (
    SELECT m.reason, m.created_at FROM core_job m
    WHERE m.kind = %(fetch)s AND m.key = p.stripe_customer_id AND m.reason = ANY(%(sweeps)s)
      AND j.created_at BETWEEN m.started_at AND coalesce(m.finished_at, %(now)s) ORDER BY m.id DESC LIMIT 1) AS fetched ON true
LEFT JOIN LATERAL (
    SELECT m.reason, m.created_at FROM accounts_membership ms
    JOIN accounts_userprofile payer ON payer.id = ms.payer_id
    JOIN core_job s ON s.kind = %(sync)s AND s.key = ms.payer_id::text
        AND j.created_at BETWEEN s.started_at AND coalesce(s.finished_at, %(now)s)
    JOIN core_job m ON m.kind = %(fetch)s AND m.key = payer.stripe_customer_id AND m.reason = ANY(%(sweeps)s)
        AND s.created_at BETWEEN m.started_at AND coalesce(m.finished_at, %(now)s)
    WHERE p.membership_id IS NOT NULL AND ms.member_id = p.id AND ms.accepted_at IS NOT NULL
    ORDER BY m.id DESC LIMIT 1) AS shared ON true
WHERE a.id >= %(first)s AND a.at > %(since)s AND a.subject_kind = 'profile' AND a.action = %(action)s
  AND a.before->>'state' = ANY(%(access)s) AND a.after->>'state' <> ALL(%(access)s)
  AND (fetched.reason IS NOT NULL OR shared.reason IS NOT NULL OR j.reason = ANY(%(sweeps)s) OR j.reason LIKE %(runs)s)
"""


def register_laws() -> None:
    """Make the law of this module known."""
    register(
        Law(
            number="L30",
            title="Sweeps take access from few",
            sentence="No sweep took access from more than max(20, 5 %) of those who have it, unless staff approved it for these subscribers.",
            severity=LawSeverity.URGENT,
            check=check_losses,
        )
    )


def check_losses(scope: Scope) -> Checked:
    """L30. What one sweep asked for is told apart by why its jobs were queued, and in which hour."""
    if scope.subscriber_id is not None:
        return Checked(0)
    rows = _read_losses(scope)
    approved = _read_approved(scope)
    by_sweep: dict[tuple[str, dt.datetime], set[int]] = defaultdict(set)
    for profile, reason, hour in rows:
        if profile not in approved:
            by_sweep[reason, hour].add(profile)
    limit = loss_limit(count_with_access())
    found = [
        LawViolation(
            "profile",
            str(profile),
            profile,
            f"Lost access with {len(lost) - 1} others in the sweep “{reason}” of {hour:%d %B, %H:00}.",
        )
        for (reason, hour), lost in sorted(by_sweep.items(), key=lambda one: one[0][1])
        if len(lost) > limit
        for profile in sorted(lost)
    ]
    return Checked(len(rows), found[:MOST], len(found))


def _read_losses(scope: Scope) -> list[Any]:
    since = scope.moment - REACH
    values: dict[str, Any] = {
        "fetch": mirror.KIND, "sync": memberships.KIND, "sweeps": [sweeps.NIGHTLY_REASON, stripe_comparison.REASON, incident.REASON], "runs": "sync run % by %",
        "now": scope.moment, "since": since,
        "first": _first_entry_since(since), "action": AuditAction.ACCESS_CHANGED.value, "access": HAS_ACCESS,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(LOSSES, values)
        return list(cursor.fetchall())


def _read_approved(scope: Scope) -> set[int]:
    """Those of whom staff said within these days that they may lose access."""
    confirmed = SafeguardReview.objects.filter(
        state=SafeguardReview.State.CONFIRMED, until__gt=scope.moment - REACH, decided_at__lte=scope.moment
    )
    return {one for ids in confirmed.values_list("profile_ids", flat=True) for one in ids}


def _first_entry_since(moment: dt.datetime) -> int:
    """About the first entry from then on: their numbers grow with time, so a few reads by number find it, and no scan."""
    entries = AuditEntry.objects.order_by("pk")
    low, high = 0, entries.values_list("pk", flat=True).last() or 0
    while low < high:
        middle = (low + high) // 2
        at = entries.filter(pk__gt=middle, pk__lte=high).values_list("at", flat=True).first()
        if at is None or at >= moment:
            high = middle
        else:
            low = middle + 1
    return low
