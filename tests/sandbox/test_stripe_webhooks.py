"""Delivery of events to an endpoint of ours."""

import json
import time

import pytest
import stripe

from tests.sandbox.stripe_fixture import Receiver, Shop, check_events


@pytest.fixture
def secret(shop: Shop, receiver: Receiver) -> str:
    """The receiver is where events go; the secret they are signed with."""
    return str(shop.control("endpoint", url=receiver.url, secret="whsec_receiver")["secret"])


def test_events_arrive_signed_and_at_once(shop: Shop, receiver: Receiver, secret: str) -> None:
    shop.customer()
    assert receiver.wait(lambda: "customer.created" in receiver.types()) < 1
    body, header = receiver.got[0]
    assert stripe.WebhookSignature.verify_header(body.decode(), header, secret, tolerance=300)
    event = stripe.Webhook.construct_event(body, header, secret)
    assert event.type == "customer.created"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body.decode() + " ", header, secret)
    check_events([json.loads(body)])


def test_the_stamp_follows_the_sandboxes_clock(shop: Shop, receiver: Receiver, secret: str) -> None:
    shop.pass_time(days=100)
    shop.customer()
    receiver.wait(lambda: bool(receiver.got))
    stamp = int(receiver.got[-1][1].split(",")[0].removeprefix("t="))
    assert abs(stamp - time.time() - 100 * 86_400) < 30


def test_held_events_wait_for_the_flush(shop: Shop, receiver: Receiver, secret: str) -> None:
    shop.webhooks("hold")
    customer = shop.customer("pm_card_visa")
    time.sleep(0.5)
    assert receiver.got == []
    assert shop.events()[0]["pending_webhooks"] == 1
    missed = shop.v1.events.list({"delivery_success": False, "types": ["customer.created", "payment_method.attached"]})
    assert [event.type for event in missed.data] == ["payment_method.attached", "customer.created"]
    answer = shop.flush()
    assert answer["delivered"] == 3
    assert sorted(receiver.types()) == ["customer.created", "customer.updated", "payment_method.attached"]
    assert shop.v1.events.list({"delivery_success": False}).data == []
    assert {event["pending_webhooks"] for event in shop.events()} == {0}
    assert customer


def test_dropped_events_never_come_but_can_be_listed(shop: Shop, receiver: Receiver, secret: str) -> None:
    shop.webhooks("drop")
    shop.customer()
    shop.webhooks("deliver")
    shop.customer()
    receiver.wait(lambda: bool(receiver.got))
    time.sleep(0.3)
    assert receiver.types() == ["customer.created"]
    lost = shop.v1.events.list({"delivery_success": False}).data
    assert [event.id for event in lost] == [shop.events()[0]["id"]]


def test_doubled_events_come_twice(shop: Shop, receiver: Receiver, secret: str) -> None:
    shop.webhooks("duplicate")
    shop.customer()
    receiver.wait(lambda: len(receiver.got) == 2)
    assert receiver.got[0][0] == receiver.got[1][0]


def test_shuffled_events_all_come_in_another_order(shop: Shop, receiver: Receiver, secret: str) -> None:
    shop.webhooks("shuffle")
    shop.subscribe()
    expected = shop.story()
    receiver.wait(lambda: len(receiver.got) == len(expected))
    assert sorted(receiver.types()) == sorted(expected)
    assert receiver.types() != expected


def test_an_endpoint_that_fails_is_tried_again(shop: Shop, receiver: Receiver, secret: str) -> None:
    receiver.status = 500
    shop.customer()
    time.sleep(0.3)
    assert shop.events()[0]["pending_webhooks"] == 1
    receiver.status = 200
    shop.pass_time(seconds=400)
    receiver.wait(lambda: bool(receiver.got))
    deadline = time.monotonic() + 5
    while shop.events()[0]["pending_webhooks"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert shop.events()[0]["pending_webhooks"] == 0


def test_events_vanish_after_thirty_days(shop: Shop) -> None:
    shop.customer()
    shop.pass_time(days=31)
    assert shop.events() == []


def test_a_year_of_events_is_delivered_whole(shop: Shop, receiver: Receiver, secret: str) -> None:
    shop.webhooks("hold")
    made = shop.subscribe()
    shop.pass_time(days=25)
    expected = len(shop.events())
    shop.webhooks("deliver")
    receiver.wait(lambda: len(receiver.got) >= expected, seconds=20)
    check_events([json.loads(body) for body, _ in receiver.got])
    assert made["status"] == "active"


def test_an_endpoint_may_speak_another_version(shop: Shop, receiver: Receiver, secret: str) -> None:
    shop.control("endpoint", version="2024-06-20")
    shop.customer()
    receiver.wait(lambda: bool(receiver.got))
    assert json.loads(receiver.got[0][0])["api_version"] == "2024-06-20"
