"""Core Flows, Instance Assignment and Data Flow."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Signup, UserProfile
from apps.instances.models import Instance, Seat
from tests.specification.people import (
    at_keycloak,
    body,
    change_plan,
    customer,
    logged_in,
    ring_only,
    session_at_keycloak,
    sessions,
)
from tests.storefront.visitor import ACCOUNT, SESSION, STATE, Visitor
from tests.world import World


def test_flow_new_user_onboarding(world: World) -> None:
    visitor, profile = customer(world)
    assert visitor.signup.state == "checkout"
    world.deliver()
    profile.refresh_from_db()
    assert body(visitor.get(STATE))["finished"] is True
    state = world.state(profile)
    assert (state.access, state.subscription, state.account) == ("active", "active", True)
    assert state.attributes == {"has_nextcloud": "true", "nextcloud_instance": "nextcloud-1", "storage_gb": "100"}
    assert state.seats == (("nextcloud", "assigned"),)
    assert state.groups == ("/frontdesk/nextcloud-1",)
    paid = world.stripe_state(profile)
    assert (paid["status"], paid["id"]) == ("active", profile.stripe_subscription_id)
    assert Signup.objects.get().state == "paid"
    assert len(world.mails("dana@example.com")) == 3  # the code, our welcome, and Keycloak's link to set a password


def test_flow_existing_user_dashboard(world: World, settings: Any) -> None:
    profile = world.subscriber("dana")
    browser = at_keycloak(world, settings, profile)
    answer = browser.log_in("dana")
    assert answer["Location"] == "/dashboard/"
    page = browser.here.get("/dashboard/").content.decode()
    assert "https://nextcloud-1.example.com/" in page  # the link to what is provisioned
    assert "dana@example.com" in page  # account details
    portal = browser.here.post("/dashboard/billing/")  # manage the subscription
    assert urlsplit(portal["Location"]).netloc == urlsplit(world.url).netloc
    before = len(world.mails(profile))
    assert browser.here.post("/dashboard/reset-password/").status_code == 200
    world.work()
    assert len(world.mails(profile)) == before + 1


# --- instance assignment ---------------------------------------------------------------------------------------------


def test_allocation_uses_select_for_update_row_locking(world: World) -> None:
    visitor = Visitor().proven()
    with CaptureQueriesContext(connection) as queries:
        body(visitor.api(SESSION, **ACCOUNT))
    locking = [
        query["sql"] for query in queries if "instances_instance" in query["sql"] and "FOR UPDATE" in query["sql"]
    ]
    assert locking, "no seat was taken under a lock"
    assert Seat.objects.get().state == "reserved"


def test_allocation_assigns_to_the_instance_with_the_lowest_allocated_seats(world: World) -> None:
    people = [world.subscriber(name) for name in ("anna", "bert", "carl")]
    places = [person.seats.get().instance.slug for person in people]
    assert places[:2] == ["nextcloud-1", "nextcloud-2"]
    counted = dict(Instance.objects.filter(product__slug="nextcloud").values_list("slug", "allocated_seats"))
    assert sorted(counted.values()) == [1, 2]


def test_allocation_respects_soft_cap_allocation_cap_and_hard_cap(world: World) -> None:
    instance = world.only_room_for(1)  # soft 0, allocation 1, hard 2
    assert instance.soft_cap < instance.allocation_cap < instance.hard_cap
    back = world.subscriber("anna")
    world.shop.v1.subscriptions.cancel(back.stripe_subscription_id or "")
    world.deliver()
    world.pass_time(days=31)
    world.deliver()
    visitor = Visitor().proven()  # has chosen while there was room
    world.subscriber("bert")
    assert body(visitor.api(SESSION, **ACCOUNT), 409)["error"]["code"] == "full"  # at the allocation cap
    assert not Seat.objects.filter(profile__email="dana@example.com", state="reserved").exists()
    card = world.shop.v1.payment_methods.attach("pm_card_visa", {"customer": back.stripe_customer_id or ""})
    world.shop.subscribe(back.stripe_customer_id or "", world.price("personal"), default_payment_method=card.id)
    world.deliver()
    assert world.state(back).seats == (("nextcloud", "assigned"),)  # who returns may use the reserve
    instance.refresh_from_db()
    assert instance.allocated_seats == instance.hard_cap == 2  # and nobody goes beyond


def test_allocation_syncs_django_groups_to_keycloak_groups(world: World) -> None:
    profile = world.subscriber("dana", plus=1)
    state = world.state(profile)
    assert state.local_groups == state.groups == ("/frontdesk/nextcloud-1", "/frontdesk/vaultwarden-1")
    assert set(state.groups) <= set(Group.objects.values_list("name", flat=True))
    change_plan(world, profile, "personal")
    world.deliver()
    state = world.state(profile)
    assert state.local_groups == state.groups == ("/frontdesk/nextcloud-1",)


# --- data flow -------------------------------------------------------------------------------------------------------


def test_data_flow_stripe_webhooks_to_django_to_profile_and_items(world: World) -> None:
    profile = world.subscriber("dana", personal=1, storage_100=2)
    world.shop.control("settings", end="past_due")
    world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    assert world.state(profile).subscription == "active"  # no event has been told yet
    world.deliver()
    profile.refresh_from_db()
    assert profile.subscription_status == world.stripe_state(profile)["status"] == "past_due"
    ours = {(item.stripe_price_id, item.quantity) for item in profile.items.all()}
    theirs = {(line["price"]["id"], line["quantity"]) for line in world.stripe_state(profile)["items"]["data"]}
    assert ours == theirs == {(world.price("personal"), 1), (world.price("storage_100"), 2)}


def test_data_flow_to_keycloak_attributes_groups_and_password_resets(world: World) -> None:
    profile = world.subscriber("dana")
    account = world.account(profile)
    assert account["attributes"]["storage_gb"] == ["100"]
    assert world.groups(profile) == ["/frontdesk/nextcloud-1"]
    session_at_keycloak(world, profile)
    logged_in(profile).post("/dashboard/reset-password/")
    world.work()
    assert len(world.mails(profile)) == 3  # our welcome, the first link, and the one just asked for
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    world.deliver()
    assert (world.account(profile)["enabled"], world.groups(profile), sessions(world, profile)) == (False, [], 0)
    assert "storage_gb" not in world.account(profile).get("attributes", {})


def test_data_flow_to_instances_with_capacity_aware_allocation(world: World) -> None:
    profile = world.subscriber("dana")
    change_plan(world, profile, "plus")
    ring_only(world, "customer.subscription.updated")
    assert world.state(profile).seats == (("nextcloud", "assigned"), ("vaultwarden", "assigned"))
    assert Instance.objects.get(slug="vaultwarden-1").allocated_seats == 1
    assert UserProfile.objects.get(pk=profile.pk).seats.count() == 2
