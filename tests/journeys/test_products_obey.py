"""What was bought arrives in the product itself: account, quota, suspension, deletion; and what is wrong there is mended."""

import datetime as dt
from functools import partial
from typing import Any

import pytest
from django.conf import settings as configured

from apps.access import reconcile
from apps.accounts import legal_holds
from apps.accounts.models import UserProfile
from apps.core import clock, retention
from apps.core.models import AttentionItem, AuditEntry, Dependency, Job, Outage
from apps.core.states import Tone
from apps.instances import allocation
from apps.instances.models import Instance, ProductAccount
from apps.instances.provisioning import accounts, resending
from apps.operations import incident, privacy
from apps.operations.erasure_receipts import read_receipt
from tests.instances.peers import IMMICH, NEXTCLOUD, PEERS, Peer
from tests.instances.products import GB, account, call, call_immich, find_in_immich, obey, read_in, there, told, use
from tests.world import World

GROUPS = ["customers"]


@pytest.fixture
def house(world: World, settings: Any) -> World:
    obey(world, settings)
    return world


def pay_later(world: World, profile: UserProfile) -> None:
    """The renewal fails, and no grace is given."""
    world.shop.control("settings", end="past_due")
    world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()


def pay_now(world: World, profile: UserProfile) -> None:
    world.shop.control("payments", customer=profile.stripe_customer_id, mode="ok")
    invoice = world.shop.v1.invoices.list({"customer": profile.stripe_customer_id or "", "status": "open"}).data[0]
    world.shop.v1.invoices.pay(invoice.id)
    world.deliver()


def change_plan(world: World, profile: UserProfile, slug: str) -> None:
    subscription = world.stripe_state(profile)
    item = subscription["items"]["data"][0]["id"]
    world.shop.v1.subscriptions.update(subscription["id"], {"items": [{"id": item, "price": world.price(slug)}]})
    world.deliver()


def steps(profile: UserProfile, peer: Peer = NEXTCLOUD) -> list[str]:
    return [one for one in profile.last_sync.steps if peer.label in one]


@pytest.mark.long
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.kind)
def test_paid_upgraded_suspended_back_and_gone(world: World, settings: Any, peer: Peer) -> None:
    house = world
    obey(house, settings, peer)
    look = partial(read_in, peer, house)
    dana = house.subscriber("dana")
    assert look(dana) == (True, 100)
    assert steps(dana, peer) == [f"Open the account in {peer.label}, host nextcloud-1 with 100 GB."]

    use(house, dana, 80, peer)
    change_plan(house, dana, "plus")
    assert look(dana) == (True, 500)
    dana = UserProfile.objects.get(pk=dana.pk)
    assert f"Set quota to 500 GB in {peer.label}, host nextcloud-1." in steps(dana, peer)
    assert (account(dana).used, account(dana).quota_found) == (80 * GB, 500 * GB)

    pay_later(house, dana)
    assert house.state(dana).access == "suspended"
    assert look(dana) == (False, 500)
    pay_now(house, dana)
    assert look(dana) == (True, 500)

    dana.refresh_from_db()
    house.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    house.deliver()
    assert look(dana) == (False, 500)
    assert account(dana).delete_at is None  # the seat waits, and so does the data
    house.pass_time(days=31)
    house.deliver()
    assert house.state(dana).access == "expired"
    assert account(dana).state == "leaving"
    house.pass_time(days=29)
    house.sweep()
    assert look(dana) == (False, 500)
    house.pass_time(days=2)
    house.sweep()
    assert look(dana) is None
    assert (account(dana).state, account(dana).exists) == ("deleted", False)
    lines = AuditEntry.objects.filter(subject_id=str(dana.pk), action="product_account_changed").order_by("pk")
    assert [(one.after.get("enabled"), one.after.get("quota")) for one in lines] == [
        (True, 100 * GB), (True, 500 * GB), (False, 500 * GB), (True, 500 * GB), (False, 500 * GB), (None, None),
    ]  # fmt: skip
    assert house.jobs() == []


def sold_to(world: World, name: str = "dana", **basket: int) -> UserProfile:
    """Somebody who has paid and has an account in the Nextcloud."""
    found = world.subscriber(name, **basket)
    assert told(there(world, found)) is not None
    return found


