"""What only Keycloak's own lists show: accounts with our mark that are nobody's here, and sessions of closed accounts.

Both run every hour, change nothing, and leave a row that says what they found; the laws L20 and L23 read it. For the first
Keycloak lists the members of our group, which every account of ours is in. It lists no sessions of many people, so the second asks
about a sample, those synced last; each night the sync of everybody ends what it finds at any other.
"""

import datetime as dt

from django.db.models import QuerySet

from apps.accounts.models import UserProfile
from apps.core import clock, comparison_runs, jobs
from apps.core.comparison_runs import Tally
from apps.core.models import Job
from apps.core.states import AccessState, values_where
from apps.identity.keycloak import client
from apps.operations.keycloak_write_back import MARK
from apps.operations.lost_time import is_mark

OWNERS, SESSIONS = "compare_account_owners", "sample_closed_sessions"
HOUR = 3600
ALLOWANCE = dt.timedelta(minutes=6)  # in which a sync ends the sessions
SAMPLE = 50
STRANGERS = 2_000  # accounts in our group that nobody has here, read in one run
CLOSED = values_where(AccessState, lambda one: one.is_closed)


def register() -> None:
    """Make the job kinds known."""
    sweep = Job.Importance.SWEEP
    needs = ("keycloak",)
    jobs.register(
        OWNERS, compare_owners, label="Find accounts without a subscriber", needs=needs, every=HOUR, importance=sweep
    )
    jobs.register(
        SESSIONS,
        sample_sessions,
        label="Find sessions of closed accounts",
        needs=needs,
        every=HOUR,
        importance=sweep,
    )


def compare_owners(_key: str = "") -> None:
    """The job: the accounts in our group that carry our mark and belong to no subscriber."""
    run = comparison_runs.begin(OWNERS)
    there = client().list_customers()
    known = set(UserProfile.objects.filter(keycloak_id__isnull=False).values_list("keycloak_id", flat=True))
    accounts = client().get_users(sorted(there - known)[:STRANGERS])
    nobodys = [one for one, found in accounts.items() if is_mark(next(iter(found.attributes.get(MARK, ())), ""))]
    items = tuple(("account", one, "keycloak") for one in sorted(nobodys))
    comparison_runs.add(run, Tally(looked_at=len(there), found=len(items), items=items), ended=True)


def closed_accounts() -> QuerySet[UserProfile]:
    """Subscribers whose account is closed and who are not being synced."""
    return UserProfile.objects.filter(access_state__in=CLOSED, keycloak_id__isnull=False, pending_since=None)


def sample_sessions(_key: str = "") -> None:
    """The job: ask how many sessions the closed accounts have, of those synced last."""
    run = comparison_runs.begin(SESSIONS)
    late = clock.now() - ALLOWANCE
    sample = closed_accounts().filter(synced_at__lte=late).order_by("-synced_at", "-pk")[:SAMPLE]
    asked = [(one.pk, client().session_count(one.keycloak_id or "")) for one in sample]
    items = tuple(("profile", pk, "keycloak") for pk, sessions in asked if sessions)
    comparison_runs.add(run, Tally(looked_at=len(asked), found=len(items), items=items), ended=True)
