"""What no webhook told us is found: lost events, silent changes; and a list that is too empty is not believed."""

import datetime as dt
from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.billing import backfill, comparison, recent_changes
from apps.billing.models import InboundEvent, Subscription
from apps.core import clock, jobs
from apps.core.errors import BadInput
from apps.core.models import AuditEntry, Job
from apps.operations import safeguard, stripe_comparison
from apps.operations.models import SafeguardReview
from tests.world import World

DAY = 86_400


def run(world: World, kind: str) -> None:
    """The periodic job, and what follows from it."""
    jobs.defer(kind, "periodic")
    world.work()


@pytest.mark.fault("F07")
def test_events_that_were_all_lost_are_fetched(world: World) -> None:
    """F07: every webhook is lost."""
    people = [world.pay(world.signup(name)) for name in ("ann", "bob", "cid")]
    lost = world.skip()
    assert {world.state(one).access for one in people} == {"none"}
    run(world, "backfill_events")
    assert {world.state(one).access for one in people} == {"active"}
    assert InboundEvent.objects.count() == InboundEvent.objects.filter(source="backfill").count() > 0
    assert world.jobs() == []
    kept = set(InboundEvent.objects.values_list("stripe_event_id", flat=True))
    assert kept <= {event["id"] for event in lost} | {event["id"] for event in world.shop.events()}


def test_events_that_have_come_are_not_stored_again(world: World) -> None:
    world.subscriber("dana")
    rows, handled = InboundEvent.objects.count(), Job.objects.filter(kind="handle_event").count()
    run(world, "backfill_events")
    kept = InboundEvent.objects.filter(source="backfill")
    assert InboundEvent.objects.count() == rows + kept.count()
    # Only what the shop said before the test began to listen: its own products and prices.
    assert {one.type.partition(".")[0] for one in kept} <= {"product", "price"}
    assert Job.objects.filter(kind="handle_event").count() == handled + kept.count()


@pytest.mark.fault("F09")
def test_an_endpoint_that_was_off_for_four_days_catches_up(world: World) -> None:
    """F09."""
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.skip()
    world.pass_time(days=4)
    run(world, "backfill_events")
    assert world.state(dana).access == "canceled"


@pytest.mark.fault("F09")
def test_an_endpoint_that_was_off_for_a_month_is_mended_by_the_comparison(world: World) -> None:
    """F09: the list of events reaches back thirty days only."""
    dana = world.subscriber("dana", interval="year")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.skip()
    world.pass_time(days=31)
    run(world, "backfill_events")
    assert world.state(dana).access == "active"
    run(world, "compare_subscriptions")
    assert world.state(dana).access == "expired"


@pytest.mark.parametrize("what", ["status", "plan", "quantity", "leaves"])
@pytest.mark.fault("F08")
def test_a_change_without_any_event_is_found(world: World, what: str) -> None:
    """F08."""
    dana = world.subscriber("dana", personal=1, storage_100=1)
    path = f"/v1/subscriptions/{dana.stripe_subscription_id}"
    lines = {line["price"]["id"]: line["id"] for line in world.stripe_state(dana)["items"]["data"]}
    plan, storage = lines[world.price("personal")], lines[world.price("storage_100")]
    changes: dict[str, dict[str, Any]] = {
        "status": {"method": "DELETE", "path": path},
        "plan": {
            "method": "POST",
            "path": path,
            "params": {"items": {"0": {"id": plan, "price": world.price("plus")}}},
        },
        "quantity": {
            "method": "POST",
            "path": path,
            "params": {"items": {"0": {"id": storage, "quantity": 4}}},
        },
        "leaves": {"method": "POST", "path": path, "params": {"cancel_at_period_end": True}},
    }
    world.skip()
    world.shop.control("silent", **changes[what])
    assert world.new_events() == []
    before = world.state(dana)
    run(world, "compare_subscriptions")
    after = world.state(dana)
    if what == "leaves":
        assert (after, "then it ends" in dana.access_sentence) == (before, True)
    else:
        assert after != before
    if what == "quantity":
        assert after.attributes["storage_gb"] == "500"
    mirrored = Job.objects.filter(kind="mirror_customer").count()
    run(world, "compare_subscriptions")
    assert Job.objects.filter(kind="mirror_customer").count() == mirrored  # nothing differs any more


