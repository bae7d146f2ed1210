"""What only staff can fix is told outside the console: through apprise, to a server that is really there."""

import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.core import alerts, attention, clock, jobs
from apps.core.attention import Cause
from apps.core.errors import NeedsOperator
from apps.core.models import AlertSent, AttentionItem, Dependency, Heartbeat, Job
from tests.world import World

HOUR = dt.timedelta(hours=1)


class Chat:
    """A webhook that a team reads."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if chat.status == 200:
                    chat.messages.append(json.loads(body))
                self.send_response(chat.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}/hook"

    @property
    def titles(self) -> list[str]:
        return [str(one["title"]).removeprefix("Frontdesk: ") for one in self.messages]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 9, 1, 12, tzinfo=dt.UTC)

    def move(self, **by: float) -> None:
        self.now += dt.timedelta(**by)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(clock, "now", lambda: found.now)
    return found


@pytest.fixture
def chat(settings: Any, db: None, time: Clock) -> Iterator[Chat]:
    found = Chat()
    settings.ALERT_URLS, settings.ALERT_AFTER_MINUTES, settings.ALERT_QUIET_HOURS = [found.url], 0, (0, 0)
    yield found
    found.close()


def test_one_message_per_cause_and_hour_with_what_to_do(chat: Chat, time: Clock) -> None:
    """FOSSBilling#949, Paymenter#1252: nobody knew until they opened the console."""
    attention.report(Cause.DISPUTE, "ch_1", "Charge ch_1 is disputed. Answer at Stripe.")
    attention.report(Cause.DISPUTE, "ch_2", "Charge ch_2 is disputed. Answer at Stripe.")
    attention.report(Cause.UNMAPPED_PRICE, "price_1", "Map price_1 to a product.")
    for _ in range(3):
        alerts.send_alerts()
    assert sorted(chat.titles) == ["A paid price belongs to no product", "A payment is disputed"]
    (dispute,) = [one["message"] for one in chat.messages if "disputed" in one["title"]]
    assert "ch_1 is disputed" in dispute
    assert "ch_2 is disputed" in dispute
    assert "http://localhost:8000/admin/" in dispute
    attention.report(Cause.DISPUTE, "ch_3", "Charge ch_3 is disputed. Answer at Stripe.")
    time.move(minutes=59)
    alerts.send_alerts()
    assert len(chat.messages) == 2
    time.move(minutes=2)
    alerts.send_alerts()
    assert chat.titles[2:] == ["A payment is disputed"]


def test_what_does_not_change_is_told_once_a_day(chat: Chat, time: Clock) -> None:
    attention.report(Cause.DISPUTE, "ch_1", "Charge ch_1 is disputed.")
    for _ in range(47):
        alerts.send_alerts()
        attention.report(Cause.DISPUTE, "ch_1", "Charge ch_1 is disputed.")
        time.move(hours=1)
    assert len(chat.messages) == 2


def test_what_ends_is_told_no_more_and_comes_again_after_the_hour(chat: Chat, time: Clock) -> None:
    for minutes, told in ((0, 1), (10, 1), (70, 2)):
        time.move(minutes=minutes)
        attention.report(Cause.DISPUTE, "ch_1", "Charge ch_1 is disputed.")
        alerts.send_alerts()
        attention.resolve(Cause.DISPUTE, "ch_1")
        alerts.send_alerts()
        assert len(chat.messages) == told


def test_nothing_is_told_before_it_has_lasted(chat: Chat, time: Clock, settings: Any) -> None:
    settings.ALERT_AFTER_MINUTES = 5
    Dependency.objects.create(name="stripe", down_since=time.now, probe_at=time.now, reason="Stripe answers 503.")
    time.move(minutes=4)
    alerts.send_alerts()
    assert chat.messages == []
    time.move(minutes=2)
    alerts.send_alerts()
    assert chat.titles == ["Stripe is down"]


@pytest.mark.parametrize(
    ("hours", "quiet"),
    [((22, 7), {22, 23, 0, 3, 6}), ((1, 5), {1, 2, 3, 4}), ((0, 0), set()), ((23, 0), {23}), ((7, 7), set())],
)
def test_quiet_hours_may_go_over_midnight(hours: tuple[int, int], quiet: set[int], settings: Any) -> None:
    settings.ALERT_QUIET_HOURS = hours
    found = {hour for hour in range(24) if alerts.is_quiet(dt.datetime(2026, 9, 1, hour, 30, tzinfo=dt.UTC))}
    assert found >= quiet
    if hours != (22, 7):
        assert found == quiet


