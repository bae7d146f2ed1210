"""Two events of one mail at the same moment, and one token twice at the same moment: each guard, and what happens without it."""

import datetime as dt
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from apps.core import clock, limits
from apps.notifications import delivery, tracking
from apps.notifications.delivery import Delivery, DeliveryEvent
from apps.notifications.models import Notification
from tests.instances.house import at_once
from tests.notifications.mail_events import post_body, sign, told
from tests.waiting import somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_SECONDS = 20


@pytest.fixture
def row(settings: Any) -> Notification:
    settings.MAILGUN_WEBHOOK_SIGNING_KEY = "key-of-the-test"
    now = clock.now()
    return Notification.objects.create(
        key="k", template="expired", to="nora@example.com", state="sent", provider_id="<1@mg.example.com>", created_at=now, sent_at=now
    )  # fmt: skip


def event(row: Notification, kind: Delivery, *, seconds: int) -> DeliveryEvent:
    at = clock.now() + dt.timedelta(seconds=seconds)
    return DeliveryEvent(
        delivery=kind, at=at, notification=row.pk, provider_id=row.provider_id, recipient=row.to, reason=""
    )


def race(row: Notification, monkeypatch: pytest.MonkeyPatch) -> str:
    """The earlier event has read the row when the later one comes; what became of the mail."""
    Notification.objects.update(delivery="delayed", delivery_at=clock.now() - dt.timedelta(hours=1))
    has_read, is_over, weigh = threading.Event(), threading.Event(), delivery.weigh

    def slow(kind: str, at: dt.datetime, reason: str) -> Any:
        if kind == Delivery.DELIVERED and not has_read.is_set():
            has_read.set()
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not (is_over.is_set() or somebody_waits()) and time.monotonic() < deadline:
                time.sleep(0.01)
        return weigh(kind, at, reason)

    def later() -> None:
        assert has_read.wait(PATIENCE_SECONDS)
        delivery.record(event(row, Delivery.BOUNCED, seconds=30))
        is_over.set()

    def earlier() -> None:
        delivery.record(event(row, Delivery.DELIVERED, seconds=10))

    monkeypatch.setattr(delivery, "weigh", slow)
    calls: list[Callable[[], None]] = [earlier, later]
    assert at_once(calls, clients=2) == [None, None]
    row.refresh_from_db()
    return row.delivery


def test_of_two_events_at_once_the_later_one_counts(row: Notification, monkeypatch: pytest.MonkeyPatch) -> None:
    assert race(row, monkeypatch) == "bounced"


@pytest.mark.mutant
def test_mutant_without_the_lock_the_earlier_one_overwrites_it(
    row: Notification, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_find", lambda one: Notification.objects.filter(pk=one.notification).first())
    assert race(row, monkeypatch) == "delivered"


def times_recorded(row: Notification, monkeypatch: pytest.MonkeyPatch) -> int:
    """One signature posted five times at once."""
    recorded: list[DeliveryEvent] = []
    monkeypatch.setattr(tracking, "record", recorded.append)
    body = json.dumps({"signature": sign(), "event-data": told(row, "bounced")})
    answers = at_once([lambda: post_body(body).status_code] * 5, clients=5)
    assert answers == [200] * 5
    return len(recorded)


def test_a_token_counts_once_at_the_same_moment(row: Notification, monkeypatch: pytest.MonkeyPatch) -> None:
    assert times_recorded(row, monkeypatch) == 1


@pytest.mark.mutant
def test_mutant_without_the_count_of_tokens_each_is_believed(
    row: Notification, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "allow", lambda **_: True)
    assert times_recorded(row, monkeypatch) == 5
