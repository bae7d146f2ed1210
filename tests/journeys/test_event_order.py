"""Whatever order a subscription's events come in, doubled or lost, the end is what Stripe says (F02).

Shuffled, doubled and lost, on Postgres and the stand-ins up to Keycloak; test_every_order.py has all orders of seven up to the policy.
The mutant applies what an event carries, in the order of arrival, as so many integrations do; it must end elsewhere.
"""

import json
import random
from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent, Subscription
from apps.core import jobs
from apps.core.models import Job
from tests.journeys.lives import seen, truth, turn
from tests.world import World


def seven_events(world: World) -> tuple[UserProfile, list[dict[str, Any]]]:
    """A life of many events at Stripe; nothing of it has been told."""
    world.only_room_for(90)
    dana = world.subscriber("dana", personal=1)
    turn(world, dana, "storage")
    turn(world, dana, "plus")
    turn(world, dana, "plan")
    turn(world, dana, "leave")
    turn(world, dana, "stay")
    turn(world, dana, "plus")
    events = world.skip()
    assert len([one for one in events if one["type"].startswith("customer.subscription.")]) >= 6
    return dana, events


def forget(profile: UserProfile) -> None:
    """As if nothing had ever been told about the person's payments."""
    InboundEvent.objects.all().delete()
    Job.objects.all().delete()
    Subscription.objects.filter(customer_id=profile.stripe_customer_id).delete()
    UserProfile.objects.filter(pk=profile.pk).update(subscription_status="", stripe_subscription_id=None)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.fault("F02")
@pytest.mark.times(38)
def test_shuffled_doubled_and_lost_events_end_in_the_truth(world: World, seed: int, time_number: int) -> None:
    order = random.Random(100 * seed + time_number)
    dana, events = seven_events(world)
    expected = truth(world, dana)
    assert expected.access == "active"
    for _ in range(4):
        forget(dana)
        kept = [event for event in events if order.random() > 0.3]
        posted = [*kept, *[event for event in kept if order.random() < 0.3]]
        order.shuffle(posted)
        for event in posted:
            assert world.post_events([event]) == [200]
            if order.random() < 0.3:
                world.work()
        world.work()
        if not posted:
            assert world.state(dana).subscription == ""
        world.sweep()
        assert seen(world, dana, expected) == expected
        assert world.jobs() == []
    world.assert_laws_hold()


def apply_payload(event_id: str) -> None:
    """The mutant's handler: what the event carries is what is written."""
    event = InboundEvent.objects.get(stripe_event_id=event_id)
    found = json_of(event)
    if found.get("object") == "subscription":
        profile = UserProfile.objects.get(stripe_customer_id=found["customer"])
        profile.subscription_status = found["status"]
        profile.save(update_fields=["subscription_status"])
        for line in found["items"]["data"]:
            profile.items.filter(stripe_item_id=line["id"]).update(
                stripe_price_id=line["price"]["id"], quantity=line["quantity"]
            )
    event.delete()


def json_of(event: InboundEvent) -> dict[str, Any]:
    """The object an event carries."""
    return dict(json.loads(event.body)["data"]["object"])


@pytest.mark.mutant
@pytest.mark.fault("F02")
def test_applied_as_they_come_the_same_events_end_elsewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dana, events = seven_events(world)
    expected = truth(world, dana)
    world.sweep()
    monkeypatch.setitem(jobs.KINDS, "handle_event", jobs.Kind("handle_event", "", apply_payload, (), 0))
    InboundEvent.objects.all().delete()
    world.post_events(events[::-1])
    world.work()
    assert world.state(dana).items != expected.items
