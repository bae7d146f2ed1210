"""When contracts end, as their customers have stated it: before Stripe, our rows and the stored forecast know of it.

Promises: every page of the subscriber tells what was stated last, from one rule; nothing here decides about access.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

from apps.access import upcoming
from apps.access.facts import read_facts
from apps.access.forecast import forecast
from apps.access.policy_facts import SubscriptionFact
from apps.access.upcoming import Upcoming
from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.billing.subscriptions import SubscriptionState, end_if_canceled, read_subscriptions
from apps.core import clock
from apps.core.states import SubscriptionStatus
from apps.onboarding.contracts import Statement, Wish, find_pending


def end_of(one: Subscription | SubscriptionState, stated: Statement | None) -> dt.datetime | None:
    """When it ends: of what was withdrawn from, at that moment; else of what is canceled, or is canceled now."""
    withdrawn = stated is not None and stated.wish == Wish.WITHDRAW
    return stated.at if stated and withdrawn else end_if_canceled(one)


def find_stated_ends(profile: UserProfile) -> dict[str, dt.datetime | None]:
    """By subscription the end that was stated and is not carried out yet; None while Stripe has not said when. Four queries at most."""
    pending = find_pending(profile)
    states = read_subscriptions(profile.stripe_customer_id) if pending else ()
    return {one.id: end_of(one, pending[one.id]) for one in states if one.id in pending}


def foresee(profile: UserProfile) -> tuple[Upcoming, ...]:
    """What the subscriber is told will happen next, from the facts of now as they stated them: for while no sync has seen them."""
    ends = find_stated_ends(profile)
    found = read_facts(profile)
    subscriptions = tuple(_as_stated(one, ends, found.now) for one in found.subscriptions)
    return upcoming.told(forecast(replace(found, subscriptions=subscriptions)))


def read_upcoming(profile: UserProfile, *, is_stated: bool) -> tuple[Upcoming, ...]:
    """What happens next: the stored forecast, unless something is newer than it. `is_stated`: a statement is not carried out."""
    if is_stated or profile.pending_since:
        return foresee(profile)
    return upcoming.read_stored(profile.forecast, now=clock.now())


def _as_stated(one: SubscriptionFact, ends: Mapping[str, dt.datetime | None], now: dt.datetime) -> SubscriptionFact:
    end = ends.get(one.id)
    if end is None or not one.is_live:
        return one
    if end > now:
        return replace(one, cancel_at=end)
    return replace(one, status=SubscriptionStatus.CANCELED, ended_at=end)
