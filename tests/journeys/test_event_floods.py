"""Events in the same second, events that can never be handled, a backlog, and a burst: nobody else waits, nothing is lost."""

import copy
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from apps.billing import events
from apps.billing.models import InboundEvent
from apps.core.models import Job
from tests.instances.house import at_once
from tests.journeys.lives import change_plan, seen, truth
from tests.world import World

OTHERS = 200


def again(event: dict[str, Any], number: int) -> dict[str, Any]:
    """The same told under another id: Stripe's rows are not asked for it."""
    return copy.deepcopy(event) | {"id": f"evt_flood_{number}"}


@pytest.mark.fault("F05")
@pytest.mark.times(25)
def test_upgrade_and_cancellation_in_one_second_end_as_stripe_says(
    world: World, time_number: int, figure: Callable[[str], None]
) -> None:
    rounds = 4
    order, dana, right = random.Random(time_number), world.subscriber("dana", personal=1), 0
    for number in range(rounds):
        subscription = world.stripe_state(dana)
        change_plan(world, subscription, world.price("plus" if number % 2 == 0 else "personal"))
        world.shop.v1.subscriptions.update(subscription["id"], {"cancel_at_period_end": number % 2 == 0})
        told = world.new_events()
        second = told[0]["created"]
        for event in told:
            event["created"] = second
        order.shuffle(told)
        assert set(world.post_events(told)) == {200}
        world.work()
        expected = truth(world, dana)
        right += seen(world, dana, expected) == expected
    figure(f"{right} of {rounds} pairs ended as Stripe says")
    assert right == rounds
    assert world.jobs() == []


def poison(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Events that are signed and true to form, and in which something is as it should never be."""
    bad = []
    for number, odd in enumerate(
        (
            {"object": "subscription", "id": 7, "customer": ["cus"], "items": None},
            {"object": "subscription", "id": "sub_\x00", "customer": "cus_\x00"},
            {"object": "subscription", "id": "sub_x", "customer": "cus_\ud800"},
            {"object": "subscription", "id": "s" * 5_000, "customer": "c" * 5_000},
            {
                "object": "subscription",
                "metadata": {f"k{one}": "x" * 500 for one in range(300)},
                "customer": "cus_unknown",
            },
        )
    ):
        bad.append(again(event, 900 + number) | {"data": {"object": odd}})
    return bad


@pytest.mark.fault("F10")
def test_what_can_never_be_handled_is_dead_after_four_runs_and_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    for one in (world.subscriber("dana"), world.subscriber("nora")):
        world.shop.v1.customers.update(one.stripe_customer_id or "", {"name": "Another Name"})
    changed, noras = [one for one in world.skip() if one["type"] == "customer.updated"]
    plain, broken = events.mirror.mirror_customer, []

    def fail(customer: str, **more: Any) -> Any:
        if (event := more.get("event")) and event.stripe_event_id == "evt_flood_800":
            broken.append(customer)
            raise ZeroDivisionError("a bug that this event alone brings out")
        return plain(customer, **more)

    monkeypatch.setattr(events.mirror, "mirror_customer", fail)
    subscription = json.loads(json.dumps(changed)) | {"type": "customer.subscription.updated"}
    bad = [*poison(subscription), again(noras, 800)]
    others = [again(changed, number) for number in range(OTHERS)]
    assert set(world.post_events([*bad, *others])) == {200}
    world.work()
    ids = [one["id"] for one in others]
    assert InboundEvent.objects.filter(stripe_event_id__in=ids, state="handled").count() == OTHERS
    for _ in range(4):
        world.retry()
    dead = Job.objects.filter(state="dead", kind=events.KIND)
    assert [(job.key, job.attempts) for job in dead] == [("evt_flood_800", 4)]
    assert len(broken) == 4
    left = InboundEvent.objects.filter(stripe_event_id__in=[one["id"] for one in bad]).exclude(state="not_ours")
    assert list(left.values_list("stripe_event_id", flat=True)) == ["evt_flood_800"]
    figure(f"{OTHERS} of {OTHERS} others handled at once; 1 dead after 4 runs, {len(bad) - 1} not ours")


@pytest.mark.fault("F11")
def test_ten_minutes_of_events_that_waited_are_all_applied(world: World, figure: Callable[[str], None]) -> None:
    people = [world.pay(world.signup(f"dana{number}")) for number in range(6)]
    told = world.new_events()
    assert set(world.post_events(told)) == {200}
    world.pass_time(seconds=600)
    world.work()
    assert [world.state(one).access for one in people] == ["active"] * len(people)
    assert not InboundEvent.objects.filter(state="received").exists()
    assert world.jobs() == []
    figure(f"{len(told)} of {len(told)} events, accepted ten minutes before a worker ran, were applied")


@pytest.mark.fault("F15")
@pytest.mark.parametrize("burst", [200, pytest.param(2_000, marks=[pytest.mark.nightly, pytest.mark.timeout(600)])])
def test_a_burst_is_stored_whole_and_handled(
    transactional_db: None, world: World, burst: int, figure: Callable[[str], None]
) -> None:
    people = [world.subscriber(f"dana{number}") for number in range(5)]
    for one in people:
        world.shop.v1.customers.update(one.stripe_customer_id or "", {"name": "Dana Changed"})
    changed = [one for one in world.skip() if one["type"] == "customer.updated"]
    assert len(changed) == len(people)
    bodies = [json.dumps(again(changed[number % 5], number)).encode() for number in range(burst)]
    waits: list[float] = []

    def post(body: bytes) -> int:
        began = time.perf_counter()
        status = world.post(body).status_code
        waits.append(time.perf_counter() - began)
        connection.close()
        return status

    answers = at_once([lambda body=body: post(body) for body in bodies], clients=8)
    assert answers == [200] * burst
    assert InboundEvent.objects.filter(stripe_event_id__startswith="evt_flood_").count() == burst
    world.work()
    assert not InboundEvent.objects.exclude(state="handled").filter(stripe_event_id__startswith="evt_flood_").exists()
    assert world.jobs() == []
    waits.sort()
    figure(
        f"{burst:,} events by 8 clients: all stored and handled; 99 of 100 answered within {waits[-burst // 100] * 1000:.0f} ms"
    )
