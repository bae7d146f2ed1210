"""A sweep that stopped to ask is told outside the console: nobody opens it at night (FOSSBilling#949, Paymenter#1252)."""

import datetime as dt
from typing import Any

import pytest

from apps.core import alerts, attention
from apps.core.errors import NeedsOperator
from apps.core.models import AttentionItem, Job
from apps.operations import safeguard, sweeps, sync_runs
from apps.operations.models import SafeguardReview
from tests.field.test_alerts import Chat, Clock
from tests.operations.test_safeguard import late

pytestmark = pytest.mark.django_db


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands until it is moved."""
    found = Clock()
    monkeypatch.setattr("apps.core.clock.now", lambda: found.now)
    return found


@pytest.fixture(autouse=True)
def grace(settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 3


def items() -> list[tuple[str, str]]:
    found = attention.open_items().filter(cause=attention.Cause.SAFEGUARD).order_by("pk")
    return [(one.key, one.sentence) for one in found]


def sweep() -> None:
    with pytest.raises(NeedsOperator):
        sweeps.reconcile_all("periodic")


def stop_the_night(settings: Any) -> SafeguardReview:
    """Thirty people would lose access by terms that were changed; returns the review."""
    late(30)
    settings.PAYMENT_GRACE_DAYS = 0
    sweep()
    return SafeguardReview.objects.get(state="pending")


def test_a_sweep_that_asks_is_one_item_however_often_it_asks_until_it_is_approved(settings: Any, time: Clock) -> None:
    review = stop_the_night(settings)
    [(key, sentence)] = items()
    assert key == str(review.pk)
    assert "would take access from 30 of 30 subscribers" in sentence
    assert "@" not in sentence
    assert len(AttentionItem.objects.get().profile_ids) == 30
    time.move(days=1)
    Job.objects.all().delete()
    sweep()
    assert len(items()) == 1
    assert AttentionItem.objects.get().times == 2
    safeguard.approve(review, expected=30, actor="staff:ada", reason="The terms are meant")
    assert items() == []
    assert AttentionItem.objects.get().resolution == "Approved by staff:ada."


def test_an_item_ends_when_the_cause_is_gone(settings: Any, time: Clock) -> None:
    stop_the_night(settings)
    settings.PAYMENT_GRACE_DAYS = 3
    Job.objects.all().delete()
    sweeps.reconcile_all("periodic")
    assert SafeguardReview.objects.get().state == "obsolete"
    assert items() == []


def test_a_sync_run_that_asks_has_an_item_of_its_own(settings: Any, time: Clock) -> None:
    stop_the_night(settings)
    people = late(25, start=200)
    with pytest.raises(NeedsOperator):
        safeguard.check(sync_runs.KIND, scope="7", job_key="7", losing=[one.pk for one in people])
    assert len(items()) == 2
    assert safeguard.check(sync_runs.KIND, scope="7", job_key="7", losing=[people[0].pk]) == [people[0].pk]
    assert len(items()) == 1


def test_a_sweep_that_finds_others_after_an_approval_asks_again(settings: Any, time: Clock) -> None:
    safeguard.approve(stop_the_night(settings), expected=30, actor="staff:ada", reason="The terms are meant")
    late(5, start=300)
    Job.objects.all().delete()
    sweep()
    [(_, sentence)] = items()
    assert "35 of 35" in sentence


def test_what_waits_for_an_approval_leaves_the_house(settings: Any, time: Clock) -> None:
    chat = Chat()
    settings.ALERT_URLS, settings.ALERT_AFTER_MINUTES, settings.ALERT_QUIET_HOURS = [chat.url], 10, (0, 0)
    review = stop_the_night(settings)
    alerts.send_alerts()
    assert chat.titles == []
    time.move(minutes=11)
    alerts.send_alerts()
    assert chat.titles == ["A sweep waits for an approval"]
    assert "Nobody has lost access yet" in str(chat.messages)
    safeguard.approve(review, expected=30, actor="staff:ada", reason="The terms are meant")
    time.now += dt.timedelta(days=2)
    alerts.send_alerts()
    chat.close()
    assert len(chat.messages) == 1
