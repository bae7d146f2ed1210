"""Whose event is it? One Stripe account serves other shops as well, and its endpoint may speak another version of the API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.billing.models import InboundEvent
from apps.core.models import AttentionItem, Job
from tests.world import World

OTHERS = ["2025-03-31.basil", "2024-06-20", "2026-10-28.endive"]


def states() -> dict[str, str]:
    """The inbox: type to state; one event of each type is posted here."""
    return dict(InboundEvent.objects.exclude(state="ignored").values_list("type", "state"))


def foreign_events(world: World) -> list[dict[str, Any]]:
    """A life of somebody else's customer: subscribed, renewed, refunded, disputed, canceled, deleted."""
    stranger = world.shop.customer("pm_card_visa")
    subscription = world.shop.subscribe(stranger)
    charge = world.shop.v1.charges.list({"customer": stranger}).data[0].id
    world.shop.v1.customers.update(stranger, {"name": "Somebody Else"})
    world.shop.control("refund", charge=charge, amount=100)
    world.shop.control("dispute", charge=charge)
    world.shop.v1.subscriptions.cancel(subscription["id"])
    world.shop.v1.customers.delete(stranger)
    return world.new_events()


def test_events_of_customers_that_are_not_ours_end_as_that(world: World) -> None:
    """getlago/lago-api#846, #1231, mozilla/fxa#10304."""
    events = foreign_events(world)
    assert {"customer.subscription.updated", "invoice.paid", "charge.dispute.created", "refund.created"} & {
        event["type"] for event in events
    } >= {"invoice.paid", "charge.dispute.created", "refund.created"}
    world.post_events(events)
    world.work()
    found = states()
    assert set(found.values()) == {"not_ours"}, found
    assert world.jobs() == world.jobs("dead", "blocked") == []
    assert not AttentionItem.objects.exists()


def test_a_customer_that_is_gone_without_a_trace_is_not_ours_either(world: World) -> None:
    stranger = world.shop.customer("pm_card_visa")
    world.shop.subscribe(stranger)
    events = world.new_events()
    world.shop.control("delete", kind="customer", id=stranger)
    world.post_events(events)
    world.work()
    assert set(states().values()) == {"not_ours"}
    assert world.jobs() == []


def test_stripe_is_asked_once_whose_customer_it_is(world: World) -> None:
    stranger = world.shop.customer("pm_card_visa")
    world.shop.subscribe(stranger)
    world.post_events(world.new_events())
    world.requests.clear()
    world.work()
    assert sum(path == f"/v1/customers/{stranger}" for _, path, _ in world.requests) == 1


def test_another_shops_products_and_prices_are_not_ours(world: World) -> None:
    price = world.shop.price()
    world.shop.v1.prices.update(price, {"active": False})
    world.deliver()
    assert set(states().values()) == {"not_ours"}
    assert world.jobs() == []


def test_events_about_nothing_we_can_find_are_not_ours(world: World) -> None:
    """Guest payments name no customer; a dispute may vanish before we ask; metadata may look like ours."""
    odd = world.shop.v1.customers.create({"metadata": {"onboarding_id": "shop-17"}}).id
    template = foreign_events(world)[0]
    subjects = [
        ("checkout.session.completed", {"id": "cs_test_guest", "object": "checkout.session", "customer": None}),
        ("charge.refunded", {"id": "ch_guest", "object": "charge", "customer": None}),
        ("charge.dispute.created", {"id": "du_1Gone", "object": "dispute", "charge": "ch_gone"}),
        ("refund.updated", {"id": "re_1Gone", "object": "refund", "charge": None}),
        ("invoice.paid", {"id": "in_1Gone", "object": "invoice", "customer": "cus_Foreign1"}),
        ("customer.updated", {"id": odd, "object": "customer"}),
        ("price.deleted", {"id": "gold-monthly-2016", "object": "price", "product": "gold"}),
    ]
    world.post_events(
        template | {"id": f"evt_odd_{number}", "type": kind, "data": {"object": subject}}
        for number, (kind, subject) in enumerate(subjects)
    )
    world.work()
    assert states() == {kind: "not_ours" for kind, _ in subjects}
    assert world.jobs() == []


@pytest.mark.fault("F06")
def test_the_event_of_a_customer_we_made_waits_until_the_row_knows_it(world: World) -> None:
    """The order of events does not matter (F06)."""
    dana = world.subscriber("dana")
    customer = dana.stripe_customer_id or ""
    type(dana).objects.filter(pk=dana.pk).update(stripe_customer_id=None)
    world.shop.v1.customers.update(customer, {"name": "Dana Changed"})
    world.post_events(world.new_events())
    world.work()
    assert InboundEvent.objects.get(type="customer.updated").state == "received"
    assert [job.attempts for job in Job.objects.filter(kind="handle_event", state="queued")] == [1]
    type(dana).objects.filter(pk=dana.pk).update(stripe_customer_id=customer)
    world.retry()
    assert InboundEvent.objects.get(type="customer.updated").state == "handled"
    assert world.jobs() == []


