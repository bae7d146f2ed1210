"""Laws of access: it has a cause, everybody who has paid has it, and what was decided is what is there."""

import datetime as dt

from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from apps.access import reconcile
from apps.access.models import AccessOverride
from apps.access.policy import Decision
from apps.accounts.models import UserProfile
from apps.core import laws
from apps.core.audit_actions import AuditAction
from apps.core.laws import Checked, Law, LawSeverity, Scope
from apps.core.models import AuditEntry, Job
from apps.core.states import AccessState, SubscriptionStatus, values_where
from apps.instances import allocation
from apps.instances.models import SeatWait
from apps.operations.laws.confirm import GIVES_ACCESS, HAS_ACCESS, confirm, granted, judge_people, paid_for, quiet
from apps.operations.models import Drift

MINUTE = 60
CAUSE, PAID, APPLIED = 10 * MINUTE, 15 * MINUTE, 5 * MINUTE
MAY_GIVE_ACCESS = values_where(SubscriptionStatus, lambda one: one.may_give_access)
GONE = [Drift.Kind.DISABLED, Drift.Kind.DELETED]


def register() -> None:
    """Add them."""
    laws.register(
        Law(
            "L1",
            "Access needs a cause",
            "Everybody with access is entitled to it now, by what they or somebody for them pay, or by a grant with a reason, an author and an end."
            " By the last comparison, Keycloak gives nobody more than that.",
            LawSeverity.URGENT,
            check_cause,
            allowance_seconds=CAUSE,
        ),
        Law(
            "L2",
            "Everybody who has paid has access",
            "Everybody who is entitled to access has it, with an account in Keycloak that is there and enabled.",
            LawSeverity.URGENT,
            check_paid,
            allowance_seconds=PAID,
        ),
        Law(
            "L3",
            "What was decided is applied",
            "Every sync that was asked for has been done, but for a seat that is not free yet, and Keycloak has the attributes and"
            " groups as decided.",
            LawSeverity.IMPORTANT,
            check_applied,
            allowance_seconds=APPLIED,
        ),
    )


def say_moment(moment: dt.datetime | None) -> str:
    """A moment in a sentence about a violation."""
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "the beginning"


# --- L1 --------------------------------------------------------------------------------------------------------------


def check_cause(scope: Scope) -> Checked:
    """L1: those with access whom nothing that we know pays for, whose date has come, or who are on hold."""
    people = scope.narrow(UserProfile.objects.filter(access_state__in=HAS_ACCESS))
    unpaid = ~Q(subscription_status__in=MAY_GIVE_ACCESS) & ~Q(granted(scope)) & ~paid_for(MAY_GIVE_ACCESS)
    over = Q(access_until__lte=scope.before(CAUSE))
    held = Q(AccessOverride.in_force(AccessOverride.Kind.HOLD, at=scope.moment, since=scope.before(CAUSE)))
    suspects = people.filter(unpaid | over | held).filter(quiet(scope, CAUSE))
    excess = open_drift(scope, CAUSE).filter(kind=Drift.Kind.ACCESS, is_excess=True, profile__pending_since=None)
    return laws.combine(
        people,
        confirm(suspects, _say_uncaused),
        judge_drift(excess, "gets more in Keycloak than is due"),
        _judge_grants(scope),
    )


def _say_uncaused(profile: UserProfile, decision: Decision) -> str:
    if decision.state.has_access:
        return ""
    return f"Subscriber {profile.pk} has access and should not: {'; '.join(decision.trace)}."


def _judge_grants(scope: Scope) -> Checked:
    grants = AccessOverride.objects.filter(kind=AccessOverride.Kind.GRANT, lifted_at=None)
    incomplete = scope.narrow(grants, "profile").filter(Q(reason="") | Q(created_by="") | Q(ends_at=None))
    return laws.judge(
        0, incomplete.order_by("pk"), kind="accessoverride", subscriber=lambda row: row.profile_id,
        words=lambda row: f"A grant of subscriber {row.profile_id} lacks its reason, its author or its end.",
    )  # fmt: skip


# --- L2 --------------------------------------------------------------------------------------------------------------


