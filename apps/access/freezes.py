"""Incident mode as rows: which freezes are in force, whom they cover, and what they hold back.

Promises: a subscriber is covered from the moment a freeze is committed until it is over and what was held back of theirs was released
(operations/incident.py); a reconcile that decided before that and still takes something stops at its next step, and decides again.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, Value

from apps.access.models import AccessFreeze, AccessOverride, HeldBackLoss
from apps.access.plan import Step
from apps.access.policy import Decision, Freeze
from apps.accounts.models import UserProfile
from apps.billing.models import UserSubscriptionItem
from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.core.errors import RetryLater
from apps.core.states import AccessState
from apps.instances.models import Seat


class FreezeBegan(RetryLater):
    """Incident mode has begun since this was decided, and something would be taken."""


@dataclass(frozen=True)
class OpenFreezes:
    """Until when everybody is covered, until when those who have a product are, and of whom something waits to be decided again."""

    everybody: dt.datetime | None
    products: Mapping[int, dt.datetime]
    waiting: frozenset[int]

    def covering(self, profile_id: int, holders: Mapping[int, Collection[int]]) -> Freeze | None:
        """What covers one subscriber; `holders`: who has each of `products`."""
        ends = [end for product, end in self.products.items() if profile_id in holders.get(product, ())]
        if self.everybody:
            ends.append(self.everybody)
        if ends:
            return Freeze(max(ends))
        return Freeze() if profile_id in self.waiting else None


def read_open(people: Collection[int]) -> OpenFreezes:
    """What is in force now, and of whom of `people` something is held back. One query."""
    frozen = AccessFreeze.in_force(clock.now()).values_list("product_id", "until", Value(False))
    held = HeldBackLoss.objects.filter(profile__in=people).values_list("profile_id", "since", Value(True))
    rows = list(frozen.union(held, all=True))
    return OpenFreezes(
        everybody=next((until for product, until, is_held in rows if not is_held and product is None), None),
        products={product: until for product, until, is_held in rows if not is_held and product},
        waiting=frozenset(profile for profile, _, is_held in rows if is_held),
    )


def find_holders(people: Collection[int], products: Collection[int]) -> dict[int, set[int]]:
    """Which of `people` have each product: a seat on it, a line of a subscription, or a grant. A query for each product."""
    return {
        one: set(UserProfile.objects.filter(_has(one), pk__in=people).values_list("pk", flat=True)) for one in products
    }


def _has(product: int) -> Q:
    seats = Seat.objects.filter(profile=OuterRef("pk"), product=product).exclude(state=Seat.State.RELEASED)
    lines = UserSubscriptionItem.objects.filter(
        subscription__customer_id=OuterRef("stripe_customer_id"), product=product
    )
    grants = AccessOverride.objects.filter(profile=OuterRef("pk"), products=product, lifted_at=None)
    shared = UserSubscriptionItem.objects.filter(profile=OuterRef("membership__payer"), product=product)
    of_payer = Q(membership__ended_at=None) & Q(Exists(shared))
    return Q(Exists(seats)) | Q(Exists(lines)) | Q(Exists(grants)) | of_payer


def read_freezes(people: Collection[int]) -> dict[int, Freeze]:
    """What covers each of `people`, for those who are covered. One query, and one for each product that is frozen."""
    found = read_open(people)
    holders = find_holders(people, found.products)
    covered = {one: found.covering(one, holders) for one in people}
    return {one: freeze for one, freeze in covered.items() if freeze}


def read_freeze(profile: UserProfile) -> Freeze | None:
    """What covers one subscriber; nothing while there is no account, which has nothing to lose and must not be made."""
    return read_freezes([profile.pk]).get(profile.pk) if profile.keycloak_id else None


def keeps_data(profile: UserProfile) -> bool:
    """Whether nothing of the subscriber may be deleted: while incident mode is on for anybody, or something of theirs waits since."""
    found = read_open([profile.pk])
    return bool(found.everybody or found.products or found.waiting)


def holds_at(profile: UserProfile, moment: int) -> bool:
    """Whether what the subscriber would lose at that moment (in seconds) is held back then, as far as is known."""
    freeze = read_freeze(profile)
    return freeze is not None and freeze.holds_at(dt.datetime.fromtimestamp(moment, dt.UTC))


def refuse_if_begun(profile: UserProfile, known: Freeze | None) -> None:
    """Raise FreezeBegan when a freeze covers the subscriber of which the decision did not know."""
    if known is None and read_freeze(profile):
        raise FreezeBegan("Incident mode has begun, and this would have taken access.")


def applied_state(profile: UserProfile) -> AccessState:
    """The state that was last applied: of a decision that never was, something may be there still, and that is held back too."""
    stored = AccessState(profile.access_state)
    if profile.pending_since is None or profile.synced_at is None:
        return stored
    changes = audit.entries_about(profile.subject).filter(action=AuditAction.ACCESS_CHANGED, at__gt=profile.synced_at)
    first = changes.order_by("pk").first()
    return AccessState(first.before["state"]) if first else stored


def record_held_back(profile: UserProfile, decision: Decision, steps: Sequence[Step]) -> None:
    """Note what billing demands and was not done, of somebody who is covered; nothing: the row goes. Part of the caller's transaction."""
    if not steps or decision.demanded is None:
        HeldBackLoss.objects.filter(profile=profile).delete()
        return
    demanded = decision.demanded
    why = "; ".join(demanded.trace)[:500]
    said = {
        "state": demanded.state.value,
        "why": why,
        "steps": [step.sentence for step in steps],
    }
    _, is_new = HeldBackLoss.objects.update_or_create(
        profile=profile, defaults=said, create_defaults=said | {"since": clock.now()}
    )
    if is_new:
        audit.record(
            subject=profile.subject, action=AuditAction.LOSS_HELD_BACK, reason=why,
            after={"state": said["state"], "steps": said["steps"]},
        )  # fmt: skip
