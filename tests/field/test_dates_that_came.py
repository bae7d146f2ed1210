"""A date that we know comes, and Stripe makes no event that we see: the hourly comparison fetches who it is about."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.core import clock
from tests.field.subscriptions import change, row
from tests.world import World

DAY = 86_400


def trial(world: World, profile: UserProfile) -> None:
    change(world, profile, trial_end=clock.timestamp() + 2 * DAY, proration_behavior="none")
    settings: Any = {"end_behavior": {"missing_payment_method": "pause"}}
    change(world, profile, trial_settings=settings)
    for method in world.shop.v1.payment_methods.list({"customer": profile.stripe_customer_id or ""}).data:
        world.shop.v1.payment_methods.detach(method.id)
    world.deliver()


def pause(world: World, profile: UserProfile) -> None:
    change(world, profile, pause_collection={"behavior": "void", "resumes_at": clock.timestamp() + 2 * DAY})


def cancel(world: World, profile: UserProfile) -> None:
    change(world, profile, cancel_at=clock.timestamp() + 2 * DAY)


@pytest.mark.parametrize(("plan", "after"), [
    (trial, ("paused", "", "suspended")), (pause, ("active", "", "active")), (cancel, ("canceled", "", "canceled")),
], ids=["trial", "pause", "end"])  # fmt: skip
def test_what_was_due_is_seen_within_the_hour(
    world: World, plan: Callable[[World, UserProfile], None], after: tuple[str, str, str]
) -> None:
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    plan(world, dana)
    world.pass_time(days=2, seconds=900)
    world.shop.control("forget_events")
    world.requests.clear()
    world.sweep()
    assert (row(dana).status, row(dana).pause, world.state(dana).access) == after
    assert [path for _, path, _ in world.requests if path == f"/v1/customers/{eve.stripe_customer_id}"] == []
    world.requests.clear()
    world.pass_time(seconds=3600)
    world.sweep()
    world.pass_time(seconds=3600)
    world.sweep()
    fetched = [path for _, path, _ in world.requests if path.startswith("/v1/customers/")]
    assert len(fetched) <= 1
    assert world.jobs() == []


def test_a_renewal_that_nobody_told_of_is_seen(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=31, seconds=7200)
    world.shop.control("forget_events")
    world.sweep()
    assert (row(dana).status, world.state(dana).access) == ("past_due", "suspended")