def check_paid(scope: Scope) -> Checked:
    """L2: late is late, whether or not a job is at work on it."""
    entitled = Q(subscription_status__in=GIVES_ACCESS) | Q(granted(scope)) | paid_for(GIVES_ACCESS)
    people = scope.narrow(UserProfile.objects.filter(entitled))
    late, known = scope.before(PAID), Q(subscription_synced_at=None) | Q(subscription_synced_at__lte=scope.before(PAID))
    without = Q(synced_at=None) | ~Q(access_state__in=HAS_ACCESS)
    opened = AuditEntry.objects.filter(
        subject_kind="profile", subject_id=Cast(OuterRef("pk"), CharField()), action=AuditAction.ACCESS_CHANGED,
        at__gt=OuterRef("synced_at"), after__state__in=HAS_ACCESS,
    )  # fmt: skip
    # Of somebody who is not pending, a date that is unknown is not yet false: without the first part, each one's trail is read.
    waiting = Q(pending_since__isnull=False, pending_since__lte=late) & (without | Q(Exists(opened)))
    forgotten = Q(pending_since=None) & without & known
    gone = open_drift(scope, PAID).filter(kind__in=GONE, profile__access_state__in=HAS_ACCESS)
    return laws.combine(
        people,
        confirm(people.filter(waiting | forgotten), _say_waiting),
        judge_drift(gone, "has paid, and the account in Keycloak is disabled or gone"),
    )


def _say_waiting(profile: UserProfile, decision: Decision) -> str:
    if not decision.state.has_access:
        return ""
    if profile.pending_since:
        return f"Subscriber {profile.pk} has waited for access since {say_moment(profile.pending_since)}."
    label = AccessState(profile.access_state).label
    return f"Subscriber {profile.pk} is entitled to access and is in the state “{label}”."


# --- L3 --------------------------------------------------------------------------------------------------------------


def check_applied(scope: Scope) -> Checked:
    """L3. Work in progress is none of it, nor is a wait for a seat: that is known, and listed with its beginning."""
    people = scope.narrow(UserProfile.objects.all())
    behind = ~Q(observed_generation=F("desired_generation"))
    lost = people.filter(pending_since=None).filter(behind)
    waiting = people.filter(pending_since__lte=scope.before(APPLIED))
    stuck = reconcile.without_job(waiting, Job.UNFINISHED).exclude(_waits_for_seat())
    differs = open_drift(scope, APPLIED).filter(kind=Drift.Kind.ACCESS, profile__pending_since=None)
    return laws.combine(
        people,
        judge_people(lost, lambda one: f"The last sync of subscriber {one.pk} is not the one that was asked for last."),
        judge_people(stuck, _say_stuck),
        judge_drift(differs, "has other attributes or groups in Keycloak than decided"),
    )


def _waits_for_seat() -> Q:
    """Those who rightly wait for a seat: they are in the line, none is free for them, and their job tells staff so.

    Everything else of theirs is done by then (access/apply.py), and a seat that comes free is offered to them.
    """
    offered = [one for product_id in allocation.products_in_line() for one in allocation.next_in_line(product_id)]
    line = SeatWait.objects.filter(profile=OuterRef("pk")).exclude(profile__in=offered)
    told = Job.objects.filter(kind__in=reconcile.KINDS, state=Job.State.BLOCKED, key=Cast(OuterRef("pk"), CharField()))
    return Q(Exists(line)) & Q(Exists(told))


def _say_stuck(profile: UserProfile) -> str:
    return (
        f"A sync of subscriber {profile.pk} was asked for at {say_moment(profile.pending_since)}, and no job does it."
    )


# --- drift -----------------------------------------------------------------------------------------------------------


def open_drift(scope: Scope, seconds: int) -> QuerySet[Drift]:
    """Differences found longer ago than that, unless staff ignore them."""
    ignored = Q(ignored_until__gt=scope.moment)
    rows = Drift.objects.filter(resolved_at=None, first_seen_at__lte=scope.before(seconds)).exclude(ignored)
    return scope.narrow(rows, "profile").order_by("pk")


def judge_drift(rows: QuerySet[Drift], what: str) -> Checked:
    """A part of a law that the comparison with Keycloak found."""
    return laws.judge(
        0, rows, kind="drift", subscriber=lambda row: row.profile_id,
        words=lambda row: f"Subscriber {row.profile_id} {what}, found at {say_moment(row.first_seen_at)}.",
    )  # fmt: skip
