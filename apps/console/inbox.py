"""The inbox: each problem in words, with whom it affects, since when, what it costs a month and what fixes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q
from django.urls import reverse

from apps.access.models import AccessFreeze
from apps.accounts.models import UserProfile
from apps.billing.stripe_objects import MIRRORED
from apps.catalog.models import ProductPrice
from apps.console.navigation import list_url
from apps.console.problems import ATTENTION, DRIFT, EMAILS, JOBS, Affected, Problem, read_affected, read_problems
from apps.console.saved_views import COUNT_LIMIT, PARAMETER
from apps.core import attention, clock, jobs
from apps.core.attention import Cause
from apps.core.models import AttentionItem, AuditEntry, ComparisonRun, Job, LawCheck, RestoreCheck
from apps.core.money import format_money
from apps.notifications.models import Notification
from apps.operations.models import CustomerImport, Drift, SafeguardReview

NAME = "problem"  # of the filter that shows the rows of one
DISPUTES = next(model for model in MIRRORED if model.__name__ == "Dispute")

# What fixes the items of a cause, and where; for the others their list says what to do.
FIXES: Mapping[str, tuple[str, Callable[[], str]]] = {
    Cause.UNMAPPED_PRICE: ("Map the price", lambda: list_url(ProductPrice)),
    Cause.PRICE_WITHDRAWN: ("Offer another price", lambda: list_url(ProductPrice)),
    Cause.API_VERSION: ("Open the doctor", lambda: reverse("admin:realm")),
    Cause.DOCTOR: ("Open the doctor", lambda: reverse("admin:realm")),
    Cause.DISPUTE: ("Open the disputes", lambda: list_url(DISPUTES)),
    Cause.SAFEGUARD: ("Review who they are", lambda: list_url(SafeguardReview, state__exact="pending")),
    Cause.COMPARISON: ("Open the comparisons", lambda: list_url(ComparisonRun)),
    Cause.INCIDENT: ("Open incident mode", lambda: list_url(AccessFreeze)),
    Cause.RESTORED: ("Open the check after the restore", lambda: list_url(RestoreCheck)),
    Cause.AUDIT: ("Open the audit log", lambda: list_url(AuditEntry)),
    Cause.IMPORT_LEFT: ("Open the imports", lambda: list_url(CustomerImport)),
    Cause.LAW: ("See what is violated", lambda: list_url(LawCheck, **{PARAMETER: "violated"})),
}
# Those that are fixed on the page of the subscriber.
ON_THEIR_PAGE = {
    Cause.ACCOUNT_REFUSED: "Correct the account",
    Cause.ADDRESS_OBJECTED: "See what was done meanwhile",
    Cause.UNREACHABLE: "Correct the address",
    Cause.UNWARNED_LOSS: "Extend the grace period, or call them",
    Cause.SECOND_SUBSCRIPTION: "Cancel one of the subscriptions",
    Cause.PAID_AFTER_END: "Refund the payment",
    Cause.COLLECTION_PAUSED: "Resume payments",
    Cause.CONTRACT: "Refund, or end the subscription",
    Cause.ODD_CHANGE: "See what changed",
    Cause.PRODUCT_ACCOUNT_LOST: "Bring its data back",
}
ADVICE = {
    JOBS: "They stopped and do not run again by themselves. Fix the cause, then retry them.",
    EMAILS: "Nobody got these emails. Send again what is still true.",
    DRIFT: "Keycloak differs from what it should say.",
}


@dataclass(frozen=True)
class Card:
    """A problem as the page shows it."""

    problem: Problem
    affected: Affected

    @property
    def title(self) -> str:
        return title_of(self.problem)

    @property
    def url(self) -> str:
        """The list that has exactly its rows."""
        return rows_url(self.problem)

    @property
    def counted(self) -> str:
        """How many of what."""
        what = {ATTENTION: "item", JOBS: "stuck job", EMAILS: "email", DRIFT: "difference"}[self.problem.source]
        return f"{self.problem.rows:,} {what}{'' if self.problem.rows == 1 else 's'}"

    @property
    def sentence(self) -> str:
        """What one of them says."""
        return self.problem.sample or ADVICE[self.problem.source]

    @property
    def advice(self) -> str:
        return ADVICE.get(self.problem.source, "") if self.problem.sample else ""

    @property
    def runbook(self) -> str:
        """The heading of the manual's runbooks that is about it."""
        return str(self.problem.key if self.problem.source == ATTENTION else self.problem.source)

    @property
    def people_url(self) -> str:
        return list_url(UserProfile, **{NAME: self.problem.name})

    @property
    def more_people(self) -> int:
        return self.affected.count - len(self.affected.first or ())

    @property
    def money(self) -> str:
        """What the people affected pay in a month, in each currency."""
        return " + ".join(format_money(amount, currency) for currency, amount in self.affected.money or ())

    @property
    def jobs_url(self) -> str:
        """The list of the stuck jobs behind it."""
        return list_url(Job, **{NAME: self.problem.name}) if self.problem.jobs else ""

    @property
    def fix(self) -> tuple[str, str]:
        """What to do, and where."""
        return fix_of(self.problem, self.people_url if self.affected.count else "")


