"""Staff ask what Stripe said in a span of time: a preview that changes nothing, then what was missed is fetched."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.billing import event_span
from apps.billing.models import InboundEvent
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, ComparisonRun, Job
from tests.rows import writes, written
from tests.world import World

HOUR = dt.timedelta(hours=1)
WHY = {"actor": "staff:ada", "reason": "Webhooks were off for an hour"}


def span() -> dict[str, dt.datetime]:
    now = clock.now()
    return {"since": now - HOUR, "until": now + dt.timedelta(minutes=1)}


def ask(world: World) -> ComparisonRun:
    run = event_span.start_span(**span(), **WHY)
    world.work()
    run.refresh_from_db()
    return run


@pytest.fixture
def admin(world: World) -> Client:
    client = Client()
    client.force_login(User.objects.create(username="ada", is_staff=True, is_superuser=True))
    return client


def test_a_preview_names_what_was_missed_and_changes_nothing(world: World, admin: Client) -> None:
    ann = world.pay(world.signup("ann"))
    lost = {event["id"] for event in world.skip()}
    now = clock.now()
    asked = {"since": f"{now - HOUR:%Y-%m-%dT%H:%M}", "until": f"{now + HOUR:%Y-%m-%dT%H:%M}"}
    address = reverse("admin:event_span")
    admin.get(address)
    before = writes()
    text = admin.get(address, asked).content.decode()
    assert written(before) == []
    found = event_span.preview_span(**span())
    assert found.missing == len(found.open) > 0
    assert found.unhandled == 0
    assert not found.more
    assert {one.id for one in found.open} & lost
    assert f"{found.missing} never received, 0 not handled" in text
    assert ann.stripe_customer_id in text
    assert reverse("admin:core_comparisonrun_fetch_span") in text


def test_what_was_missed_is_fetched_and_handled_and_the_row_says_so(world: World) -> None:
    ann = world.pay(world.signup("ann"))
    world.skip()
    missing = {one.id for one in event_span.preview_span(**span()).open}
    run = ask(world)
    assert world.state(ann).access == "active"
    assert missing <= set(InboundEvent.objects.values_list("stripe_event_id", flat=True))
    assert (run.state, run.found, run.fixed, run.actor, run.reason) == (
        "done",
        len(missing),
        len(missing),
        *WHY.values(),
    )
    assert run.looked_at >= run.found
    assert {one for _, one, _ in run.items} == missing
    entry = AuditEntry.objects.get(subject_kind="comparison", subject_id=str(run.pk))
    assert (entry.action, entry.actor, entry.reason) == ("comparison_requested", *WHY.values())
    assert event_span.preview_span(**span()).open == ()
    assert ask(world).found == 0


def test_an_event_whose_job_gave_up_is_handled(world: World) -> None:
    ann = world.pay(world.signup("ann"))
    world.deliver()
    event = InboundEvent.objects.filter(customer_id=ann.stripe_customer_id, state="handled").first()
    assert event is not None
    InboundEvent.objects.filter(pk=event.pk).update(state="received", handled_at=None)
    Job.objects.filter(key=event.stripe_event_id).update(state="dead")
    (unhandled,) = [one for one in event_span.preview_span(**span()).open if not one.is_missing]
    assert unhandled.id == event.stripe_event_id
    assert ["event", event.stripe_event_id, "stripe"] in ask(world).items
    event.refresh_from_db()
    assert event.state == "handled"


def test_a_long_span_goes_on_in_further_jobs_as_one_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.pay(world.signup("ann"))
    world.skip()
    monkeypatch.setattr(event_span, "PAGE", 2)
    monkeypatch.setattr(event_span, "PAGES", 1)
    monkeypatch.setattr(event_span, "PREVIEWED", 1)
    assert event_span.preview_span(**span()).more
    run = ask(world)
    assert run.state == "done"
    assert run.slices > 2
    assert ComparisonRun.objects.filter(kind=event_span.KIND).count() == 1
    assert event_span.preview_span(**span()).open == ()


def test_one_span_at_a_time_unless_the_other_has_died(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = event_span.start_span(**span(), **WHY)
    with pytest.raises(BadInput, match="Another span is being fetched"):
        event_span.start_span(**span(), **WHY)
    ComparisonRun.objects.filter(pk=first.pk).update(progressed_at=clock.now() - 3 * HOUR)
    second = event_span.start_span(**span(), **WHY)
    world.work()
    states = dict(ComparisonRun.objects.filter(kind=event_span.KIND).values_list("pk", "state"))
    assert states == {first.pk: "stopped", second.pk: "done"}


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (0, 0, "ends before it begins"),
        (1, 2, "has not begun"),
        (-24 * 31, 0, "last 30 days"),
        (-1, -2, "ends before it begins"),
    ],
)
def test_a_span_of_which_stripe_lists_nothing_is_refused(
    since: int, until: int, said: str, world: World, admin: Client
) -> None:
    now = clock.now().replace(second=0, microsecond=0)
    asked: dict[str, Any] = {"since": now + since * HOUR, "until": now + until * HOUR}
    with pytest.raises(BadInput, match=said):
        event_span.start_span(**asked, **WHY)
    texts = {name: f"{moment:%Y-%m-%dT%H:%M}" for name, moment in asked.items()}
    text = admin.get(reverse("admin:event_span"), texts).content.decode()
    assert said in text
    assert "aria-invalid" in text
