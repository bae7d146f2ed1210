"""An account that somebody deletes in Keycloak: needed by who has access, and in nobody's way when they have left."""

import pytest

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.core import jobs
from apps.operations import drift
from apps.operations.models import Drift
from tests.world import World


def delete_account(world: World, profile: UserProfile) -> None:
    assert world.admin("DELETE", f"/users/{profile.keycloak_id}").status_code == 204


def gone(world: World, name: str = "dana") -> UserProfile:
    """Somebody whose subscription has ended, and whose account was deleted after that, as data protection asks."""
    profile = world.subscriber(name)
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    world.deliver()
    assert world.state(profile).access == "canceled"
    delete_account(world, profile)
    return profile


def seats(profile: UserProfile) -> list[str]:
    return list(profile.seats.exclude(state="released").values_list("state", flat=True))


def test_the_seat_of_who_has_left_is_released_without_the_account(world: World) -> None:
    """The job waited for staff to restore the account, and the seat was never given back."""
    dana, eve = gone(world), world.subscriber("eve")
    assert seats(dana) == ["retained"]
    world.pass_time(days=31)
    world.sweep()
    dana.refresh_from_db()
    assert (dana.access_state, seats(dana), world.jobs()) == ("expired", [], [])
    assert world.state(eve).access == "active"


def test_an_end_after_the_account_was_deleted_is_nobodys_work(world: World) -> None:
    dana = world.subscriber("dana")
    delete_account(world, dana)
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    dana.refresh_from_db()
    assert (dana.access_state, seats(dana), world.jobs()) == ("canceled", ["retained"], [])


@pytest.mark.parametrize("paid", [True, False], ids=["paid again", "still late"])
def test_an_account_that_is_due_is_for_staff_to_restore(world: World, paid: bool) -> None:
    world.shop.control("settings", end="past_due")
    dana = world.subscriber("dana")
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=31, seconds=4000)
    world.deliver()
    assert world.state(dana).access == "suspended"
    delete_account(world, dana)
    if paid:
        world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
        world.shop.v1.invoices.pay(world.stripe_state(dana)["latest_invoice"])
    world.shop.v1.customers.update(dana.stripe_customer_id or "", {"metadata": {"seen": "1"}})
    world.deliver()
    dana.refresh_from_db()
    assert dana.access_state == ("active" if paid else "suspended")
    assert len(world.jobs("blocked")) == paid


def test_staff_can_fix_what_a_reconcile_found_first(world: World) -> None:
    """The job said “fix the drift here”, and there was none: the comparison leaves out whose job waits."""
    dana = world.subscriber("dana")
    old = dana.keycloak_id
    delete_account(world, dana)
    reconcile.enqueue(dana, reason="test")
    world.work()
    assert len(world.jobs("blocked")) == 1
    drift.fix_drift(Drift.objects.get(profile=dana, kind="deleted", resolved_at=None), actor="staff:ada", reason="test")
    world.work()
    assert (world.state(dana).access, world.state(dana).account, dana.keycloak_id != old) == ("active", True, True)
    assert (world.jobs(), Drift.objects.filter(resolved_at=None).count()) == ([], 0)


def test_who_has_left_and_comes_back_gets_a_new_account_from_staff(world: World) -> None:
    dana = gone(world)
    jobs.defer("compare_keycloak", "periodic")
    world.work()
    assert not Drift.objects.exists()
    method = world.shop.v1.payment_methods.list({"customer": dana.stripe_customer_id or ""}).data[0].id
    world.shop.subscribe(dana.stripe_customer_id or "", world.price("personal"), default_payment_method=method)
    world.deliver()
    drift.fix_drift(Drift.objects.get(profile=dana, kind="deleted"), actor="staff:ada", reason="test")
    world.work()
    assert (world.state(dana).access, world.state(dana).account, world.jobs()) == ("active", True, [])