def test_storage_that_was_bought_is_part_of_the_quota(house: World) -> None:
    dana = sold_to(house, personal=1, storage_100=2)
    assert told(there(house, dana)) == (True, 300, GROUPS)
    assert (account(dana).synced_at is not None, account(dana).read_at is not None) == (True, True)


def test_what_somebody_changes_in_the_product_is_found_written_down_and_mended(house: World) -> None:
    dana = sold_to(house)
    path = f"users/{dana.keycloak_id}"
    call(house, "PUT", path, data={"key": "quota", "value": "5 TB"})
    call(house, "PUT", f"{path}/disable")
    house.sweep()
    assert told(there(house, dana)) == (False, 5120, GROUPS)  # it was read a minute ago
    house.pass_time(seconds=6 * 3600 + 1)
    house.sweep()
    assert told(there(house, dana)) == (True, 100, GROUPS)
    found = AuditEntry.objects.get(subject_id=str(dana.pk), action="product_drift_found")
    assert (found.after["quota"], found.after["enabled"]) == (5120 * GB, False)
    use(house, dana, 80)
    house.pass_time(seconds=6 * 3600 + 1)
    house.sweep()
    assert account(dana).used == 80 * GB
    assert AuditEntry.objects.filter(action="product_drift_found").count() == 1


def test_what_somebody_changes_in_immich_is_mended_and_who_logs_in_keeps_the_account(
    world: World, settings: Any
) -> None:
    obey(world, settings, IMMICH)
    dana = world.subscriber("dana")
    made = find_in_immich(world, dana)
    assert made is not None
    came = world.standin.control("immich", host="nextcloud-1", sub=dana.keycloak_id, email="dana@example.com")
    assert came.json()["user"] == made["id"]
    call_immich(world, "PUT", f"/{made['id']}", quotaSizeInBytes=None, storageLabel=None)
    call_immich(world, "DELETE", f"/{made['id']}")
    world.pass_time(seconds=6 * 3600 + 1)
    world.sweep()
    found = find_in_immich(world, dana)
    assert found is not None
    assert (found["id"], found["oauthId"]) == (made["id"], dana.keycloak_id)
    assert read_in(IMMICH, world, dana) == (True, 100)
    line = AuditEntry.objects.get(subject_id=str(dana.pk), action="product_drift_found")
    assert (line.after["quota"], line.after["enabled"]) == (None, False)


def test_an_hour_without_the_product_delays_and_loses_nothing(house: World) -> None:
    dana = sold_to(house, "dana")
    house.fault("nextcloud", "down", path="/nextcloud-1/")
    change_plan(house, dana, "plus")
    omar = house.subscriber("omar")
    assert told(there(house, omar, "nextcloud-2")) == (True, 100, GROUPS)  # another host has nothing to do with it
    assert house.account(dana)["attributes"]["storage_gb"] == ["500"]  # nor has Keycloak
    down = Dependency.objects.get()
    assert "Nextcloud on nextcloud-1 did not answer" in down.reason
    for _ in range(12):
        house.pass_time(seconds=300)
        house.work()
    waiting = Job.objects.get(kind="sync_product_account", state="queued")
    assert (waiting.attempts, waiting.parked_on) == (0, down.name)
    house.fault("nextcloud", "ok")
    assert told(there(house, dana)) == (True, 100, GROUPS)
    house.pass_time(seconds=60)
    house.work()
    assert told(there(house, dana)) == (True, 500, GROUPS)
    assert (Dependency.objects.count(), Outage.objects.filter(peer=down.name, ended_at=None).count()) == (0, 0)
    assert house.jobs() == []


def test_an_answer_that_is_lost_makes_no_second_account_and_no_false_line(house: World) -> None:
    house.fault("nextcloud", "lost_answer", times=1)
    dana = house.subscriber("dana")
    assert there(house, dana) is not None
    assert account(dana).synced_at is None
    house.retry()
    assert told(there(house, dana)) == (True, 100, GROUPS)
    assert account(dana).synced_at is not None
    assert house.jobs() == []


