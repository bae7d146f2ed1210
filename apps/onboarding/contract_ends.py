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

Ends = Mapping[str, dt.datetime | None]


def end_of(one: Subscription | SubscriptionState, stated: Statement | None) -> dt.datetime | None:
    """When it ends: of what was withdrawn from, at that moment; else of what is canceled, or is canceled now."""
    if stated and stated.wish == Wish.WITHDRAW:
        return stated.at
    return end_if_canceled(one)


def find_stated_ends(profile: UserProfile) -> Ends:
    """By subscription the end that was stated and is not carried out yet; None while Stripe has not said when. Four queries at most."""
    pending = find_pending(profile)
    states = read_subscriptions(profile.stripe_customer_id) if pending else ()
    return {one.id: end_of(one, pending[one.id]) for one in states if one.id in pending}


def read_upcoming(profile: UserProfile, ends: Ends) -> tuple[Upcoming, ...]:
    """What the subscriber is told will happen next: the stored forecast, or, where something is newer, one from the facts of now.

    `ends`: those stated and not carried out, see find_stated_ends.
    """
    if not ends and profile.pending_since is None:
        return upcoming.read_stored(profile.forecast, now=clock.now())
    found = read_facts(profile)
    subscriptions = tuple(_as_stated(one, ends, found.now) for one in found.subscriptions)
    return upcoming.told(forecast(replace(found, subscriptions=subscriptions)))


def _as_stated(one: SubscriptionFact, ends: Ends, now: dt.datetime) -> SubscriptionFact:
    end = ends.get(one.id)
    if end is None or not one.is_live:
        return one
    if end > now:
        return replace(one, cancel_at=end)
    return replace(one, status=SubscriptionStatus.CANCELED, ended_at=end)
