"""Template tags of the subscriber's pages.

`{% shows_people as people %}`: whether their menu leads to who shares the subscription; `{{ plans|names }}`: offers by name.
"""

from collections.abc import Iterable
from typing import Any

from django import template

from apps.accounts.models import UserProfile
from apps.billing.models import UserSubscriptionItem
from apps.dashboard.overview import SHOWN
from apps.onboarding.basket import Offer

register = template.Library()


@register.simple_tag(takes_context=True)
def shows_people(context: dict[str, Any]) -> bool:
    """Whether the plan is for several, or another subscriber pays. No query where the page has read the overview anyway, but one
    for those for whom somebody pays, or did.
    """
    profile: UserProfile | None = context.get("profile")
    if profile is None:
        return False
    if profile.membership is not None and profile.membership.is_open:
        return True
    overview = context.get("overview")
    return _is_for_several(profile) if overview is None else bool(overview.is_for_several)


def _is_for_several(profile: UserProfile) -> bool:
    lines = UserSubscriptionItem.objects.filter(profile=profile.pk, product__people__gt=0, quantity__gt=0)
    return lines.filter(subscription__status__in=SHOWN).exists()


@register.filter
def names(offers: Iterable[Offer]) -> str:
    """The products of these offers in one text: `Basic, Plus`."""
    return ", ".join(one.product.name for one in offers)
