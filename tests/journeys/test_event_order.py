"""Whatever order a subscription's events come in, doubled or lost, the end is what Stripe says (F02).

All 5,040 orders of a life of seven events against the pure policy; a sample of orders on Postgres and the sandbox. The
mutants apply what an event carries, in the order of arrival, as so many integrations do; they must end elsewhere.
"""

import datetime as dt
import itertools
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.access.policy import Decision, Facts, SubscriptionFact, Terms, decide
from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent, Subscription
from apps.catalog.entitlements import Entitlements
from apps.core import jobs
from apps.core.models import Job
from apps.core.states import SubscriptionStatus
from tests.journeys.lives import seen, truth, turn
from tests.world import World

NOW = dt.datetime(2027, 3, 1, tzinfo=dt.UTC)
PERSONAL = Entitlements(frozenset({"nextcloud"}), frozenset({"nextcloud"}), {"storage_gb": 100})
PLUS = Entitlements(
    frozenset({"nextcloud", "vaultwarden"}),
    frozenset({"nextcloud", "vaultwarden"}),
    {"storage_gb": 500},
)

# --- F02, pure -----------------------------------------------------------------------------------------------------------

BORN = SubscriptionFact("sub_1", SubscriptionStatus.INCOMPLETE, PERSONAL)
LIFE = (
    BORN,
    replace(BORN, status=SubscriptionStatus("active")),
    replace(BORN, status=SubscriptionStatus("active"), entitlements=PLUS),
    replace(BORN, status=SubscriptionStatus("past_due"), entitlements=PLUS, past_due_since=NOW),
    replace(BORN, status=SubscriptionStatus("active"), entitlements=PERSONAL),
    replace(BORN, status=SubscriptionStatus("active"), cancel_at=NOW + dt.timedelta(days=5)),
    replace(BORN, status=SubscriptionStatus("canceled"), ended_at=NOW),
)


def decided(subscription: SubscriptionFact) -> Decision:
    return decide(Facts(NOW, Terms(dt.timedelta(0), dt.timedelta(days=30)), (subscription,)))


def by_fetching(order: tuple[int, ...]) -> SubscriptionFact:
    """Each event rings; what is written is what Stripe holds by then, which is never older than what has happened."""
    happened, mirrored = 0, LIFE[0]
    for number in order:
        happened = max(happened, number)
        mirrored = LIFE[happened]
    return mirrored


def by_payload(order: tuple[int, ...]) -> SubscriptionFact:
    """The mutant: each event's payload is written as it comes."""
    return LIFE[order[-1]]


@pytest.mark.fault("F02")
def test_every_order_of_seven_events_ends_in_the_truth() -> None:
    truth = decided(LIFE[-1])
    orders = list(itertools.permutations(range(7)))
    assert len(orders) == 5040
    assert sum(decided(by_fetching(order)) == truth for order in orders) == 5040


@pytest.mark.mutant
@pytest.mark.fault("F02")
def test_the_last_writer_is_right_in_one_order_of_seven() -> None:
    truth = decided(LIFE[-1])
    orders = itertools.permutations(range(7))
    assert sum(decided(by_payload(order)) == truth for order in orders) == 720


@given(st.lists(st.integers(0, 6), max_size=30), st.randoms(use_true_random=False))
@pytest.mark.fault("F02")
def test_doubled_and_lost_events_end_in_the_truth_after_one_look(posted: list[int], order: random.Random) -> None:
    order.shuffle(posted)
    by_fetching(tuple(posted))  # whatever was mirrored meanwhile …
    assert decided(by_fetching((*posted, 6))) == decided(LIFE[-1])  # … one look at the present repairs


# --- F02, on Postgres and the sandbox -----------------------------------------------------------------------------------------


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
