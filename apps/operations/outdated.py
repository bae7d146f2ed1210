"""Who of many a sync would do something for, found without a sync of everybody.

The comparison with Keycloak reads every account each quarter of an hour and keeps what it found as drift, and the hourly one who is
logged in to a closed account; so at night Keycloak is not asked again. What is decided from our rows is decided again for
everybody, by the same function as a sync.
"""

from django.db.models import Q, QuerySet

from apps.access import reconcile, recording
from apps.access.forecast import forecast
from apps.access.policy import decide
from apps.access.policy_facts import Facts
from apps.access.terms import read_terms
from apps.accounts.models import UserProfile
from apps.core.models import Job
from apps.operations import account_checks, bulk_facts
from apps.operations.models import Drift

FIXED_BY_SYNC = (Drift.Kind.ACCESS, Drift.Kind.DISABLED, Drift.Kind.DELETED)


def find_outdated(people: QuerySet[UserProfile]) -> list[int]:
    """Those of `people` whose sync would change something, or is not at rest. The same queries for any number, no call."""
    known = bulk_facts.facts_by_each(people, [read_terms()])[0]
    untimed = set(reconcile.without_job(people, Job.UNFINISHED).values_list("pk", flat=True))
    found = {
        row.pk for row in people if row.pk in known and _is_outdated(row, known[row.pk], timed=row.pk not in untimed)
    }
    differing = Drift.objects.filter(profile__in=people, resolved_at=None, kind__in=FIXED_BY_SYNC)
    named = (
        Q(pending_since__isnull=False)
        | Q(pk__in=differing.values("profile"))
        | Q(pk__in=account_checks.find_logged_in())
    )
    return sorted({*found, *people.filter(named).values_list("pk", flat=True)})


def _is_outdated(profile: UserProfile, known: Facts, *, timed: bool) -> bool:
    """The record is not what is decided now, its date has no job, or a late payment may call for an email."""
    decision = decide(known)
    columns = recording.as_columns(decision, forecast(known))
    return (
        any(getattr(profile, name) != value for name, value in columns.items())
        or (decision.reconcile_at is not None and not timed)
        or any(one.status.is_late for one in known.subscriptions)
    )
