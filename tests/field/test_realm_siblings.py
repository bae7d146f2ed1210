"""What administrators of a realm do beside Frontdesk: groups of their own, below ours too, and usernames of their choice."""

from typing import Any

import pytest

from apps.accounts.models import UserProfile
from tests.world import World


def group_of(world: World, profile: UserProfile) -> dict[str, Any]:
    return world.memberships(profile)[0]


def join(world: World, profile: UserProfile, parent: str, name: str) -> str:
    """Make a group below `parent` as an administrator does, and put the person into it; its path."""
    assert world.admin("POST", f"/groups/{parent}/children", json={"name": name}).status_code in {201, 204}
    made = next(one for one in world.admin("GET", f"/groups/{parent}/children").json() if one["name"] == name)
    assert world.admin("PUT", f"/users/{profile.keycloak_id}/groups/{made['id']}").status_code == 204
    return str(made["path"])


def touch(world: World, profile: UserProfile) -> None:
    world.shop.v1.customers.update(profile.stripe_customer_id or "", {"metadata": {"seen": str(world.url)}})
    world.deliver()


@pytest.mark.parametrize("below", ["ours", "parent"])
def test_a_group_of_the_operators_own_stops_nobodys_access(world: World, below: str) -> None:
    """Its path is not ours to change: the sync was blocked, and who canceled kept access."""
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    ours = group_of(world, dana)
    parent = ours["id"] if below == "ours" else ours.get("parentId") or parent_id(world, ours["path"])
    path = join(world, dana, parent, "Team A")
    touch(world, dana)
    assert (world.state(dana).access, world.jobs()) == ("active", [])
    assert path in world.groups(dana)
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    assert (world.state(dana).access, world.state(dana).account, world.jobs()) == ("canceled", False, [])
    assert world.groups(dana) == [path]
    assert world.state(eve).access == "active"


def parent_id(world: World, path: str) -> str:
    return str(world.admin("GET", f"/group-by-path/{path.rpartition('/')[0].lstrip('/')}").json()["id"])


def test_a_disputed_payment_of_somebody_who_has_left_does_not_close_a_new_subscription(world: World) -> None:
    """Sibling of case 10: the old one has ended, and what is paid now is paid."""
    dana = world.subscriber("dana")
    charge, first = world.charge(dana), dana.stripe_subscription_id or ""
    world.shop.v1.subscriptions.cancel(first)
    world.deliver()
    method = world.shop.v1.payment_methods.list({"customer": dana.stripe_customer_id or ""}).data[0].id
    world.shop.subscribe(dana.stripe_customer_id or "", world.price("personal"), default_payment_method=method)
    world.deliver()
    made = world.shop.control("dispute", charge=charge)
    world.shop.control("close_dispute", dispute=made["id"], status="lost")
    world.deliver()
    assert (world.state(dana).access, world.jobs()) == ("active", [])


def test_an_account_whose_username_the_realm_chose_is_adopted(world: World) -> None:
    """adorsys/keycloak-config-cli#264: where the address is the username, a lost answer ended as somebody else's account."""
    dana = world.subscriber("dana")
    made = dana.keycloak_id
    type(dana.user).objects.filter(pk=dana.user_id).update(username="dana.of.ours")
    UserProfile.objects.filter(pk=dana.pk).update(keycloak_id=None)
    touch(world, dana)
    assert (world.state(dana).access, dana.keycloak_id, world.jobs()) == ("active", made, [])
