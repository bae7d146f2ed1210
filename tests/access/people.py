"""What the tests of the reconciler share: looking, being late, and what open and closed mean."""

import datetime as dt

from apps.access import reconcile
from apps.accounts.models import UserProfile
from tests.world import State, World

DAY = dt.timedelta(days=1)
APP = {"has_nextcloud": "true", "nextcloud_instance": "nextcloud-1", "storage_gb": "100"}
GROUP = ("/frontdesk/nextcloud-1",)


def sync_now(world: World, profile: UserProfile) -> None:
    """Somebody asked for a sync."""
    reconcile.enqueue(profile, reason="test")
    world.work()


def open_for(profile: State) -> bool:
    return (profile.account, profile.attributes, profile.groups, profile.local_groups) == (
        True,
        APP,
        GROUP,
        GROUP,
    )


def closed(profile: State) -> bool:
    return (profile.attributes, profile.groups, profile.local_groups) == ({}, (), ())


def late(world: World, name: str = "dana") -> UserProfile:
    """A subscriber whose renewal has failed; Stripe keeps trying and never cancels."""
    world.shop.control("settings", end="past_due")
    found = world.subscriber(name)
    world.shop.control("payments", customer=found.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    return found


class Killed(BaseException):
    """The process is gone: nothing of ours catches it."""
