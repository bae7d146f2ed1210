"""Stripe's present state in our rows: newest wins, nothing is guessed, and money that went back is seen."""

import json
from dataclasses import replace
from typing import Any

import djstripe.models
import pytest
from django.db.models import F

from apps.access.models import AccessOverride
from apps.accounts.models import Signup
from apps.billing import covered_events, mirror
from apps.billing.models import InboundEvent, Subscription, UserSubscriptionItem
from apps.catalog.models import Product, ProductPrice
from apps.core import attention, clock, jobs
from apps.core.models import Job
from tests.world import World

DAY = 86_400


def change(world: World, subscription: str, slug: str, quantity: int = 1, **more: Any) -> None:
    """Stripe now sells this plan, so many of it."""
    (line,) = world.shop.subscription(subscription)["items"]["data"]
    item = {"id": line["id"], "price": world.price(slug), "quantity": quantity}
    world.shop.v1.subscriptions.update(subscription, {"items": [item], "proration_behavior": "none", **more})


def test_the_rows_say_what_stripe_says(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=3)
    truth = world.stripe_state(dana)
    row = Subscription.objects.get(stripe_id=truth["id"])
    assert (row.status, row.customer_id) == ("active", dana.stripe_customer_id)
    assert row.current_period_end is not None
    assert row.current_period_end.timestamp() == truth["items"]["data"][0]["current_period_end"]
    lines = [(item.product.slug, item.quantity, item.unit_amount, item.interval) for item in row.items.order_by("pk")]
    assert sorted(lines) == [("personal", 1, 500, "month"), ("storage_100", 3, 150, "month")]
    assert (dana.subscription_status, dana.stripe_subscription_id) == ("active", truth["id"])
    assert djstripe.models.Subscription.objects.get(id=truth["id"]).stripe_data["status"] == "active"
    assert djstripe.models.Customer.objects.filter(id=dana.stripe_customer_id).exists()


def test_no_request_is_made_inside_a_transaction_and_no_key_is_stored(world: World) -> None:
    dana = world.subscriber("dana")
    change(world, world.stripe_state(dana)["id"], "plus")
    world.deliver()
    world.sweep()
    assert len(world.requests) > 20
    assert world.inside == []
    assert not djstripe.models.APIKey.objects.exists()


# --- order -------------------------------------------------------------------------------------------------------------


def overtaken(world: World, monkeypatch: pytest.MonkeyPatch, *, guarded: bool) -> int:
    """A worker has fetched; before it writes, Stripe changes and a second one takes the news. Quantity kept at the end."""
    dana = world.subscriber("dana", personal=1)
    subscription = world.stripe_state(dana)["id"]
    change(world, subscription, "storage_100", 2)
    plain, late = mirror.write_customer, [True]

    def write(*arguments: Any) -> None:
        if late.pop() if late else False:
            change(world, subscription, "storage_100", 7)
            world.post_events(world.new_events())
            if not guarded:
                Job.objects.filter(state="queued").update(lane=F("key"))
            jobs.drain()  # the second worker
        plain(*arguments)

    monkeypatch.setattr(mirror, "write_customer", write)
    world.post_events(world.new_events()[-1:])
    world.work()
    return UserSubscriptionItem.objects.get(profile=dana).quantity


