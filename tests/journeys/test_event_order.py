"""Whatever happens to a subscription's events on their way, the end is what Stripe says.

F02: all 5,040 orders of a life of seven events against the pure policy; a sample of orders, doubled and lost, on Postgres
and the sandbox. F03: random lives with loss, doubling, disorder and death in between. The mutants apply what an event
carries, in the order of arrival, as so many integrations do; they must end elsewhere.
"""

import datetime as dt
import itertools
import json
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.access import apply
from apps.access.policy import Account, Decision, Facts, SubscriptionFact, Terms, decide
from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent, Subscription
from apps.billing.subscriptions import of_customer
from apps.catalog.entitlements import Entitlements, total
from apps.catalog.models import ProductPrice
from apps.catalog.offers import offers
from apps.core import clock, jobs
from apps.core.models import Job
from tests.world import State, World

NOW = dt.datetime(2027, 3, 1, tzinfo=dt.UTC)
PERSONAL = Entitlements(frozenset({"nextcloud"}), frozenset({"nextcloud"}), {"storage_gb": 100})
PLUS = Entitlements(frozenset({"nextcloud", "vaultwarden"}), frozenset({"nextcloud", "vaultwarden"}), {"storage_gb": 500})

# --- F02, pure -----------------------------------------------------------------------------------------------------------

