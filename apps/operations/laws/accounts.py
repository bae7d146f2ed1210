"""Laws of Keycloak's accounts: whose they are, and that nobody is logged in to a closed one. From what the comparisons found."""

import datetime as dt

from apps.accounts.models import UserProfile
from apps.core import laws
from apps.core.laws import Checked, Law, LawSeverity, LawViolation, Scope, Source, Unknown
from apps.core.models import ComparisonRun, Dependency
from apps.operations import account_checks, drift
from apps.operations.laws.access import judge_drift, open_drift, say_moment
from apps.operations.laws.confirm import violation
from apps.operations.models import Drift

QUARTER_HOUR = 900
FRESH = 3  # periods after which a comparison is too old to say anything


def register() -> None:
    """Add them."""
    laws.register(
        Law(
            "L13",
            "Every subscriber's account is there and is theirs",
            "The Keycloak account of each subscriber exists and carries the mark of that subscriber.",
            LawSeverity.URGENT,
            check_marks,
            allowance_seconds=QUARTER_HOUR,
            source=Source.KEYCLOAK,
        ),
        Law(
            "L20",
            "Nobody is logged in to a closed account",
            "A closed account has no session in Keycloak, which lists each hour everybody who is logged in; where it does not,"
            f" without our read-only account, the {account_checks.SAMPLE} synced last are asked about.",
            LawSeverity.URGENT,
            check_sessions,
            allowance_seconds=int(account_checks.ALLOWANCE.total_seconds()),
            source=Source.KEYCLOAK,
        ),
        Law(
            "L23",
            "No account of nobody",
            "Every Keycloak account that carries our mark belongs to a subscriber here.",
            LawSeverity.URGENT,
            check_owners,
            allowance_seconds=laws.HOUR,
            source=Source.KEYCLOAK,
        ),
    )


def last_runs(kind: str, period: int, scope: Scope, count: int = 1) -> list[ComparisonRun]:
    """The last complete runs, the newest first. Unknown while Keycloak is down, and when there is none of late."""
    name = "Keycloak"
    if Dependency.objects.filter(pk="keycloak").exists():
        raise Unknown(f"{name} does not answer.")
    runs = list(ComparisonRun.objects.filter(kind=kind, state=ComparisonRun.State.DONE).order_by("-pk")[:count])
    if len(runs) < count:
        raise Unknown(f"{name} has not been compared completely yet.")
    if runs[0].ended_at and runs[0].ended_at < scope.moment - dt.timedelta(seconds=FRESH * period):
        raise Unknown(f"{name} was last compared completely at {say_moment(runs[0].ended_at)}.")
    return runs


def check_marks(scope: Scope) -> Checked:
    """L13, by the comparison that reads every account each quarter of an hour; a walk over very many takes longer."""
    last_runs(drift.KIND, laws.HOUR, scope)
    people = scope.narrow(UserProfile.objects.filter(keycloak_id__isnull=False, synced_at__isnull=False))
    found = open_drift(scope, QUARTER_HOUR)
    return laws.combine(
        people,
        judge_drift(found.filter(kind=Drift.Kind.MARK), "has an account in Keycloak with another mark"),
        judge_drift(found.filter(kind=Drift.Kind.DELETED), "has no account in Keycloak any more"),
    )


def check_sessions(scope: Scope) -> Checked:
    """L20, of those who are still closed."""
    (run,) = last_runs(account_checks.SESSIONS, account_checks.HOUR, scope)
    named = [int(one) for kind, one, _ in run.items if kind == "profile"]
    still = scope.narrow(account_checks.closed_accounts().filter(pk__in=named, synced_at__lt=run.started_at)).order_by(
        "pk"
    )
    words = "Subscriber {} has a closed account and was logged in to it at {}."
    found = [violation(pk, words.format(pk, say_moment(run.ended_at))) for pk in still.values_list("pk", flat=True)]
    return Checked(run.looked_at, found, len(found))


def check_owners(scope: Scope) -> Checked:
    """L23: what two runs in a row have found and is still nobody's; one account may be in the middle of being made or deleted."""
    last, before = last_runs(account_checks.OWNERS, account_checks.HOUR, scope, count=2)
    twice = {str(one) for _, one, _ in last.items} & {str(one) for _, one, _ in before.items}
    owned = UserProfile.objects.filter(keycloak_id__in=twice).values_list("keycloak_id", flat=True)
    nobodys = sorted(twice - set(owned)) if scope.subscriber_id is None else []
    found = [
        LawViolation("account", one, None, f"Keycloak's account {one} carries our mark and belongs to no subscriber.")
        for one in nobodys
    ]
    return Checked(last.looked_at, found[: laws.MOST], len(found))
