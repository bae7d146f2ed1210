"""What only Keycloak's own lists show: accounts with our mark that are nobody's here, and sessions of closed accounts.

Both run every hour, change nothing, and leave a row that says what they found; the laws L20 and L23 read it. For the first
Keycloak lists the members of our group, which every account of ours is in; for the second everybody who is logged in. That it shows
to our read-only account alone: without one, a sample is asked about, those synced last.
"""

import datetime as dt
from itertools import batched

from django.db.models import QuerySet

from apps.accounts.models import UserProfile
from apps.core import clock, comparison_runs, jobs
from apps.core.comparison_runs import Tally
from apps.core.models import ComparisonRun, Job
from apps.core.states import AccessState, values_where
from apps.identity.account_lists import MARK
from apps.identity.keycloak import client
from apps.identity.session_lists import list_logged_in
from apps.operations.lost_time import is_mark

OWNERS, SESSIONS = "compare_account_owners", "sample_closed_sessions"  # the second from when it only asked a sample
HOUR = 3600
ALLOWANCE = dt.timedelta(minutes=6)  # in which a sync ends the sessions
SAMPLE = 50  # asked about one by one, where Keycloak does not list who is logged in
TOGETHER = 5_000  # ids in one statement
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
        compare_sessions,
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


def compare_sessions(_key: str = "") -> None:
    """The job: the closed accounts that somebody is logged in to, of all or of those synced last."""
    run = comparison_runs.begin(SESSIONS)
    closed = closed_accounts().filter(synced_at__lte=clock.now() - ALLOWANCE)
    logged_in = list_logged_in()
    if logged_in is None:
        asked = list(closed.order_by("-synced_at", "-pk")[:SAMPLE])
        looked_at = len(asked)
    else:
        looked_at = closed.count()
        batches = batched(sorted(logged_in), TOGETHER, strict=False)
        asked = [one for ids in batches for one in closed.filter(keycloak_id__in=ids)]
    # A list may name a session that has just ended.
    found = [one.pk for one in asked if client().session_count(one.keycloak_id or "")]
    items = tuple(("profile", pk, "keycloak") for pk in found)
    comparison_runs.add(run, Tally(looked_at=looked_at, found=len(items), items=items), ended=True)


def find_logged_in() -> list[int]:
    """Those of the last complete run."""
    done = ComparisonRun.objects.filter(kind=SESSIONS, state=ComparisonRun.State.DONE).order_by("-pk")
    return [int(one) for run in done[:1] for kind, one, _ in run.items if kind == "profile"]
