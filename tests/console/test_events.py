"""The list of Stripe's events: what failed is red and has a view, each names its subscriber, and it is narrowed by type and day."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from apps.billing.models import InboundEvent
from apps.core import clock
from apps.core.models import AuditEntry, Job
from tests.console.conftest import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
LIST = "admin:billing_inboundevent_changelist"
SELECTED = "admin:billing_inboundevent_process_selected"


def shown(client: Client, **query: str) -> set[str]:
    answer = client.get(reverse(LIST), query)
    assert answer.status_code == 200
    return {one.stripe_event_id for one in answer.context["cl"].result_list}


def test_what_failed_is_red_has_a_view_and_names_its_subscriber(world: World, staff: Staff) -> None:
    client, (first, second, third) = staff("viewer"), world.events
    Job.objects.filter(kind="handle_event", key=second.stripe_event_id).update(state="queued", finished_at=None)
    InboundEvent.objects.filter(pk=third.pk).update(state="handled", handled_at=clock.now(), customer_id="cus_nobody")
    assert shown(client, view="failed") == {first.stripe_event_id}  # of one that is handled, an old job matters no more
    text = client.get(reverse(LIST), {"view": "failed"}).content.decode()
    assert 'fd-bad">Failed<' in text
    assert reverse("admin:accounts_userprofile_change", args=[world.profiles[0].pk]) in text
    every = client.get(reverse(LIST)).content.decode()
    assert every.count('fd-bad">Failed<') == 1
    assert 'name="events"' not in every  # boxes are for those who may


def test_by_type_and_by_day(world: World, staff: Staff) -> None:
    client, (first, second, third) = staff("viewer"), world.events
    now = clock.now()
    InboundEvent.objects.filter(pk=first.pk).update(type="charge.dispute.created")
    InboundEvent.objects.filter(pk=second.pk).update(received_at=now - dt.timedelta(days=1))
    assert shown(client, event="charge.dispute.created") == {first.stripe_event_id}
    assert shown(client, day=f"{now:%Y-%m-%d}") == {first.stripe_event_id, third.stripe_event_id}
    assert shown(client, day=f"{now - dt.timedelta(days=1):%Y-%m-%d}", event="invoice.paid") == {second.stripe_event_id}
    for wrong in ({"day": "yesterday"}, {"event": "invoice"}):
        assert client.get(reverse(LIST), wrong).status_code in {302, 400, 404}


def test_selected_ones_are_processed_again_with_a_reason_and_not_too_many(world: World, staff: Staff) -> None:
    client, address = staff("operator"), reverse(SELECTED)
    Job.objects.filter(key=world.events[2].stripe_event_id).delete()
    ids = [str(one.pk) for one in world.events]
    asked = client.get(address, {"events": ids}).content.decode()
    assert "3 of 3 will be processed again" in asked
    url = f"{address}?{'&'.join(f'events={one}' for one in ids)}"
    client.post(url, {"_form_submitted": "on", "reason": "Stripe was away"}, headers={"HX-Request": "true"})
    queued = Job.objects.filter(kind="handle_event", state="queued").values_list("key", flat=True)
    assert set(queued) == {one.stripe_event_id for one in world.events}
    lines = AuditEntry.objects.filter(action="event_retried")
    assert {(line.subject_id, line.reason) for line in lines} == {(one, "Stripe was away") for one in ids}

    many = client.get(address, {"events": [str(number) for number in range(21)]}).content.decode()
    assert "At most 20 at once. To fetch more, choose a time span." in many
    assert "No event is selected." in client.get(address).content.decode()


def test_selected_ones_are_ignored_with_a_reason_and_what_is_over_is_skipped(world: World, staff: Staff) -> None:
    client, address = staff("operator"), reverse("admin:billing_inboundevent_ignore_selected")
    failed, waiting, over = world.events
    Job.objects.filter(key__in=[waiting.stripe_event_id, over.stripe_event_id]).delete()
    InboundEvent.objects.filter(pk=over.pk).update(state="handled", handled_at=clock.now())
    chosen = f"{address}?" + "&".join(f"events={one.pk}" for one in world.events)
    preview = " ".join(client.get(chosen).content.decode().split())
    assert "2 of 3 will be ignored:" in preview
    assert "Only an event that is waiting" in preview
    answer = client.post(chosen, {"_form_submitted": "on", "reason": "Of a test in another account"}, follow=True)
    assert "2 events will be ignored. 1 skipped: Only an event that is waiting" in answer.content.decode()
    states = InboundEvent.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["ignored", "ignored", "handled"]
    assert not Job.objects.filter(kind="handle_event").exclude(state="superseded").exists()
    lines = AuditEntry.objects.filter(action="event_ignored")
    assert {(line.subject_id, line.reason) for line in lines} == {
        (str(one.pk), "Of a test in another account") for one in (failed, waiting)
    }
    again = client.post(chosen, {"_form_submitted": "on", "reason": "Of a test in another account"})
    assert "can be ignored" in again.content.decode()
