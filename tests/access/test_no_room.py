"""Paid, and no seat: everything else is given, staff are told, and the longest waiting is served first."""

from typing import Any

from apps.access import overrides
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.instances import allocation, deployments
from apps.instances.models import Instance, SeatWait
from tests.access.people import DAY
from tests.laws import sabotage, violated
from tests.world import World


def upgrade(world: World, profile: UserProfile) -> None:
    """A plan change that needs another app's seat, which nothing reserves beforehand."""
    (line,) = world.stripe_state(profile)["items"]["data"]
    item = {"id": line["id"], "price": world.price("plus")}
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", {"items": [item]})
    world.deliver()


def test_who_waited_longest_gets_the_first_free_seat(world: World) -> None:
    instance = world.only_room_for(1, "vaultwarden")
    ann, bob, cid = (
        world.subscriber("ann", plus=1),
        world.subscriber("bob"),
        world.subscriber("cid"),
    )
    upgrade(world, bob)
    upgrade(world, cid)
    for one in (bob, cid):
        state = world.state(one)
        assert (state.access, state.seats, state.attributes["storage_gb"]) == (
            "active",
            (("nextcloud", "assigned"),),
            "500",
        )
        assert "has_vaultwarden" not in state.attributes
        assert one.pending_since is not None
    said = "No instance of vaultwarden has room. The first free seat goes to the subscriber who has waited longest."
    assert world.jobs() == [f"reconcile: {said}"] * 2
    assert list(SeatWait.objects.order_by("since", "pk").values_list("profile", flat=True)) == [
        bob.pk,
        cid.pk,
    ]

    world.pass_time(seconds=600)
    assert violated("L3") == {}  # their wait is known, and what else is due is done
    with sabotage(("DELETE FROM instances_seatwait WHERE profile_id = %s", [bob.pk])):
        assert violated("L3") == {"L3": [str(bob.pk)]}
    with sabotage("UPDATE instances_instance SET allocation_cap = allocation_cap + 1, hard_cap = hard_cap + 1"):
        assert violated("L3") == {"L3": [str(bob.pk)]}, "a seat is free, and nobody offers it"

    world.shop.v1.subscriptions.cancel(ann.stripe_subscription_id or "")
    world.deliver()
    assert len(world.jobs()) == 2  # ann's seat is kept for her
    world.pass_time(days=30, seconds=10)
    world.deliver()
    world.sweep()
    assert world.state(bob).attributes["has_vaultwarden"] == "true"
    assert "has_vaultwarden" not in world.state(cid).attributes
    assert set(world.jobs()) == {f"reconcile: {said}"}
    instance.refresh_from_db()
    with_caps: dict[str, Any] = {"soft_cap": 1, "allocation_cap": 5, "hard_cap": 6}
    deployments.change_caps(instance=instance, actor="staff:ada", reason="more room", **with_caps)
    world.sweep()
    assert world.state(cid).attributes["has_vaultwarden"] == "true"
    assert (world.jobs(), SeatWait.objects.count()) == ([], 0)


def test_a_first_look_without_room_is_settled_by_the_later_one(world: World) -> None:
    signup = world.signup("dana", plus=1)
    dana = world.pay(signup)
    allocation.release(profile=dana, product=Product.objects.get(slug="vaultwarden"))
    instance = world.only_room_for(1, "vaultwarden")
    world.subscriber("ann", plus=1)
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.account, "has_nextcloud" in state.attributes) == (
        "active",
        True,
        True,
    )
    assert {one.split(":")[0] for one in world.jobs()} == {"sync_user_post_checkout"}
    instance.refresh_from_db()
    with_caps: dict[str, Any] = {"soft_cap": 1, "allocation_cap": 5, "hard_cap": 6}
    deployments.change_caps(instance=instance, actor="staff:ada", reason="more room", **with_caps)
    world.sweep()
    assert world.state(dana).attributes["has_vaultwarden"] == "true"
    assert world.jobs() == []


def test_who_comes_back_after_the_end_may_use_the_reserve(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    world.pass_time(days=31)
    world.work()
    assert world.state(dana).seats == ()
    world.only_room_for(1)
    world.subscriber("ann")
    grant: dict[str, Any] = {
        "products": [Product.objects.get(slug="personal")],
        "until": clock.now() + DAY,
    }
    overrides.grant(profile=dana, actor="staff:ada", reason="welcome back", **grant)
    world.work()
    assert world.state(dana).seats == (("nextcloud", "assigned"),)
    assert Instance.objects.get(slug="nextcloud-1").allocated_seats == 2
