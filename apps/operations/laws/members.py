"""The law of memberships: somebody for whom another one pays has access exactly as that pays for it, and nobody is one too many."""

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.access import memberships
from apps.access.policy import Decision
from apps.accounts.models import Membership, UserProfile
from apps.billing.models import UserSubscriptionItem
from apps.core import laws
from apps.core.laws import Checked, Law, LawSeverity, Scope
from apps.core.models import Job
from apps.core.states import AccessState, SubscriptionStatus, values_where
from apps.operations.laws.confirm import HAS_ACCESS, confirm, quiet

ALLOWANCE = 15 * 60
GIVES_ACCESS = values_where(SubscriptionStatus, lambda one: one.gives_access)
MAY_GIVE_ACCESS = values_where(SubscriptionStatus, lambda one: one.may_give_access)
MAY_CHARGE = values_where(SubscriptionStatus, lambda one: one.may_charge)
# Payers of more people than what runs is for, themselves included; for one person, who pays for them, and they themselves.
CROWDED = """
SELECT payer.id, payer.id, joined.members, paid.people FROM (
    SELECT payer_id, count(*) AS members FROM accounts_membership
    WHERE ended_at IS NULL AND accepted_at IS NOT NULL AND (%(one)s::bigint IS NULL OR payer_id IN (
        SELECT payer_id FROM accounts_membership WHERE ended_at IS NULL AND %(one)s IN (payer_id, member_id)))
    GROUP BY payer_id) AS joined
JOIN accounts_userprofile payer ON payer.id = joined.payer_id AND payer.subscription_synced_at < %(before)s
JOIN LATERAL (
    SELECT greatest(1, sum(item.quantity * coalesce(product.people, 0))) AS people FROM billing_usersubscriptionitem item
    JOIN billing_subscription running ON running.id = item.subscription_id AND running.status = ANY(%(charge)s)
    LEFT JOIN catalog_product product ON product.id = item.product_id
    WHERE item.profile_id = payer.id HAVING count(*) > 0) AS paid ON joined.members + 1 > paid.people
WHERE NOT EXISTS (
    SELECT FROM core_job job WHERE job.kind = %(sync)s AND job.key = payer.id::text AND job.state = ANY(%(unfinished)s)
        AND job.created_at >= %(before)s)
"""


def register() -> None:
    """Add it."""
    laws.register(
        Law(
            "L31",
            "Members have what is paid for them",
            "Somebody for whom another subscriber pays has access exactly if that subscription gives it, and no subscription is used"
            " by more people than it is for.",
            LawSeverity.URGENT,
            check_members,
            allowance_seconds=ALLOWANCE,
        )
    )


def check_members(scope: Scope) -> Checked:
    """L31."""
    joined = Membership.objects.filter(ended_at=None, accepted_at__isnull=False)
    people = scope.narrow(UserProfile.objects.filter(pk__in=joined.values("member")))
    values = {
        "one": scope.subscriber_id, "before": scope.before(ALLOWANCE), "charge": MAY_CHARGE, "sync": memberships.KIND,
        "unfinished": [str(one) for one in Job.UNFINISHED],
    }  # fmt: skip
    return laws.combine(
        people,
        laws.judge_sql(0, CROWDED, values, kind="profile", words=_say_crowded),
        _judge_unread(joined, scope),
        confirm(_shut_out(people, scope), _say_shut_out),
        confirm(_unpaid(people, scope), _say_unpaid),
    )


def _say_crowded(members: int, people: int) -> str:
    return f"A subscription for {people} is shared by {members + 1}."


def _judge_unread(joined: QuerySet[Membership], scope: Scope) -> Checked:
    """Memberships that their members' rows do not name: nothing that decides would read them."""
    unread = scope.narrow(joined, "member").exclude(member__membership=F("pk"))
    return laws.judge(
        0, unread.order_by("pk"), kind="membership", subscriber=lambda row: row.member_id,
        words=lambda row: f"Subscriber {row.member_id} does not have what membership {row.pk} gives: their row names another one, or none.",
    )  # fmt: skip


def _shut_out(people: QuerySet[UserProfile], scope: Scope) -> QuerySet[UserProfile]:
    """Members without access of a payer who pays for something that is shared."""
    shared = UserSubscriptionItem.objects.filter(
        profile=OuterRef("membership__payer"),
        product__people__gt=0,
        quantity__gt=0,
        subscription__status__in=GIVES_ACCESS,
    )
    without = people.exclude(access_state__in=HAS_ACCESS).filter(membership__accepted_at__lte=scope.before(ALLOWANCE))
    return without.filter(quiet(scope, ALLOWANCE), Exists(shared))


def _say_shut_out(profile: UserProfile, decision: Decision) -> str:
    if not decision.state.has_access:
        return ""
    label = AccessState(profile.access_state).label
    return f"Subscriber {profile.pk}, for whom another one pays, is entitled to access and is in the state “{label}”."


def _unpaid(people: QuerySet[UserProfile], scope: Scope) -> QuerySet[UserProfile]:
    """Members with access, where neither the payer's subscription nor one of their own may give it."""
    nothing = ~Q(membership__payer__subscription_status__in=MAY_GIVE_ACCESS)
    own = Q(subscription_status__in=MAY_GIVE_ACCESS)
    return people.filter(quiet(scope, ALLOWANCE), nothing, access_state__in=HAS_ACCESS).exclude(own)


def _say_unpaid(profile: UserProfile, decision: Decision) -> str:
    if decision.state.has_access:
        return ""
    return f"Subscriber {profile.pk} has access, and nobody pays for it: {'; '.join(decision.trace)}."