@pytest.mark.parametrize("size", [1, 2])
def test_however_many_subscribe_slice_after_slice_is_compared(
    world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Those Stripe has and we not, those that differ, and those only we have, wherever in the list they stand."""
    monkeypatch.setattr(comparison, "PAGE", size)
    monkeypatch.setattr(comparison, "PAGES", 1)
    people = {name: world.subscriber(name) for name in ("ann", "bob", "cid", "dee", "eva")}
    for name in ("ann", "cid", "eva"):
        world.shop.v1.subscriptions.cancel(people[name].stripe_subscription_id or "")
    Subscription.objects.filter(stripe_id=people["bob"].stripe_subscription_id).delete()
    world.skip()
    run(world, "compare_subscriptions")
    assert [world.state(one).access for one in people.values()] == [
        "canceled",
        "active",
        "canceled",
        "active",
        "canceled",
    ]
    assert Subscription.objects.filter(stripe_id=people["bob"].stripe_subscription_id).exists()
    assert Job.objects.filter(kind="compare_subscriptions", state="done").count() == {1: 5, 2: 3}[size]


def test_a_loss_spread_over_the_slices_is_seen_as_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "PAGE", 1)
    monkeypatch.setattr(comparison, "PAGES", 1)
    monkeypatch.setattr(safeguard, "FLOOR", 2)
    assert losing_world(world) == ["active"] * 4
    (sentence,) = world.jobs("blocked")
    assert "would take access from 4 of 4" in sentence


def test_however_many_events_were_lost_slice_after_slice_is_fetched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "PAGE", 3)
    monkeypatch.setattr(backfill, "PAGES", 2)
    people = [world.pay(world.signup(name)) for name in ("ann", "bob", "cid")]
    world.skip()
    run(world, "backfill_events")
    assert {world.state(one).access for one in people} == {"active"}
    assert Job.objects.filter(kind="backfill_events", state="done").count() > 3


def test_a_comparison_of_equals_asks_for_nothing(world: World) -> None:
    world.subscriber("ann")
    world.subscriber("bob", plus=1, storage_100=2)
    before = Job.objects.filter(kind="mirror_customer").count()
    run(world, "compare_subscriptions")
    assert Job.objects.filter(kind="mirror_customer").count() == before


def losing_world(world: World) -> list[str]:
    """Four pay; Stripe's lists are suddenly empty, and even the single subscriptions say canceled."""
    people = [world.subscriber(name) for name in ("ann", "bob", "cid", "dee")]
    for one in people:
        world.shop.control(
            "edit",
            kind="subscription",
            id=one.stripe_subscription_id,
            fields={"status": "canceled"},
        )
    run(world, "compare_subscriptions")
    return [world.state(one).access for one in people]


@pytest.mark.fault("F46")
def test_a_comparison_that_would_shut_out_many_stops_and_asks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F46."""
    monkeypatch.setattr(safeguard, "FLOOR", 3)
    assert losing_world(world) == ["active"] * 4
    (sentence,) = world.jobs("blocked")
    assert "would take access from 4 of 4 subscribers" in sentence


def test_a_comparison_that_shuts_out_few_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 4)
    assert set(losing_world(world)) == {"canceled"}


@pytest.mark.mutant
@pytest.mark.fault("F46")
def test_without_the_mass_guard_all_would_be_shut_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 0)
    monkeypatch.setattr(safeguard, "exceeds_limit", lambda *_: False)
    assert set(losing_world(world)) == {"canceled"}


@pytest.mark.parametrize("size", [1, 100])
def test_a_loss_that_staff_confirm_is_carried_out_at_once_and_for_those_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 1)
    monkeypatch.setattr(comparison, "PAGE", size)
    monkeypatch.setattr(comparison, "PAGES", 1)
    assert losing_world(world) == ["active"] * 4
    asked = SafeguardReview.objects.get()
    assert (asked.state, asked.sweep, len(asked.profile_ids), asked.with_access) == (
        "pending",
        "compare_subscriptions",
        4,
        4,
    )
    eva = world.subscriber("eva")
    safeguard.approve(asked, expected=4, actor="staff:ada", reason="the shop was closed")
    world.work()
    assert {world.state(one).access for one in UserProfile.objects.filter(pk__in=asked.profile_ids)} == {"canceled"}
    assert world.state(eva).access == "active"
    assert world.jobs() == []
    assert AuditEntry.objects.get(action="revocation_approved").actor == "staff:ada"


def test_a_confirmation_is_for_those_people_and_for_a_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 1)
    losing_world(world)
    people = list(UserProfile.objects.order_by("pk"))
    asked = SafeguardReview.objects.get()
    SafeguardReview.objects.update(profile_ids=[one.pk for one in people[:3]])
    with pytest.raises(BadInput, match="There are now 3 of them"):
        safeguard.approve(asked, expected=4, actor="staff:ada", reason="the shop was closed")
    safeguard.approve(asked, expected=3, actor="staff:ada", reason="the shop was closed")
    world.work()
    assert {world.state(one).access for one in people} == {"active"}  # a fourth would have lost it too
    assert list(SafeguardReview.objects.order_by("pk").values_list("state", flat=True)) == ["confirmed", "pending"]
    safeguard.approve(SafeguardReview.objects.latest("pk"), expected=4, actor="staff:ada", reason="the shop was closed")
    SafeguardReview.objects.update(until=clock.now())
    world.work()
    assert {world.state(one).access for one in people} == {"active"}  # a day later it is asked again


def test_retrying_without_a_confirmation_takes_nothing_from_anybody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the end of the walk alone, nor by a second walk."""
    monkeypatch.setattr(comparison, "PAGE", 1)
    monkeypatch.setattr(comparison, "PAGES", 1)
    monkeypatch.setattr(safeguard, "FLOOR", 2)
    losing_world(world)
    jobs.retry(Job.objects.get(state="blocked"), actor="staff:ada")
    world.work()
    run(world, "compare_subscriptions")
    assert {world.state(one).access for one in UserProfile.objects.all()} == {"active"}
    assert SafeguardReview.objects.get().state == "pending"


def test_a_confirmation_of_long_ago_means_nobody(world: World) -> None:
    """A walk's end that is done again takes up the question that stands, not one that was settled."""
    dana = world.subscriber("dana")
    now = clock.now()
    old: dict[str, Any] = {"opened_at": now, "seen_at": now, "decided_by": "staff:ada", "reason": "long ago"}
    SafeguardReview.objects.create(
        sweep=stripe_comparison.KIND, state="confirmed", profile_ids=[dana.pk], until=now, **old
    )
    safeguard.collect(stripe_comparison.KIND, [])
    assert safeguard.check(stripe_comparison.KIND, job_key="periodic") == []


def test_a_loss_that_is_no_longer_so_is_not_asked_any_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 1)
    people = [world.subscriber(name) for name in ("ann", "bob")]
    world.fault("stripe", "empty_list", path="/v1/subscriptions")
    run(world, "compare_subscriptions")
    assert SafeguardReview.objects.get().state == "pending"
    world.fault("stripe", "ok")
    run(world, "compare_subscriptions")
    assert SafeguardReview.objects.get().state == "obsolete"
    assert {world.state(one).access for one in people} == {"active"}
    with pytest.raises(BadInput, match="no longer open"):
        safeguard.approve(SafeguardReview.objects.get(), expected=2, actor="staff:ada", reason="the shop was closed")


