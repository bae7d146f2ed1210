"""What a law of access finds is confirmed by the policy: a query names everybody who may break it, `decide` says who does.

So no law says in SQL what a subscriber should have. The candidates are few where all is in order.
"""

from collections.abc import Callable, Collection
from itertools import batched

from django.db.models import Exists, F, Q, QuerySet

from apps.access.models import AccessOverride
from apps.access.policy import Decision
from apps.accounts.models import UserProfile
from apps.core import laws
from apps.core.laws import Checked, LawViolation, Scope, Unknown
from apps.core.states import AccessState, SubscriptionStatus, values_where
from apps.operations import bulk_facts

HAS_ACCESS = values_where(AccessState, lambda one: one.has_access)
GIVES_ACCESS = values_where(SubscriptionStatus, lambda one: one.gives_access)
BATCH, MOST = 1_000, 20_000  # people decided together, and in one check

Judge = Callable[[UserProfile, Decision], str]


def confirm(people: QuerySet[UserProfile], judge: Judge) -> Checked:
    """Those of `people` for whom `judge` returns the sentence that says how they break the law.

    Raises Unknown when nobody of the first `MOST` does and there are more.
    """
    suspects = laws.read_ids(people, MOST + 1)
    found, total = list[LawViolation](), 0
    for ids in batched(suspects[:MOST], BATCH, strict=False):
        batch = UserProfile.objects.filter(pk__in=ids)
        decided = bulk_facts.decide_many(batch)
        for one in batch.order_by("pk"):
            if words := judge(one, decided[one.pk]) if one.pk in decided else "":
                total += 1
                found += [violation(one.pk, words)] if len(found) < laws.MOST else []
    if len(suspects) > MOST and not total:
        raise Unknown(f"More than {MOST:,} subscribers may break this law; deciding about each takes too long.")
    return Checked(len(suspects), found, total)


def violation(profile_id: int, words: str) -> LawViolation:
    """A violation of which one subscriber is the subject."""
    return LawViolation("profile", str(profile_id), profile_id, words)


def judge_people(broken: QuerySet[UserProfile], words: Callable[[UserProfile], str]) -> Checked:
    """A part of a law that needs no decision."""
    return laws.judge(0, broken.order_by("pk"), kind="profile", words=words, subscriber=lambda row: int(row.pk))


def granted(scope: Scope) -> Exists:
    """The condition that a grant is in force."""
    return AccessOverride.in_force(AccessOverride.Kind.GRANT, at=scope.moment)


def paid_for(statuses: Collection[str]) -> Q:
    """The condition that another subscriber, whose subscription has one of these statuses, pays for somebody."""
    return Q(membership__isnull=False, membership__ended_at=None, membership__payer__subscription_status__in=statuses)


def quiet(scope: Scope, seconds: int) -> Q:
    """The condition that nothing about a subscriber is in progress, or for longer than the law allows."""
    return Q(pending_since=None, observed_generation=F("desired_generation")) | Q(
        pending_since__lte=scope.before(seconds)
    )