def test_what_is_still_open_after_the_quiet_hours_is_told_then(chat: Chat, time: Clock, settings: Any) -> None:
    settings.ALERT_QUIET_HOURS = (11, 14)
    attention.report(Cause.DISPUTE, "ch_1", "Charge ch_1 is disputed.")
    attention.report(Cause.API_VERSION, "x", "Something.")
    alerts.send_alerts()
    assert chat.messages == []
    attention.resolve(Cause.API_VERSION, "x")
    time.move(hours=2)
    alerts.send_alerts()
    assert chat.titles == ["A payment is disputed"]


def test_failed_and_blocked_jobs_silent_workers_and_systems_that_are_down_are_told(chat: Chat, time: Clock) -> None:
    for state, number in (("dead", 1), ("blocked", 2), ("done", 3), ("queued", 4)):
        Job.objects.create(
            kind="mirror_customer", key=str(number), lane=str(number), state=state, not_before=time.now, created_at=time.now,
            finished_at=time.now, started_at=time.now, last_error="The Stripe key lacks the right “Customer: read”.",
        )  # fmt: skip
    Heartbeat.objects.create(name="cluster@web-2:7", at=timezone.now() - dt.timedelta(minutes=9))
    alerts.send_alerts()
    assert sorted(chat.titles) == ["Refresh from Stripe: 2 jobs need attention", "Worker web-2:7 is silent"]
    assert "lacks the right" in str(chat.messages)


def test_a_message_that_does_not_get_through_is_tried_again_and_shows_in_the_console(chat: Chat, time: Clock) -> None:
    attention.report(Cause.DISPUTE, "ch_1", "Charge ch_1 is disputed.")
    chat.status = 500
    with pytest.raises(NeedsOperator, match=r"ALERT_URLS 1 \(json\)") as caught:
        alerts.send_alerts()
    assert "127.0.0.1" not in caught.value.reason
    assert AttentionItem.objects.filter(cause=Cause.ALERT_FAILED, resolved_at=None).exists()
    chat.status = 200
    alerts.send_alerts()
    assert chat.titles == ["A payment is disputed"]
    assert not AttentionItem.objects.filter(cause=Cause.ALERT_FAILED, resolved_at=None).exists()


def test_one_broken_address_does_not_keep_the_others_from_being_told(chat: Chat, settings: Any) -> None:
    settings.ALERT_URLS = ["json://127.0.0.1:9/nobody", "nonsense", chat.url]
    attention.report(Cause.DISPUTE, "ch_1", "Charge ch_1 is disputed.")
    with pytest.raises(NeedsOperator, match=r"1 \(json\), 2 \(nonsense\)"):
        alerts.send_alerts()
    assert chat.titles == ["A payment is disputed"]
    alerts.send_alerts()  # a minute later: who has read it reads it once, and staff still see what fails
    assert chat.titles == ["A payment is disputed"]
    assert AttentionItem.objects.filter(cause=Cause.ALERT_FAILED, resolved_at=None).exists()


def test_one_message_that_fails_does_not_keep_the_next_from_being_sent(chat: Chat, settings: Any) -> None:
    settings.ALERT_URLS = ["json://127.0.0.1:9/nobody", chat.url]
    attention.report(Cause.DISPUTE, "ch_1", "Charge ch_1 is disputed.")
    attention.report(Cause.API_VERSION, "webhook", "The endpoint speaks another version.")
    with pytest.raises(NeedsOperator):
        alerts.send_alerts()
    assert len(chat.titles) == 2


def test_without_an_address_nothing_is_sent_or_kept(chat: Chat, settings: Any) -> None:
    settings.ALERT_URLS = []
    attention.report(Cause.DISPUTE, "ch_1", "Charge ch_1 is disputed.")
    alerts.send_alerts()
    assert not AlertSent.objects.exists()
    assert jobs.KINDS[alerts.KIND].every == 60


def test_the_test_message(chat: Chat, settings: Any) -> None:
    out = StringIO()
    settings.ALERT_QUIET_HOURS = (0, 23)
    call_command("send_test_alert", stdout=out)
    assert (chat.titles, out.getvalue()) == (["Test alert"], "Sent.\n")
    settings.ALERT_URLS = []
    with pytest.raises(CommandError, match="ALERT_URLS is empty"):
        call_command("send_test_alert")


def test_a_job_that_needs_an_operator_is_told_by_the_running_system(world: World, settings: Any) -> None:
    found = Chat()
    settings.ALERT_URLS, settings.ALERT_AFTER_MINUTES = [found.url], 0
    dana = world.subscriber("dana")
    world.shop.control("settings", missing_rights=["customer_read", "subscription_read"])
    jobs.defer("mirror_customer", dana.stripe_customer_id or "")
    world.work()
    jobs.defer(alerts.KIND, "periodic")
    world.work()
    found.close()
    assert found.titles == ["Refresh from Stripe: 1 job needs attention"]
    assert "@" not in str(found.messages)
