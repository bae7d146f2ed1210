"""For how many people a plan would be after a change, against those who share it now."""

from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from apps.access import memberships, sharing
from apps.accounts.models import UserProfile
from apps.billing import subscriptions
from apps.billing.subscriptions import SubscriptionLine
from apps.catalog.product_entitlements import entitlements_by_product
from apps.core.addresses import shown_email
from apps.core.errors import BadInput
from apps.dashboard.plan_choice import CurrentPlan
from apps.onboarding.basket import Order
from apps.onboarding.order_people import FIELD


@dataclass(frozen=True)
class PeopleChange:
    """For how many people the subscriptions are, the payer included. `limit`: how many may share them after it, 0 for any number."""

    before: int
    after: int
    limit: int


def count_change(profile: UserProfile, current: CurrentPlan, order: Order) -> PeopleChange:
    """For how many they are now, and would be. Four queries."""
    catalog = entitlements_by_product()
    states = subscriptions.read_subscriptions(profile.stripe_customer_id)
    offered = {one.offer.product.pk: one.quantity for one in order.lines}
    stays = [
        (one.product_id, one.quantity)
        for one in current.lines
        if one.product is None or (one.product_id not in offered and not current.may_change(one.product))
    ]
    lines = tuple(SubscriptionLine(pk, "", count, None, "", "") for pk, count in [*offered.items(), *stays])
    later = [replace(one, lines=lines) if one.id == current.row.stripe_id else one for one in states]
    before, after = (sharing.count_people(each, catalog) for each in (states, later))
    return PeopleChange(before, after, sharing.limit_people(later, catalog))


def refuse_too_few(profile: UserProfile, change: PeopleChange) -> None:
    """Raise BadInput, with whom to take out first, where more people share the subscription than it would be for."""
    sharers = list(memberships.open_people(profile.pk).select_related("member__user"))
    surplus = sharing.find_surplus(sharers, change.limit)
    if not surplus:
        return
    names = ", ".join(memberships.name_of(one.member) if one.member else shown_email(one.email) for one in surplus)
    told = (
        _("This choice is for you alone, and {used} people share your subscription or are invited. First remove {names} under “People”.")
        if change.after == 1
        else _("This choice is for {people} people, and {used} share your subscription or are invited. First remove {names} under “People”.")
    )  # fmt: skip
    raise BadInput(
        told.format(people=change.after, used=len(sharers) + 1, names=names), field=FIELD, code="in_use", status=409
    )
