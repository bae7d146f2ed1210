"""Each comparison leaves one row that says what it looked at, found and fixed; the console shows it with links."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.billing import comparison
from apps.core import attention, clock, jobs
from apps.core.models import ComparisonRun, Job
from apps.identity.keycloak import client as keycloak
from apps.operations import safeguard
from tests.world import World


def run(world: World, kind: str) -> ComparisonRun:
    """The periodic job and what follows from it; the row it leaves."""
    jobs.defer(kind, "periodic")
    world.work()
    return ComparisonRun.objects.filter(kind=kind).latest("pk")


def counted(row: ComparisonRun) -> tuple[str, int, int, int, int]:
    return row.state, row.looked_at, row.found, row.fixed, row.failed


def page_of(row: ComparisonRun) -> str:
    client = Client()
    client.force_login(User.objects.create(username="ada", is_staff=True, is_superuser=True))
    return client.get(reverse("admin:core_comparisonrun_change", args=[row.pk])).content.decode()


def test_events_that_were_lost_are_counted_and_linked(world: World) -> None:
    run(world, "backfill_events")
    world.pay(world.signup("ann"))
    lost = [event["id"] for event in world.skip()]
    row = run(world, "backfill_events")
    assert row.state == "done"
    assert 0 < row.found == row.fixed <= row.looked_at
    assert {kind for kind, _, _ in row.items} == {"event"}
    assert {one for _, one, _ in row.items} <= {*lost}
    text = page_of(row)
    assert "missing or different, and had" in text
    assert f"?q={row.items[0][1]}" in text
    assert run(world, "backfill_events").found == 0


@pytest.mark.parametrize("kind", ["compare_subscriptions", "compare_recent_changes"])
def test_a_subscription_that_changed_at_stripe_is_counted(kind: str, world: World) -> None:
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    run(world, kind)
    assert run(world, kind).found == 0
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.skip()
    row = run(world, kind)
    assert (row.state, row.found, row.fixed, row.failed) == ("done", 1, 1, 0)
    assert row.items == [["profile", dana.pk, "stripe"]]
    assert row.looked_at >= 1
    text = page_of(row)
    assert "Stripe says something else" in text
    assert reverse("admin:accounts_userprofile_change", args=[dana.pk]) in text
    assert reverse("admin:accounts_userprofile_change", args=[eve.pk]) not in text


def test_slices_are_one_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ann", "bob", "cid"):
        world.subscriber(name)
    monkeypatch.setattr(comparison, "PAGE", 1)
    monkeypatch.setattr(comparison, "PAGES", 1)
    before = ComparisonRun.objects.count()
    row = run(world, "compare_subscriptions")
    assert ComparisonRun.objects.count() == before + 1
    assert (row.slices, counted(row)) == (3, ("done", 3, 0, 0, 0))


def test_those_whom_the_safeguard_holds_are_left_to_staff(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safeguard, "FLOOR", 0)
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.skip()
    row = run(world, "compare_subscriptions")
    assert counted(row) == ("done", 1, 1, 0, 1)
    assert "1 wait for staff" in page_of(row)
    assert world.state(dana).access == "active"


def test_what_differs_in_keycloak_is_counted_and_linked(world: World) -> None:
    dana, _ = world.subscriber("dana"), world.subscriber("eve")
    keycloak().update_user(dana.keycloak_id or "", enabled=False)
    row = run(world, "compare_keycloak")
    assert counted(row) == ("done", 2, 1, 0, 0)
    assert row.items == [["profile", dana.pk, "keycloak"]]
    assert "Keycloak says something else" in page_of(row)


def test_a_walk_that_dies_half_way_shows_as_such(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ann", "bob"):
        world.subscriber(name)
    monkeypatch.setattr(comparison, "PAGE", 1)
    monkeypatch.setattr(comparison, "PAGES", 1)
    whole = comparison.compare_slice

    def dies(cursor: comparison.Cursor, **options: Any) -> comparison.Slice:
        if cursor.after:
            raise SystemError
        return whole(cursor, **options)

    monkeypatch.setattr(comparison, "compare_slice", dies)
    row = run(world, "compare_subscriptions")
    assert counted(row)[:2] == ("running", 1)
    Job.objects.filter(kind="compare_subscriptions", key__contains=":").update(state="dead", finished_at=clock.now())
    world.pass_time(days=1)
    jobs.KINDS["check_comparisons"].handler("periodic")
    assert attention.open_items().filter(cause="comparison", key="compare_subscriptions").exists()
    assert "has stopped before its end" in page_of(row)
    monkeypatch.setattr(comparison, "compare_slice", whole)
    jobs.KINDS["compare_subscriptions"].handler("periodic")
    world.work()
    states = list(
        ComparisonRun.objects.filter(kind="compare_subscriptions").order_by("pk").values_list("state", flat=True)
    )
    assert states == ["stopped", "done"]
    assert not attention.open_items().filter(cause="comparison").exists()