@pytest.mark.fault("F04")
@pytest.mark.times(200)
def test_an_older_answer_never_overwrites_a_newer_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F04."""
    assert overtaken(world, monkeypatch, guarded=True) == 7


@pytest.mark.mutant
@pytest.mark.fault("F04")
def test_without_the_lane_the_older_answer_would_stay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert overtaken(world, monkeypatch, guarded=False) == 2


def test_an_event_without_a_customer_is_written_in_the_customers_lane(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.control("dispute", charge=world.charge(dana))
    (event, *_) = [one for one in world.new_events() if one["type"] == "charge.dispute.created"]
    world.post_events([event])
    assert not InboundEvent.objects.get(stripe_event_id=event["id"]).customer_id
    jobs.run(jobs.claim())
    assert Job.objects.get(kind="mirror_customer", state="queued").lane == f"customer:{dana.stripe_customer_id}"


def looks(world: World) -> int:
    """How often the application has asked Stripe for subscriptions."""
    return sum(path.startswith("/v1/subscriptions") for _, path, _ in world.requests)


def test_one_look_answers_all_the_events_that_had_come_before_it(world: World) -> None:
    dana = world.subscriber("dana")
    for quantity in (2, 3, 4):
        change(world, dana.stripe_subscription_id or "", "storage_100", quantity)
    before = looks(world)
    world.deliver()
    assert looks(world) == before + 1
    assert not InboundEvent.objects.filter(state="received").exists()
    assert world.jobs() == []
    event = InboundEvent.objects.filter(type="customer.subscription.updated").first()
    assert event is not None
    jobs.defer("handle_event", event.stripe_event_id, reason="staff want to look again")
    world.work()
    assert looks(world) == before + 2


def test_a_signup_is_fetched_once_however_many_events_tell_of_it(world: World) -> None:
    world.subscriber("warm")
    dana, before = world.pay(world.signup("dana")), looks(world)
    world.deliver()
    assert looks(world) == before + 1
    assert (world.state(dana).access, Signup.objects.get(profile=dana).state) == ("active", "paid")
    ends = Job.objects.filter(kind="handle_event", key__in=InboundEvent.objects.values("stripe_event_id"))
    assert {"done", "superseded"} == set(
        ends.filter(lane=f"customer:{dana.stripe_customer_id}").values_list("state", flat=True)
    )


def test_a_job_that_failed_is_over_once_a_later_fetch_answers_its_event(world: World) -> None:
    dana = world.subscriber("dana")
    for quantity in (2, 3):
        change(world, dana.stripe_subscription_id or "", "storage_100", quantity)
    world.post_events(world.new_events())
    first = Job.objects.filter(kind="handle_event", state="queued").earliest("pk")
    Job.objects.filter(pk=first.pk).update(state="dead", finished_at=clock.now())
    world.work()
    first.refresh_from_db()
    assert (first.state, world.jobs()) == ("superseded", [])


def told_while_we_ask(world: World, monkeypatch: pytest.MonkeyPatch) -> int:
    """Stripe changes after it has answered, and its event comes before the answer is written. Quantity kept at the end."""
    dana = world.subscriber("dana", personal=1)
    subscription, late = world.stripe_state(dana)["id"], [True]
    change(world, subscription, "storage_100", 2)
    plain = mirror.write_customer

    def write(*arguments: Any) -> None:
        if late.pop() if late else False:
            change(world, subscription, "storage_100", 7)
            world.post_events(world.new_events())
        plain(*arguments)

    monkeypatch.setattr(mirror, "write_customer", write)
    world.post_events(world.new_events())
    world.work()
    return UserSubscriptionItem.objects.get(profile=dana).quantity


def test_an_event_that_comes_while_we_ask_keeps_its_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told_while_we_ask(world, monkeypatch) == 7


@pytest.mark.mutant
def test_an_event_counted_after_the_answer_would_be_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def mark_all(events: Any, **_moment: Any) -> None:
        (customer,) = (
            InboundEvent.objects.filter(pk__in=[one.pk for one in events])
            .values_list("customer_id", flat=True)
            .distinct()
        )
        covered_events.mark_covered(covered_events.find_waiting(customer)[0], asked_at=clock.now())

    monkeypatch.setattr(mirror, "mark_covered", mark_all)
    assert told_while_we_ask(world, monkeypatch) == 2


# --- lines ---------------------------------------------------------------------------------------------------------------


def test_a_line_removed_upstream_vanishes(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=2)
    subscription = world.stripe_state(dana)
    gone = next(line for line in subscription["items"]["data"] if line["price"]["id"] == world.price("storage_100"))
    wish: Any = {"items": [{"id": gone["id"], "deleted": True}]}
    world.shop.v1.subscriptions.update(subscription["id"], wish)
    world.deliver()
    state = world.state(dana)
    assert state.items == ((world.price("personal"), 1),)
    assert state.attributes["storage_gb"] == "100"


@pytest.mark.fault("F25")
def test_an_unknown_price_takes_nothing_away_and_waits_for_staff(world: World) -> None:
    """F25."""
    dana = world.subscriber("dana")
    before = world.state(dana)
    unknown = world.shop.price(700, currency="eur")
    subscription = world.stripe_state(dana)
    (line,) = subscription["items"]["data"]
    world.shop.v1.subscriptions.update(subscription["id"], {"items": [{"id": line["id"], "price": unknown}]})
    world.deliver()
    assert world.jobs() == []
    assert world.state(dana) == replace(before, items=((unknown, 1),))
    (item,) = attention.open_items()
    assert (item.cause, item.key, item.profile_ids) == ("unmapped_price", unknown, [dana.pk])

    ProductPrice.objects.filter(product__slug="plus", interval="month").update(is_active=False)
    plus = Product.objects.get(slug="plus")
    ProductPrice.objects.create(product=plus, stripe_price_id=unknown, interval="month", unit_amount=700)
    mirror.mirror_later(dana.stripe_customer_id or "", reason="test")
    world.work()
    assert world.jobs() == []
    assert world.state(dana).attributes["has_vaultwarden"] == "true"
    assert not attention.open_items().exists()


def test_an_unknown_price_on_a_canceled_subscription_harms_nobody(world: World) -> None:
    dana = world.subscriber("dana")
    free = world.shop.price(100, currency="eur")
    old = world.shop.subscribe(dana.stripe_customer_id or "", free, trial_period_days=3)
    world.shop.v1.subscriptions.cancel(old["id"])
    world.deliver()
    assert world.jobs() == []
    assert UserSubscriptionItem.objects.get(subscription__stripe_id=old["id"]).product is None
    assert world.state(dana).access == "active"


# --- money that went back --------------------------------------------------------------------------------------------------


@pytest.mark.fault("F22")
def test_a_full_refund_ends_access_and_a_partial_one_does_not(world: World) -> None:
    """F22."""
    dana = world.subscriber("dana")
    charge = world.charge(dana)
    world.shop.control("refund", charge=charge, amount=200)
    world.deliver()
    assert world.state(dana).access == "active"
    world.shop.control("refund", charge=charge)
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.subscription, state.account, state.groups) == (
        "suspended",
        "active",
        False,
        (),
    )
    assert Subscription.objects.get().money_returned == "refunded"


@pytest.mark.fault("F22")
def test_a_refund_the_bank_refuses_gives_access_back(world: World) -> None:
    dana = world.subscriber("dana")
    refund = world.shop.control("refund", charge=world.charge(dana), fail=True)
    world.deliver()
    assert refund["object"] == "refund"
    assert world.state(dana).access == "active"


@pytest.mark.parametrize(
    ("ends", "access"),
    [
        ("won", "active"),
        ("warning_closed", "active"),
        ("prevented", "active"),
        ("lost", "suspended"),
    ],
)
@pytest.mark.fault("F23")
def test_only_a_lost_dispute_ends_access(world: World, ends: str, access: str) -> None:
    """F23."""
    dana = world.subscriber("dana")
    dispute = world.shop.control("dispute", charge=world.charge(dana))
    world.deliver()
    assert world.state(dana).access == "active"
    world.shop.control("close_dispute", dispute=dispute["id"], status=ends)
    world.deliver()
    assert world.state(dana).access == access
    assert world.jobs() == []


def test_a_new_payment_after_a_refund_gives_access_again(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.control("refund", charge=world.charge(dana))
    world.deliver()
    world.pass_time(days=32)
    world.deliver()
    assert world.state(dana).access == "active"


@pytest.mark.parametrize(("refunded", "access"), [(True, "suspended"), (False, "grace")])
def test_after_a_trial_in_a_paid_period_a_refused_card_is_late_only_if_money_stayed(
    world: World, settings: Any, refunded: bool, access: str
) -> None:
    settings.PAYMENT_GRACE_DAYS = 14
    dana = world.subscriber("dana")
    if refunded:
        world.shop.control("refund", charge=world.charge(dana))
    now = world.shop.v1.events.list({"limit": 1}).data[0].created
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"trial_end": now + 7 * 86_400})
    world.deliver()
    assert world.state(dana).access == "active"
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=8)
    world.deliver()
    assert world.state(dana).access == access


def test_a_draft_of_the_next_period_does_not_hide_a_refund(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.control("refund", charge=world.charge(dana))
    world.deliver()
    end = world.stripe_state(dana)["items"]["data"][0]["current_period_end"]
    now = world.shop.v1.events.list({"limit": 1}).data[0].created
    world.pass_time(seconds=end - now + 600)
    invoice = world.shop.v1.invoices.retrieve(world.stripe_state(dana)["latest_invoice"])
    assert invoice.status == "draft"
    world.deliver()
    assert world.state(dana).access == "suspended"


def test_a_second_unpaid_invoice_neither_extends_grace_nor_mails_again(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 45
    world.shop.control("settings", end="past_due")
    dana = world.subscriber("dana")
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=33)
    world.deliver()
    since = Subscription.objects.get().past_due_since
    assert (world.state(dana).access, since is not None) == ("grace", True)
    world.pass_time(days=31)
    world.deliver()
    assert len(world.shop.v1.invoices.list({"subscription": dana.stripe_subscription_id or ""}).data) == 3
    assert Subscription.objects.get().past_due_since == since
    assert world.notifications(dana).count("payment_failed") == 1
    world.pass_time(days=20)
    world.work()
    assert world.state(dana).access == "suspended"


# --- people and things Stripe has no more ------------------------------------------------------------------------------------


@pytest.mark.fault("F28")
def test_a_deleted_customer_has_no_access_and_keeps_our_rows(world: World) -> None:
    """F28."""
    dana = world.subscriber("dana")
    world.shop.v1.customers.delete(dana.stripe_customer_id or "")
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.account, state.seats) == (
        "canceled",
        False,
        (("nextcloud", "retained"),),
    )
    assert Subscription.objects.get().status == "canceled"
    assert dana.stripe_customer_id
    assert world.jobs() == []


def test_a_list_that_lacks_a_subscription_takes_nothing_away(world: World) -> None:
    dana = world.subscriber("dana")
    before = world.state(dana)
    world.fault("stripe", "empty_list", path="/v1/subscriptions")
    mirror.mirror_later(dana.stripe_customer_id or "", reason="test")
    world.work()
    assert world.state(dana) == before


def test_a_subscription_that_is_gone_without_a_trace_is_for_staff_to_judge(world: World) -> None:
    dana = world.subscriber("dana")
    before = world.state(dana)
    world.shop.control("delete", kind="subscription", id=dana.stripe_subscription_id)
    mirror.mirror_later(dana.stripe_customer_id or "", reason="test")
    world.work()
    assert world.state(dana) == before
    assert world.jobs("blocked") == ["mirror_customer: Stripe refuses the request: resource_missing, parameter id."]


@pytest.mark.fault("F06")
def test_an_event_that_came_before_its_person_is_handled_once_the_person_is_known(
    world: World,
) -> None:
    """F06."""
    dana = world.subscriber("dana")
    customer = dana.stripe_customer_id
    change(world, world.stripe_state(dana)["id"], "plus")
    type(dana).objects.filter(pk=dana.pk).update(stripe_customer_id=None)
    world.post_events(world.new_events())
    world.work()
    type(dana).objects.filter(pk=dana.pk).update(stripe_customer_id=customer)
    world.retry()
    assert world.jobs() == []
    assert world.state(dana).attributes["has_vaultwarden"] == "true"


# --- the catalog ---------------------------------------------------------------------------------------------------------


def test_a_price_archived_at_stripe_is_no_longer_offered(world: World) -> None:
    world.shop.v1.prices.update(world.price("plus"), {"active": False})
    price = world.price("plus")
    world.deliver()
    assert not ProductPrice.objects.get(stripe_price_id=price).is_active
    assert world.jobs() == []


def test_a_price_deleted_at_stripe_is_no_longer_offered_and_stays_ours(world: World) -> None:
    dana = world.subscriber("dana")
    price = world.price("personal")
    body = {"object": {"id": price, "object": "price", "product": "prod_1"}}
    event = world.shop.events()[-1] | {"id": "evt_deleted", "type": "price.deleted", "data": body}
    assert world.post(json.dumps(event).encode()).status_code == 200
    world.work()
    assert not ProductPrice.objects.get(stripe_price_id=price).is_active
    assert world.state(dana).attributes["has_nextcloud"] == "true"


def test_overrides_are_not_billings_business(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    assert not AccessOverride.objects.exists()
    assert world.state(dana).access == "canceled"
