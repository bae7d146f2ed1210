"""Laws that Stripe's lists answer: for each, something is broken by hand, exactly that law names exactly that thing, then all is well."""

import datetime as dt
import threading
from collections.abc import Iterator
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from apps.accounts.models import UserProfile
from apps.billing import backfill, laws_stripe, stripe_client
from apps.billing.doctor import WEBHOOK_PATH
from apps.billing.models import InboundEvent, Subscription
from apps.core import clock, laws
from apps.core.laws import LawState, Scope
from tests.laws import sabotage, violated
from tests.world import World

pytestmark = pytest.mark.django_db
LAWS = ("L4", "L24", "L26", "L27", "L29")


@pytest.fixture
def dana(world: World) -> UserProfile:
    """A subscriber; every event of Stripe's has arrived, and enough time has passed for every allowance."""
    found = world.subscriber("dana")
    backfill.fetch_undelivered("periodic")
    world.work()
    world.pass_time(seconds=2 * laws.HOUR)
    assert violated(*LAWS) == {}
    return found


def subscription(profile: UserProfile) -> str:
    return Subscription.objects.get(customer_id=profile.stripe_customer_id).stripe_id


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_subscription SET status = 'past_due'",
        "UPDATE billing_subscription SET current_period_end = current_period_end + interval '1 day'",
        "UPDATE billing_usersubscriptionitem SET quantity = 7",
        "DELETE FROM billing_usersubscriptionitem",
    ],
)
def test_l4_names_a_subscription_that_is_not_as_stripe_has_it(world: World, dana: UserProfile, statement: str) -> None:
    with sabotage(statement):
        assert violated(*LAWS) == {"L4": [subscription(dana)]}
        (own,) = laws.run(["L4"], Scope(subscriber_id=dana.pk))
        assert [(one.subject_id, one.subscriber_id) for one in own.checked.violations] == [
            (subscription(dana), dana.pk)
        ]
    assert violated(*LAWS) == {}


def test_l4_names_a_copy_that_pages_show_otherwise(world: World, dana: UserProfile) -> None:
    copies = [
        "UPDATE djstripe_subscription SET stripe_data = jsonb_set(stripe_data, '{status}', '\"paused\"')",
        "UPDATE djstripe_subscription SET stripe_data = jsonb_set(stripe_data, '{items,data,0,quantity}', '9')",
    ]
    before = clock.now() - dt.timedelta(hours=26)
    for statement in copies:
        with sabotage(statement):
            assert violated("L4") == {}  # the next night makes it again
        with sabotage(statement, ("UPDATE billing_subscription SET fetched_at = %s", [before])):
            assert violated(*LAWS) == {"L4": [subscription(dana)]}, statement
    with sabotage(("UPDATE billing_subscription SET fetched_at = %s", [before])):
        assert violated(*LAWS) == {}


def test_l4_waits_for_what_stripe_has_just_told(world: World, dana: UserProfile) -> None:
    world.shop.v1.subscriptions.update(subscription(dana), {"cancel_at_period_end": True})
    assert violated("L4") == {}
    world.pass_time(seconds=laws_stripe.MIRROR_SECONDS + 60)
    assert violated("L4") == {"L4": [subscription(dana)]}
    world.deliver()
    assert violated("L4") == {}


def test_l4_goes_through_all_subscriptions_an_hour_after_the_other(
    world: World, dana: UserProfile, monkeypatch: Any
) -> None:
    bob = world.subscriber("bob")
    monkeypatch.setattr(laws_stripe, "SPAN", 1)
    monkeypatch.setattr("apps.billing.comparison.PAGE", 1)
    monkeypatch.setattr("apps.billing.comparison.PAGES", 1)
    world.pass_time(seconds=2 * laws.HOUR)
    with sabotage("UPDATE billing_subscription SET trial_end = now()"):
        found = []
        for _ in range(2):
            found.append(violated("L4")["L4"])
            world.pass_time(seconds=laws.HOUR)
    assert sorted(found) == sorted([[subscription(dana)], [subscription(bob)]])


def test_l24_names_a_subscription_of_nobody(world: World, dana: UserProfile) -> None:
    with sabotage("UPDATE accounts_userprofile SET stripe_customer_id = NULL"):
        assert violated(*LAWS) == {"L24": [subscription(dana)]}
    assert violated(*LAWS) == {}