BORN = SubscriptionFact("sub_1", "incomplete", PERSONAL)
LIFE = (
    BORN,
    replace(BORN, status="active"),
    replace(BORN, status="active", entitlements=PLUS),
    replace(BORN, status="past_due", entitlements=PLUS, past_due_since=NOW),
    replace(BORN, status="active", entitlements=PERSONAL),
    replace(BORN, status="active", cancel_at=NOW + dt.timedelta(days=5)),
    replace(BORN, status="canceled", ended_at=NOW),
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


def test_every_order_of_seven_events_ends_in_the_truth() -> None:
    truth = decided(LIFE[-1])
    orders = list(itertools.permutations(range(7)))
    assert len(orders) == 5040
    assert sum(decided(by_fetching(order)) == truth for order in orders) == 5040


@pytest.mark.mutant
def test_the_last_writer_is_right_in_one_order_of_seven() -> None:
    truth = decided(LIFE[-1])
    orders = itertools.permutations(range(7))
    assert sum(decided(by_payload(order)) == truth for order in orders) == 720


@given(st.lists(st.integers(0, 6), max_size=30), st.randoms(use_true_random=False))
def test_doubled_and_lost_events_end_in_the_truth_after_one_look(rung: list[int], order: random.Random) -> None:
    order.shuffle(rung)
    by_fetching(tuple(rung))  # whatever was mirrored meanwhile …
    assert decided(by_fetching((*rung, 6))) == decided(LIFE[-1])  # … one look at the present repairs


# --- the truth, computed afresh ---------------------------------------------------------------------------------------------


def truth(world: World, profile: UserProfile) -> State:
    """What the person should have, from Stripe's own answers and the policy; none of our rows but the price list."""
    listed = world.shop.v1.subscriptions.list({"customer": profile.stripe_customer_id or "", "status": "all"}).data
    found = [one.to_dict() for one in listed]
    facts = Facts(
        clock.now(), Terms(dt.timedelta(0), dt.timedelta(days=30)), tuple(_fact(world, one) for one in found)
    )
    wanted = decide(facts)
    newest = found[0]
    lines = newest["items"]["data"]
    apps = sorted(wanted.entitlements.seats)
    places = {app: f"{app}-1" for app in apps}
    return State(
        access=wanted.state,
        subscription=newest["status"],
        items=tuple(sorted((line["price"]["id"], line["quantity"]) for line in lines)),
        seats=tuple((app, "assigned") for app in apps),
        account=wanted.account == Account.ENABLED,
        attributes=wanted.entitlements.attributes(places),
        groups=tuple(f"/frontdesk/{app}-1" for app in apps),
        local_groups=tuple(f"/frontdesk/{app}-1" for app in apps),
    )


def _fact(world: World, one: dict[str, Any]) -> SubscriptionFact:
    catalogue = offers()
    products = dict(ProductPrice.objects.values_list("stripe_price_id", "product_id"))
    lines = [catalogue[products[line["price"]["id"]]].times(line["quantity"]) for line in one["items"]["data"]]
    ended = one["ended_at"] and dt.datetime.fromtimestamp(one["ended_at"], tz=dt.UTC)
    since = clock.now() - dt.timedelta(days=1) if one["status"] == "past_due" else None
    return SubscriptionFact(one["id"], one["status"], total(lines), ended_at=ended, past_due_since=since, money_returned=_returned(world, one))


def _returned(world: World, one: dict[str, Any]) -> str:
    paid = world.shop.v1.invoices.list({"subscription": one["id"], "status": "paid", "limit": 1}).data
    if one["status"] not in {"active", "trialing"} or not paid:
        return ""
    charges = world.shop.v1.charges.list({"customer": one["customer"]}).data
    mine = [charge for charge in charges if charge.status == "succeeded"]
    return "refunded" if mine and mine[0].refunded else ""


def seen(world: World, profile: UserProfile, expected: State) -> State:
    """What is; of somebody shut out the kept seats, and whether there ever was an account, are other tests' business."""
    state = world.state(profile)
    return state if expected.account else replace(state, seats=(), account=bool(state.account))


# --- F02, on Postgres and the sandbox -----------------------------------------------------------------------------------------


def seven_events(world: World) -> tuple[UserProfile, list[dict[str, Any]]]:
    """A life of many events at Stripe; nothing of it has been told."""
    world.only_room_for(90)
    dana = world.subscriber("dana", personal=1)
    turn(world, dana, "plus")
    turn(world, dana, "storage")
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


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_doubled_and_lost_events_end_in_the_truth(world: World, seed: int) -> None:
    order = random.Random(seed)
    dana, events = seven_events(world)
    expected = truth(world, dana)
    assert expected.access == "active"
    for _ in range(3):
        forget(dana)
        kept = [event for event in events if order.random() > 0.3]
        rung = [*kept, *[event for event in kept if order.random() < 0.3]]
        order.shuffle(rung)
        for event in rung:
            assert world.ring([event]) == [200]
            if order.random() < 0.3:
                world.work()
        world.work()
        if not rung:
            assert world.state(dana).subscription == ""
        world.sweep()
        assert seen(world, dana, expected) == expected
        assert world.jobs() == []


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
def test_applied_as_they_come_the_same_events_end_elsewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dana, events = seven_events(world)
    expected = truth(world, dana)
    world.sweep()
    monkeypatch.setitem(jobs.KINDS, "handle_event", jobs.Kind("handle_event", apply_payload, (), 0))
    wrong = 0
    for seed in range(10):
        InboundEvent.objects.all().delete()
        rung = list(events)
        random.Random(seed).shuffle(rung)
        world.ring(rung)
        world.work()
        wrong += world.state(dana).items != expected.items
    assert wrong >= 3


# --- F03 -------------------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone."""


TURNS = ("plus", "plan", "storage", "leave", "stay", "fail", "mend", "refund", "cancel")


def turn(world: World, profile: UserProfile, what: str) -> None:
    """One thing that happens at Stripe. What cannot happen to a subscription in its present state does not."""
    now = world.stripe_state(profile)
    if now["status"] == "canceled":
        return
    identifier, (line, *_) = now["id"], now["items"]["data"]
    update = world.shop.v1.subscriptions.update
    match what:
        case "plus" | "plan":
            price = world.price("plus" if what == "plus" else "personal")
            if now["status"] == "active" and line["price"]["id"] != price:
                update(identifier, {"items": [{"id": line["id"], "price": price}], "proration_behavior": "none"})
        case "storage":
            if now["status"] == "active" and len(now["items"]["data"]) == 1:
                wish: Any = {"items": [{"price": world.price("storage_100"), "quantity": 3}], "proration_behavior": "none"}
                update(identifier, wish)
        case "leave" | "stay":
            update(identifier, {"cancel_at_period_end": what == "leave"})
        case "fail":
            world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
            world.pass_time(days=32)
        case "mend":
            world.shop.control("payments", customer=profile.stripe_customer_id, mode="ok")
            for invoice in world.shop.v1.invoices.list({"subscription": identifier, "status": "open"}).data:
                world.shop.v1.invoices.pay(invoice.id)
        case "refund":
            refund(world, profile)
        case "cancel":
            world.shop.v1.subscriptions.cancel(identifier)


def refund(world: World, profile: UserProfile) -> None:
    charges = world.shop.v1.charges.list({"customer": profile.stripe_customer_id or ""}).data
    paid = [one for one in charges if one.status == "succeeded"]
    if paid and not paid[0].refunded:
        world.shop.control("refund", charge=paid[0].id)


@dataclass(frozen=True)
class Mail:
    """How the post treats the events of one turn."""

    lost: float
    doubled: float
    works: bool
    dies_after: int
    seed: int


MAILS = st.builds(
    Mail,
    lost=st.sampled_from([0.0, 0.3, 1.0]),
    doubled=st.sampled_from([0.0, 0.5]),
    works=st.booleans(),
    dies_after=st.sampled_from([0, 0, 0, 1, 2, 3]),
    seed=st.integers(0, 2**16),
)
LIVES = st.lists(st.tuples(st.sampled_from(TURNS), MAILS), min_size=1, max_size=5)
_numbers = itertools.count()


def carry(world: World, bag: list[dict[str, Any]], mail: Mail) -> None:
    """Deliver what is in the bag, badly; perhaps work on it, perhaps die over it."""
    order = random.Random(mail.seed)
    kept = [event for event in bag if order.random() >= mail.lost]
    rung = [*kept, *[event for event in kept if order.random() < mail.doubled]]
    order.shuffle(rung)
    late = order.randint(0, len(rung))
    assert set(world.ring(rung[late:])) <= {200}
    bag[:] = rung[:late]  # these come with the next turn
    if mail.works:
        die_at_work(world, mail.dies_after)


def die_at_work(world: World, steps: int) -> None:
    """Work; with `steps` the process dies after so many steps of a plan, and the sweep takes over."""
    left = [steps]

    def dying(step: Any) -> Any:
        def run(*arguments: Any) -> Any:
            result = step(*arguments)
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return result

        return run

    with pytest.MonkeyPatch.context() as patch:
        for kind, step in apply.STEPS.items():
            patch.setitem(apply.STEPS, kind, dying(step))
        try:
            world.work()
        except Killed:
            pass
        else:
            return
    world.pass_time(seconds=30)
    jobs.recover()
    world.retry()


@given(life=LIVES)
@settings(
    max_examples=16,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_random_life_with_bad_post_ends_in_the_truth_after_one_sweep(world: World, life: list[tuple[str, Mail]]) -> None:
    if next(_numbers) == 0 or not world.shop.v1.subscriptions.list().data:
        world.only_room_for(500)
    name = f"dana{next(_numbers)}"
    dana = world.pay(world.signup(name))
    bag: list[dict[str, Any]] = []
    for what, mail in life:
        turn(world, dana, what)
        bag += world.skip()
        carry(world, bag, mail)
    world.retry()  # what failed and waits for its next try
    world.skip()
    world.sweep()
    expected = truth(world, dana)
    assert seen(world, dana, expected) == expected
    assert world.jobs() == []
    assert len(world.users(f"{name}@")) <= 1
    assert {one.status for one in of_customer(dana.stripe_customer_id)} == {expected.subscription}
    assert expected.seats or all(kept != "assigned" for _, kept in world.state(dana).seats)
    if expected.subscription != "canceled":  # so that later lives do not renew this one
        world.shop.v1.subscriptions.cancel(world.stripe_state(dana)["id"])
        world.skip()
        world.sweep()