@pytest.mark.parametrize("version", OTHERS)
def test_an_endpoint_of_another_version_is_taken_and_staff_are_told(world: World, version: str) -> None:
    """stripe/stripe-dotnet#2611, #1556, openmeterio/openmeter#2080, stripe/stripe-go#1940."""
    dana = world.pay(world.signup("dana"))
    events = world.new_events()
    assert set(world.post_events(event | {"api_version": version} for event in events)) == {200}
    world.work()
    assert world.state(dana).access == "active"
    (item,) = AttentionItem.objects.all()
    assert (item.cause, item.resolved_at, item.times) == ("api_version", None, len(events))
    assert version in item.sentence
    assert "2026-08-26.dahlia" in item.sentence
    world.shop.v1.customers.update(dana.stripe_customer_id or "", {"name": "Dana Changed"})
    world.deliver()
    item.refresh_from_db()
    assert item.resolved_at is not None


def test_what_was_fetched_says_nothing_about_the_endpoint(world: World) -> None:
    """Stripe lists events in the account's version, which is not the endpoint's."""
    dana = world.subscriber("dana")
    event = next(one for one in json_bodies() if one["type"] == "checkout.session.completed")
    world.post_events([event | {"id": "evt_old", "api_version": OTHERS[0]}])
    InboundEvent.objects.update(source="backfill")
    world.work()
    assert AttentionItem.objects.get().resolved_at is None
    assert world.state(dana).access == "active"


def json_bodies() -> list[dict[str, Any]]:
    return [json.loads(body) for body in InboundEvent.objects.values_list("body", flat=True)]


def test_staff_can_ignore_an_event_that_never_works(world: World, staff: Callable[[str], Client]) -> None:
    dana = world.subscriber("dana")
    world.shop.control("delete", kind="subscription", id=dana.stripe_subscription_id)
    world.shop.v1.customers.update(dana.stripe_customer_id or "", {"name": "Dana Changed"})
    world.post_events(world.new_events())
    world.work()
    event = InboundEvent.objects.get(type="customer.updated")
    assert Job.objects.get(key=event.stripe_event_id).state == "blocked"
    address = reverse("admin:billing_inboundevent_ignore_event", args=[event.pk])
    filled = {"reason": "The subscription was removed by hand.", "_form_submitted": "on"}
    assert staff("support").post(address, filled).status_code == 403
    staff("operator").post(address, filled)
    event.refresh_from_db()
    assert event.state == "ignored"
    assert world.jobs("blocked", "dead", "queued") == []


@pytest.mark.parametrize("livemode", [False, True], ids=["test", "live"])
@pytest.mark.parametrize("account", ["acct_stranger", ["acct_stranger"]], ids=["named", "a list"])
def test_what_a_connected_account_does_is_not_ours(world: World, account: Any, livemode: bool) -> None:
    """stripe/stripe-mirakl-connector#62: answered with 400, Stripe turns the endpoint off."""
    dana = world.pay(world.signup("dana"))
    event = world.new_events()[0] | {"account": account, "livemode": livemode, "id": "evt_of_another"}
    event["type"] = "customer.subscription.deleted"
    event["data"]["object"] = {"id": "sub_1", "object": "subscription", "customer": dana.stripe_customer_id}
    assert world.post_events([event]) == [200]
    stored = InboundEvent.objects.get()
    assert (stored.state, stored.customer_id, Job.objects.filter(kind="handle_event").count()) == ("not_ours", "", 0)
    assert not AttentionItem.objects.exists()


@pytest.mark.fault("F16")
def test_a_thin_event_is_taken_and_staff_are_told_once(world: World) -> None:
    body = {
        "id": "evt_test_65R",
        "object": "v2.core.event",
        "type": "v1.invoice.paid",
        "created": "2026-09-01T10:00:00Z",
    }
    assert [world.post(json.dumps(body).encode()).status_code for _ in range(2)] == [200, 200]
    item = AttentionItem.objects.get()
    assert (item.cause, item.times, "snapshot" in item.sentence) == ("api_version", 2, True)
    assert not InboundEvent.objects.exists()


def test_an_event_of_the_other_mode_of_our_own_account_is_refused(world: World) -> None:
    """code-corps/code-corps-api#547: Stripe keeps it until key and secret fit together."""
    world.pay(world.signup("dana"))
    assert world.post_events([world.new_events()[0] | {"livemode": True}]) == [400]
