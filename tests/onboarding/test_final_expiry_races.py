"""A recovery at the second of the final expiry: just before it is let in, from then on it is refused; never both."""

import datetime as dt
import threading
from collections.abc import Callable

import pytest
from django.db import connection

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.core import audit, clock, jobs
from apps.core.errors import BadInput
from apps.onboarding import recovery
from tests.instances.house import at_once
from tests.world import World

SECOND = dt.timedelta(seconds=1)


class Watches:
    """Each thread may have a clock of its own, as web and worker of two machines do."""

    def __init__(self) -> None:
        self.mine, self.right = threading.local(), clock.now
        self.shared: dt.datetime | None = None

    def now(self) -> dt.datetime:
        shown: dt.datetime = getattr(self.mine, "shows", self.shared) or self.right()
        return shown


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> Watches:
    found = Watches()
    monkeypatch.setattr(clock, "now", found.now)
    return found


def canceled(world: World, name: str) -> UserProfile:
    profile = world.subscriber(name)
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    world.deliver()
    profile.refresh_from_db()
    return profile


def opens(profile: UserProfile) -> str:
    try:
        recovery.open_window(profile, actor=audit.CUSTOMER, reason="test")
    except BadInput as refusal:
        return refusal.code
    return "open"


@pytest.mark.fault("F63")
def test_a_second_before_it_is_let_in_and_from_then_on_refused(
    transactional_db: None, world: World, watches: Watches, figure: Callable[[str], None]
) -> None:
    dana, expected = (
        canceled(world, "dana"),
        {-2: "open", -1: "open", 0: "state_expired", 1: "state_expired", 2: "state_expired"},
    )
    assert dana.final_expiry_at is not None
    found = {}
    for seconds in sorted(expected, reverse=True):
        watches.shared = dana.final_expiry_at + seconds * SECOND
        found[seconds] = opens(dana)
    assert found == expected
    figure("5 of 5 seconds around the final expiry right")


@pytest.mark.fault("F63")
@pytest.mark.times(34)
def test_a_recovery_that_meets_the_expiry_never_leaves_both(
    transactional_db: None, world: World, watches: Watches, figure: Callable[[str], None]
) -> None:
    let_in = 0
    for number in range(3):
        watches.shared = None
        dana = canceled(world, f"dana{number}")
        ends = dana.final_expiry_at
        assert ends is not None

        def recover(profile: UserProfile = dana, shows: dt.datetime = ends - SECOND) -> str:
            watches.mine.shows = shows
            answer = opens(profile)
            connection.close()
            return answer

        def expire(profile: UserProfile = dana, shows: dt.datetime = ends) -> str:
            watches.mine.shows = shows
            reconcile.enqueue(profile, reason="the date has come")
            jobs.drain()
            connection.close()
            return "expired"

        answers = at_once([recover, expire], clients=2)
        assert set(answers) <= {"open", "expired", "state_expired"}
        let_in += "open" in answers
        watches.shared = ends + 2 * SECOND
        reconcile.enqueue(dana, reason="the next sweep")
        world.work()
        after = world.state(dana)
        assert (after.access, after.account, after.seats, after.attributes) == ("expired", False, (), {})
    figure(f"3 of 3 races ended as expired, {let_in} recoveries were let in a second before")