@pytest.mark.fault("F46")
def test_an_empty_list_of_subscriptions_shuts_nobody_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 1)
    people = [world.subscriber(name) for name in ("ann", "bob")]
    world.fault("stripe", "empty_list", path="/v1/subscriptions")
    run(world, "compare_subscriptions")
    assert [world.state(one).access for one in people] == ["active", "active"]
    assert len(world.jobs("blocked")) == 1


def test_while_stripe_is_down_the_sweeps_wait_without_spending_attempts(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.skip()
    world.fault("stripe", "down")
    run(world, "backfill_events")
    assert [(job.state, job.attempts, job.parked_on) for job in Job.objects.filter(kind="backfill_events")] == [
        ("queued", 0, "stripe")
    ]
    world.fault("stripe", "ok")
    world.retry()
    assert world.state(dana).access == "canceled"


# --- each hour -------------------------------------------------------------------------------------------------------


def test_an_hour_without_changes_is_four_lists_however_many_subscribe(world: World) -> None:
    asked = []
    for count in (1, 4):
        for number in range(count):
            world.subscriber(f"dana{count}{number}")
        world.pass_time(seconds=4 * 3600)
        world.deliver()
        world.requests.clear()
        run(world, "compare_recent_changes")
        asked.append([(method, path.partition("?")[0]) for method, path, *_ in world.requests])
    lists = [("GET", f"/v1/{name}") for name in ("events", "refunds", "disputes", "credit_notes")]
    assert asked == [lists, lists]
    assert not Job.objects.filter(kind="mirror_customer", reason__contains="differs").exists()


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.fault("F08")
def test_who_changed_is_mirrored_within_the_hour_though_every_event_was_lost(
    world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(recent_changes, "PAGE", size)
    monkeypatch.setattr(recent_changes, "PAGES", 1)
    people = [world.subscriber(name) for name in ("ann", "bob", "cid")]
    paid = world.pay(world.signup("dee"))
    world.pass_time(seconds=60)
    for one in people[:2]:
        world.shop.v1.subscriptions.cancel(one.stripe_subscription_id or "")
    world.skip()
    world.pass_time(seconds=recent_changes.MARGIN)
    run(world, "compare_recent_changes")
    assert [world.state(one).access for one in (*people, paid)] == ["canceled", "canceled", "active", "active"]
    mirrored = Job.objects.filter(kind="mirror_customer").count()
    run(world, "compare_recent_changes")
    assert Job.objects.filter(kind="mirror_customer").count() == mirrored


@pytest.mark.fault("F08")
@pytest.mark.parametrize("beside", [0.0, 0.9, 5.0])
def test_a_change_of_the_second_in_which_we_last_fetched_is_found_within_the_hour(world: World, beside: float) -> None:
    """Stripe's moments are whole seconds, and what we have is as old as the question, not the answer."""
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    (ended,) = [one for one in world.skip() if one["type"] == "customer.subscription.deleted"]
    fetched = dt.datetime.fromtimestamp(ended["created"] + beside, dt.UTC)
    Subscription.objects.update(fetched_at=fetched)
    world.pass_time(seconds=1800)
    run(world, "compare_recent_changes")
    assert world.state(dana).access == "canceled"


def test_a_change_whose_event_was_handled_in_its_second_is_not_fetched_again(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"cancel_at_period_end": True})
    made = max(one["created"] for one in world.new_events())
    world.deliver()
    Subscription.objects.update(fetched_at=dt.datetime.fromtimestamp(made, dt.UTC))
    mirrored = Job.objects.filter(kind="mirror_customer").count()
    run(world, "compare_recent_changes")
    assert Job.objects.filter(kind="mirror_customer").count() == mirrored


def test_a_change_of_yesterday_that_the_hourly_run_no_longer_sees_is_found_at_night(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.skip()
    world.pass_time(seconds=5 * 3600)
    run(world, "compare_recent_changes")
    assert world.state(dana).access == "active"
    run(world, "compare_subscriptions")
    assert world.state(dana).access == "canceled"
    assert (jobs.KINDS["compare_recent_changes"].every, jobs.KINDS["compare_subscriptions"].every) == (3600, DAY)


def test_money_that_went_back_from_many_waits_for_staff_also_in_the_hourly_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 1)
    people = [world.subscriber(name) for name in ("ann", "bob", "cid")]
    for one in people[:2]:
        (invoice,) = world.shop.v1.invoices.list({"customer": one.stripe_customer_id or ""}).data
        charge = next(
            each.id
            for each in world.shop.v1.charges.list({"customer": one.stripe_customer_id or ""}).data
            if each.amount == invoice.amount_paid
        )
        world.shop.v1.refunds.create({"charge": charge})
    world.skip()
    run(world, "compare_recent_changes")
    assert {world.state(one).access for one in people} == {"active"}
    (review,) = SafeguardReview.objects.filter(sweep="compare_recent_changes", state="pending")
    safeguard.approve(review, expected=2, actor="staff:ada", reason="refunded by us")
    world.work()
    assert [world.state(one).access for one in people] == ["suspended", "suspended", "active"]