def test_a_product_that_says_yes_and_does_nothing_is_not_believed(house: World) -> None:
    house.fault("nextcloud", "quota_ignored")
    dana = house.subscriber("dana")
    job = Job.objects.get(kind="sync_product_account", state="queued")
    assert "did not keep what was written" in job.last_error
    assert account(dana).synced_at is None
    house.fault("nextcloud", "ok")
    house.retry()
    assert told(there(house, dana)) == (True, 100, GROUPS)


def test_an_account_that_was_deleted_there_is_made_anew_and_staff_are_told(house: World) -> None:
    dana = sold_to(house)
    call(house, "DELETE", f"users/{dana.keycloak_id}")
    house.pass_time(seconds=6 * 3600 + 1)
    house.sweep()
    assert told(there(house, dana)) == (True, 100, GROUPS)
    item = AttentionItem.objects.get(cause="product_account_lost")
    assert (item.profile_ids, "backup" in item.sentence) == ([dana.pk], True)


def test_a_moved_seat_leaves_its_account_for_the_days_that_are_set(house: World) -> None:
    dana = sold_to(house)
    seat = dana.seats.select_related("instance").get()
    other = Instance.objects.get(slug="nextcloud-2")
    allocation.move(seat=seat, instance=other, actor="staff:ada", reason="more room there")
    reconcile.enqueue(dana, reason="moved")
    house.work()
    assert told(there(house, dana, "nextcloud-2")) == (True, 100, GROUPS)
    assert told(there(house, dana)) == (False, 100, GROUPS)
    left = account(dana)
    assert (left.state, left.delete_at is not None) == ("leaving", True)
    assert steps(dana)[-2:] == [
        "Suspend the account in Nextcloud, host nextcloud-1, and delete it after 30 days.",
        "Open the account in Nextcloud, host nextcloud-2 with 100 GB.",
    ]


def test_incident_mode_deletes_nothing(house: World) -> None:
    dana = sold_to(house)
    ProductAccount.objects.update(state="leaving", delete_at=clock.now() - dt.timedelta(hours=1))
    second = Instance.objects.get(slug="nextcloud-2")
    ProductAccount.objects.update(instance=second)
    freeze = incident.begin(
        product=None, until=clock.now() + dt.timedelta(hours=5), actor="staff:ada", reason="the disks are full"
    )
    house.sweep()
    reconcile.enqueue(dana, reason="test")
    house.work()
    assert account(dana, "nextcloud-2").state == "leaving"
    incident.end(freeze, actor="staff:ada", reason="it is over")
    house.sweep()
    house.sweep()
    assert account(dana, "nextcloud-2").state == "deleted"


def test_a_legal_hold_keeps_what_would_be_deleted(house: World) -> None:
    dana = sold_to(house)
    second = Instance.objects.get(slug="nextcloud-2")
    ProductAccount.objects.update(instance=second, state="leaving", delete_at=clock.now() - dt.timedelta(hours=1))
    hold = legal_holds.place(dana, actor="staff:ada", reason="a dispute")
    house.sweep()
    reconcile.enqueue(dana, reason="test")
    house.work()
    assert (account(dana, "nextcloud-2").state, account(dana, "nextcloud-2").tried_at) == ("leaving", None)
    legal_holds.end(hold, actor="staff:ada", reason="it is over")
    house.sweep()
    assert account(dana, "nextcloud-2").state == "deleted"


def test_an_account_that_our_own_one_may_not_see_is_not_lost(house: World) -> None:
    """Whoever takes the administrator's rights from it makes every account look deleted."""
    dana = sold_to(house)
    house.fault("nextcloud", "no_rights")
    house.pass_time(seconds=6 * 3600 + 1)
    house.sweep()
    assert "no longer treats our account" in Dependency.objects.get().reason
    assert not AttentionItem.objects.filter(cause="product_account_lost").exists()
    house.fault("nextcloud", "ok")
    assert told(there(house, dana)) == (True, 100, GROUPS)


def test_who_is_locked_out_when_provisioning_begins_is_locked_out_there(world: World, settings: Any) -> None:
    """By logging in they have made an account there that nobody ordered."""
    dana, omar = world.subscriber("dana"), world.subscriber("omar")
    place = dana.seats.get().instance.slug
    made = {"userid": dana.keycloak_id, "password": "a long enough password"}
    assert call(world, "POST", "users", place, data=made).status_code == 200
    for one in (dana, omar):
        world.shop.v1.subscriptions.cancel(one.stripe_subscription_id or "")
    world.deliver()
    obey(world, settings)
    for one in (dana, omar):
        reconcile.enqueue(one, reason="test")
    world.work()
    found = there(world, dana, place)
    assert found is not None
    assert found["enabled"] is False
    assert there(world, omar, omar.seats.get().instance.slug) is None  # who never logged in gets none
    assert world.jobs() == []