def test_l26_names_an_event_and_an_endpoint_of_another_release(world: World, dana: UserProfile, settings: Any) -> None:
    event = InboundEvent.objects.latest("pk")
    now = clock.now()
    old = (
        "UPDATE billing_inboundevent SET api_version = '2019-01-01.acacia', received_at = %s, source = 'webhook' WHERE id = %s",
        [now, event.pk],
    )
    with sabotage(old):
        assert violated(*LAWS) == {"L26": [str(event.pk)]}
    app = apps.get_app_config("billing")
    spoken, app.spoken_version = app.spoken_version, "2019-01-01.acacia"
    assert violated(*LAWS) == {"L26": ["stripe"]}
    app.spoken_version = spoken
    assert violated(*LAWS) == {}


def test_l26_names_an_endpoint_of_ours_that_speaks_another_release(
    world: World, dana: UserProfile, settings: Any
) -> None:
    url = f"{settings.BASE_URL}{WEBHOOK_PATH}"
    world.shop.control("endpoint", url=url, version="2019-01-01.acacia")
    assert violated(*LAWS) == {"L26": ["we_1SandboxFrontdesk00000000"]}
    world.shop.control("endpoint", url="https://other.example.com/", version="2019-01-01.acacia")
    assert violated(*LAWS) == {}  # somebody else's
    world.shop.control("endpoint", url=url, version=settings.STRIPE_API_VERSION)
    assert violated(*LAWS) == {}


class OtherClock(BaseHTTPRequestHandler):
    """A Stripe whose clock is wrong; it answers every list with nothing."""

    ahead = dt.timedelta(minutes=1)

    def do_GET(self) -> None:
        body = b'{"object": "list", "data": [], "has_more": false, "url": "/v1/events"}'
        self.send_response_only(200)
        self.send_header("Date", format_datetime(timezone.now() + self.ahead, usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def other_clock(settings: Any) -> Iterator[type[OtherClock]]:
    server = HTTPServer(("127.0.0.1", 0), OtherClock)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings.STRIPE_API_HOST = f"http://127.0.0.1:{server.server_port}"
    stripe_client.client.cache_clear()
    yield OtherClock
    server.shutdown()
    thread.join()
    server.server_close()
    stripe_client.client.cache_clear()


@pytest.mark.parametrize("seconds", [-60, 60])
def test_l27_names_a_clock_that_is_off(
    dana: UserProfile, other_clock: type[OtherClock], monkeypatch: Any, seconds: int
) -> None:
    monkeypatch.setattr(other_clock, "ahead", dt.timedelta(seconds=seconds))
    assert violated("L27") == {"L27": ["Stripe"]}
    monkeypatch.setattr(other_clock, "ahead", dt.timedelta())
    assert violated("L27") == {}


def test_l27_compares_the_database_too() -> None:
    now = timezone.now()
    assert laws_stripe._skew(now - dt.timedelta(seconds=9), now, now) == 9
    assert laws_stripe._skew(now + dt.timedelta(seconds=9), now, now) == 9
    assert laws_stripe._skew(now, now - dt.timedelta(seconds=1), now) == 0


def test_l29_names_an_event_that_never_arrived(world: World, dana: UserProfile) -> None:
    event = InboundEvent.objects.filter(type="customer.subscription.created").get()
    with sabotage(("DELETE FROM billing_inboundevent WHERE id = %s", [event.pk])):
        assert violated(*LAWS) == {"L29": [event.stripe_event_id]}
        backfill.fetch_undelivered("periodic")
        assert violated(*LAWS) == {}


MANY = """
INSERT INTO billing_subscription SELECT (jsonb_populate_record(s, jsonb_build_object('id', n, 'stripe_id', 'sub_' || n))).*
FROM billing_subscription s, generate_series(1000, 1050) AS n
"""


def test_l29_says_that_nothing_comes(world: World, dana: UserProfile) -> None:
    silent = ("UPDATE billing_inboundevent SET received_at = %s", [clock.now() - dt.timedelta(hours=25)])
    with sabotage(silent):
        assert violated("L29") == {}  # one subscription is few
    with sabotage(MANY):
        assert violated("L29") == {}
    with sabotage(silent, MANY):
        assert violated("L29") == {"L29": ["silent"]}
    assert violated(*LAWS) == {}


def test_while_stripe_is_away_the_laws_are_unknown_and_not_ok(world: World, dana: UserProfile) -> None:
    world.fault("stripe", "http_500")
    results = laws.run(LAWS)
    assert {one.state for one in results} == {LawState.UNKNOWN}
    assert not any(one.failed for one in results)
