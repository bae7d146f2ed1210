"""Laws of dates: grace ends when it is over and not before, and after the final expiry nothing is left."""

import datetime as dt

from django.db.models import Exists, OuterRef, Q

from apps.access.models import AccessOverride
from apps.access.policy import Decision
from apps.access.terms import read_terms
from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.core import laws, retention
from apps.core.laws import Checked, Law, LawSeverity, Scope
from apps.core.states import AccessState, SubscriptionStatus, values_where
from apps.instances.models import Seat
from apps.operations import pruning
from apps.operations.laws.access import say_moment
from apps.operations.laws.confirm import confirm, judge_people, quiet

MINUTE, DAY = 60, 86_400
PAST_DUE = SubscriptionStatus.PAST_DUE
AWAITS_EXPIRY = values_where(AccessState, lambda one: one.awaits_expiry)
PAYS = values_where(SubscriptionStatus, lambda one: one.pays)
FORGOTTEN = dt.timedelta(days=30)  # after the retention of expired customers is over


def register() -> None:
    """Add them."""
    laws.register(
        Law(
            "L18",
            "Grace ends when it is over",
            "Nobody is in grace after its end, and nobody is suspended for a late payment before it.",
            LawSeverity.URGENT,
            check_grace,
            allowance_seconds=MINUTE,
        ),
        Law(
            "L19",
            "The final expiry holds",
            "After the final expiry a subscriber has expired: no seat, no open recovery, no running subscription; and personal data is"
            " gone a month after it may no longer be kept.",
            LawSeverity.URGENT,
            check_expiry,
            allowance_seconds=DAY,
        ),
    )


def check_grace(scope: Scope) -> Checked:
    """L18. Late is late, whether or not a job is at work on it."""
    graced = scope.narrow(UserProfile.objects.filter(access_state=AccessState.GRACE))
    late = scope.narrow(UserProfile.objects.filter(subscription_status=PAST_DUE))
    suspended = late.filter(access_state=AccessState.SUSPENDED).filter(quiet(scope, MINUTE))
    early = suspended.filter(_may_be_in_grace(scope))
    return laws.combine(
        graced.count() + late.count(),
        judge_people(graced.filter(access_until__lte=scope.before(MINUTE)), _say_overdue),
        confirm(early, _say_early),
    )


def _may_be_in_grace(scope: Scope) -> Q:
    """The condition that by the longest grace of all a payment is not late for too long, or that staff protect them."""
    begun = scope.moment - read_terms().longest_grace
    lately = Q(past_due_since=None) | Q(past_due_since__gt=begun)
    late = Subscription.objects.filter(lately, customer_id=OuterRef("stripe_customer_id"), status=PAST_DUE)
    protected = AccessOverride.in_force(AccessOverride.Kind.NO_SUSPEND, at=scope.moment)
    return Q(Exists(late)) | Q(protected)


def _say_overdue(profile: UserProfile) -> str:
    return f"The grace of subscriber {profile.pk} ended at {say_moment(profile.access_until)}."


def _say_early(profile: UserProfile, decision: Decision) -> str:
    if decision.state != AccessState.GRACE:
        return ""
    return f"Subscriber {profile.pk} is suspended, and the grace ends at {say_moment(decision.until)}."


def check_expiry(scope: Scope) -> Checked:
    """L19."""
    people = scope.narrow(UserProfile.objects.filter(final_expiry_at__lte=scope.moment))
    gone = scope.narrow(UserProfile.objects.filter(access_state=AccessState.EXPIRED))
    gone_for_a_day = gone.filter(final_expiry_at__lte=scope.before(DAY))
    live = Seat.objects.filter(profile=OuterRef("pk")).exclude(state__in=[Seat.State.RELEASED, Seat.State.RESERVED])
    late = people.filter(access_state__in=AWAITS_EXPIRY, final_expiry_at__lte=scope.before(DAY))
    kept = pruning.overdue(retention.limit_of("expired_customers") - FORGOTTEN)
    return laws.combine(
        people,
        judge_people(
            late, lambda one: f"The final expiry of subscriber {one.pk} was at {say_moment(one.final_expiry_at)}."
        ),
        judge_people(
            gone_for_a_day.filter(Exists(live)), lambda one: f"Subscriber {one.pk} has expired and has a seat."
        ),
        judge_people(gone.filter(recovering_until__gt=scope.moment), _say_recovering),
        judge_people(gone_for_a_day.filter(subscription_status__in=PAYS), _say_paying),
        judge_people(scope.narrow(kept), lambda one: f"Personal data of subscriber {one.pk} is older than it may be."),
    )


def _say_recovering(profile: UserProfile) -> str:
    return f"Subscriber {profile.pk} has expired, and a recovery is open until {say_moment(profile.recovering_until)}."


def _say_paying(profile: UserProfile) -> str:
    return f"Subscriber {profile.pk} has expired, and a subscription is {profile.subscription_status}."