def test_another_keycloak_account_gets_an_account_of_its_own_and_the_former_one_leaves(house: World) -> None:
    dana = sold_to(house)
    use(house, dana, 7)
    old = "0b7e2c1a-1111-4222-8333-944455556666"
    former = account(dana)
    call(house, "POST", "users", data={"userid": old, "password": "a long enough password"})
    ProductAccount.objects.filter(pk=former.pk).update(user_id=old)  # as if it had been made for another login
    reconcile.enqueue(dana, reason="test")
    house.work()
    now = ProductAccount.objects.get(profile=dana, user_id=dana.keycloak_id)
    former.refresh_from_db()
    assert (now.state, former.state, former.user_id) == ("open", "leaving", old)
    assert told(there(house, dana)) == (True, 100, GROUPS)
    left = there(house, old)
    assert left is not None
    assert left["enabled"] is False
    house.pass_time(days=31)
    house.deliver()
    house.sweep()
    former.refresh_from_db()
    assert (former.state, there(house, old)) == ("deleted", None)
    assert told(there(house, dana)) == (True, 100, GROUPS)


def test_a_slow_product_holds_up_one_worker_alone(house: World) -> None:
    """Its orders run one after the other, in a lane that no other instance shares."""
    for name in ("dana", "omar", "nora"):
        house.subscriber(name)
    lanes = Job.objects.filter(kind="sync_product_account").values_list("lane", flat=True)
    assert set(lanes) == {f"product:{one.instance_id}" for one in ProductAccount.objects.all()}


def erase(world: World, profile: UserProfile) -> None:
    """Once their subscription has ended."""
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    world.deliver()
    profile.refresh_from_db()
    privacy.erase(profile, actor="staff:ada", reason="asked for by letter")


def test_erasing_a_person_deletes_their_accounts_and_the_receipt_says_so(house: World) -> None:
    dana = sold_to(house)
    key = dana.keycloak_id or ""
    erase(house, dana)
    house.fault("nextcloud", "down")
    house.work()
    dana.refresh_from_db()
    receipt = read_receipt(dana)
    assert receipt is not None
    assert [(one.name, one.tone) for one in receipt.systems][-1] == ("Nextcloud, nextcloud-1", Tone.BUSY)
    house.fault("nextcloud", "ok")
    house.retry()
    receipt = read_receipt(dana)
    assert receipt is not None
    assert receipt.is_complete
    assert "ids of accounts in products" in dict(receipt.kept)
    assert there(house, key) is None


def test_what_a_restored_product_brings_back_of_an_erased_person_is_deleted_again(house: World) -> None:
    """The id of the account is remembered for as long as products keep backups, and nothing else of the person."""
    dana = sold_to(house)
    key = dana.keycloak_id or ""
    erase(house, dana)
    house.work()
    assert there(house, key) is None
    account = ProductAccount.objects.get()
    assert (account.user_id, account.quota, account.used, account.exists) == (key, None, None, False)

    call(house, "POST", "users", data={"userid": key, "password": "as the backup had it"})
    assert there(house, key) is not None
    resending.send_all_again(account.instance, expected=1, actor="staff:ada", reason="restored")
    house.work()
    assert there(house, key) is None
    assert AuditEntry.objects.filter(action="erased_in_product").count() == 1

    later = clock.now() + dt.timedelta(days=configured.RETENTION["erased_accounts"], hours=1)
    assert list(accounts.erased_before(later)) == [account]
    assert retention.RULES["erased_accounts"].prune(later) == 1
    assert not ProductAccount.objects.exists()


def test_products_that_take_no_orders_are_left_alone(world: World) -> None:
    dana = world.subscriber("dana")
    assert steps(dana) == []
    world.sweep()
    assert not ProductAccount.objects.exists()
    assert not Job.objects.filter(kind__in=["sync_product_account", "check_product_accounts"]).exists()