def title_of(problem: Problem) -> str:
    """Its heading; without anything from the rows themselves, since the first page shows it to all staff."""
    match problem.source:
        case "jobs":
            names = sorted(jobs.kind_label(kind) for kind in problem.kinds)
            return f"Stuck: {', '.join(names[:2])}{f' and {len(names) - 2} more' if len(names) > 2 else ''}"
        case "emails":
            return (
                "Emails not sent" if Notification.State.FAILED in problem.kinds else "Emails that may not have arrived"
            )
        case "drift":
            return f"Drift: {Drift.Kind(problem.key).label[:1].lower()}{Drift.Kind(problem.key).label[1:]}"
    return attention.cause_label(problem.key)


def rows_url(problem: Problem) -> str:
    """The list that has exactly its rows."""
    match problem.source:
        case "jobs":
            return list_url(Job, **{NAME: problem.name})
        case "emails":
            return list_url(Notification, **{NAME: problem.name})
        case "drift":
            return list_url(Drift, kind__exact=problem.key)
    return list_url(AttentionItem, cause=problem.key)


def fix_of(problem: Problem, people_url: str) -> tuple[str, str]:
    """What to do, and where; empty where the list itself says it."""
    if problem.source == EMAILS:
        return "Send them again", rows_url(problem)
    if problem.source == DRIFT:
        return "Fix the drift", rows_url(problem)
    if problem.key in FIXES and problem.source == ATTENTION:
        label, url = FIXES[problem.key]
        return label, url()
    label = ON_THEIR_PAGE.get(problem.key, "")  # type: ignore[call-overload]
    return (label, people_url) if label and people_url else ("", "")


def read_cards() -> list[Card]:
    """All problems, the oldest first; two queries."""
    found, affected = read_problems(), read_affected()
    return [Card(one, affected.get(one.name, Affected())) for one in found]


def count_aside() -> dict[str, int]:
    """How many items are snoozed, and how many ignored; one query."""
    return (
        AttentionItem.objects.filter(resolved_at=None)
        .order_by("-last_at")[:COUNT_LIMIT]
        .aggregate(
            snoozed=Count("pk", filter=Q(ignored_at=None, snoozed_until__gt=clock.now())),
            ignored=Count("pk", filter=~Q(ignored_at=None)),
        )
    )


def find_problem(name: str) -> Problem | None:
    """The problem of that name, if it is still there."""
    return next((one for one in read_problems() if one.name == name), None)


def find_items(problem: Problem) -> Any:
    """The attention items of a problem."""
    return (
        attention.needing_staff().filter(cause=problem.key)
        if problem.source == ATTENTION
        else AttentionItem.objects.none()
    )
