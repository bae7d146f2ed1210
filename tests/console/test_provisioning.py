"""Staff let an instance take orders: the product is asked first, its secret is shown nowhere, and its seats are synced."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.access import reconcile
from apps.console import columns
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AttentionItem, AuditEntry, Job
from apps.instances.models import Instance, ProductAccount, Provisioning
from apps.instances.provisioning import connections
from apps.sandbox.nextcloud_account import ADMIN, APP_PASSWORD
from tests.console.desk import REASON, dialog, done, send
from tests.instances.products import GB, account, address, call, obey, there, told, use
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


@pytest.fixture
def cloud(town: World, settings: Any) -> Instance:
    settings.PROVISIONER_SECRETS = {"nextcloud-1": APP_PASSWORD}
    return Instance.objects.get(slug="nextcloud-1")


def shown(client: Client, row: Any) -> str:
    return client.get(columns.address(row)).content.decode()


def answers(town: World, **more: str) -> dict[str, Any]:
    return {
        "kind": "nextcloud", "address": address(town), "login": ADMIN, "group": "customers", "quota_grant": "storage_gb",
        "keep_days": "30", **more,
    }  # fmt: skip


def test_an_instance_obeys_from_now_on_and_those_who_are_on_it_get_what_they_bought(
    town: World, staff: Staff, cloud: Instance
) -> None:
    dana = town.subscriber("dana")
    assert there(town, dana) is None
    admin = staff("admin")
    text = admin.get(dialog(cloud, "change_provisioning")).content.decode()
    assert "--mapping-uid=sub" in text
    assert done(send(admin, cloud, "change_provisioning", **answers(town)))
    town.work()
    assert told(there(town, dana)) == (True, 100, ["customers"])
    use(town, dana, 80)
    town.pass_time(seconds=6 * 3600 + 1)
    town.sweep()
    page = shown(staff("viewer"), cloud)
    for words in ("Nextcloud", f"{address(town)} as {ADMIN}", "storage_gb", "30 days", "1 (0 waiting for a sync)"):
        assert words in page
    seat = shown(staff("viewer"), dana.seats.get())
    assert "80 GB of 100 GB" in seat
    line = AuditEntry.objects.get(action="instance_provisioning_changed")
    assert (line.before, line.after["quota_grant"]) == ({}, "storage_gb")
    assert APP_PASSWORD not in text + page + seat + str(line.after)


def test_it_takes_no_orders_any_more_and_its_accounts_stay(
    town: World, staff: Staff, cloud: Instance, settings: Any
) -> None:
    obey(town, settings)
    dana = town.subscriber("dana")
    assert done(send(staff("admin"), cloud, "change_provisioning", kind=""))
    assert not Provisioning.objects.filter(instance=cloud).exists()
    town.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    town.deliver()
    town.sweep()
    assert told(there(town, dana)) == (True, 100, ["customers"])
    assert (account(dana).state, town.jobs()) == ("open", [])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"address": "https://cloud.example.com"}, "Add cloud.example.com to OUTBOUND_HOSTS"),
        ({"address": ""}, "This is needed."),
        ({"login": ""}, "This is needed."),
        ({"login": "somebody"}, "refuses our login (401)"),
        ({"keep_days": "0"}, "greater than or equal to 1"),
        ({"quota_grant": "mailboxes"}, "Select a valid choice"),
        ({"kind": "nothing-like-it"}, "Select a valid choice"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_saved(
    wrong: dict[str, str], sentence: str, town: World, staff: Staff, cloud: Instance
) -> None:
    answer = send(staff("admin"), cloud, "change_provisioning", **answers(town, **wrong))
    assert not done(answer)
    assert sentence in answer.content.decode()
    assert not Provisioning.objects.exists()


def test_one_product_is_commanded_by_one_instance(town: World, staff: Staff, cloud: Instance, settings: Any) -> None:
    """On two, who moves from one to the other would have the account deleted that they use."""
    obey(town, settings)
    other = Instance.objects.get(slug="nextcloud-2")
    settings.PROVISIONER_SECRETS = {"nextcloud-1": APP_PASSWORD, "nextcloud-2": APP_PASSWORD}
    same = f"{address(town)}/".replace("/nextcloud-1/", "/NEXTCLOUD-1//")
    with pytest.raises(BadInput, match="has this address already"):
        connections.save_connection(
            Provisioning(instance=other, kind="nextcloud", address=same, login=ADMIN), actor="staff:ada", reason="test"
        )
    answer = send(staff("admin"), other, "change_provisioning", **answers(town))
    assert not done(answer)
    assert "has this address already" in answer.content.decode()
    assert Provisioning.objects.get(instance=other).address == address(town, "nextcloud-2")
    assert done(send(staff("admin"), cloud, "change_provisioning", **answers(town, group="people")))  # its own


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("https://Cloud.Example.com", "cloud.example.com"),
        ("https://cloud.example.com.:443//", "cloud.example.com"),
        ("http://cloud.example.com:80/index.php", "cloud.example.com"),
        ("https://cloud.example.com:8443/Files/", "cloud.example.com:8443/files"),
        ("https://user:secret@cloud.example.com/files?x=1#y", "cloud.example.com/files"),
    ],
)
def test_what_means_the_same_product_is_one_host(typed: str, host: str) -> None:
    assert connections.host_of(typed) == host


def test_no_secret_goes_out_in_clear_text_and_a_missing_one_is_named(
    town: World, staff: Staff, cloud: Instance, settings: Any
) -> None:
    settings.HTTPS = True
    answer = send(staff("admin"), cloud, "change_provisioning", **answers(town))
    assert "Use an address with https." in answer.content.decode()
    settings.HTTPS, settings.PROVISIONER_SECRETS = False, {}
    admin = staff("admin")
    assert (
        "PROVISIONER_SECRETS has nothing for nextcloud-1"
        in admin.get(dialog(cloud, "change_provisioning")).content.decode()
    )
    answer = send(admin, cloud, "change_provisioning", **answers(town))
    assert "PROVISIONER_SECRETS has nothing for nextcloud-1" in answer.content.decode()
    assert not Provisioning.objects.exists()


def test_two_names_of_one_server_are_one_product(town: World, staff: Staff, cloud: Instance, settings: Any) -> None:
    obey(town, settings)
    settings.PROVISIONER_SECRETS |= {"vaultwarden-1": APP_PASSWORD}
    assert done(send(staff("admin"), cloud, "change_provisioning", **answers(town)))  # from now on it is known
    assert Provisioning.objects.get(instance=cloud).server_id.startswith("oc")
    town.standin.control("nextcloud", host="files", same_as="nextcloud-1")
    other = Instance.objects.get(slug="vaultwarden-1")
    answer = send(staff("admin"), other, "change_provisioning", **answers(town, address=address(town, "files")))
    assert not done(answer)
    assert "has this server, by another address, already" in answer.content.decode()
    assert not Provisioning.objects.filter(instance=other).exists()


def test_accounts_are_not_left_behind_at_another_server(
    town: World, staff: Staff, cloud: Instance, settings: Any
) -> None:
    obey(town, settings)
    town.subscriber("dana")
    admin = staff("admin")
    assert done(send(admin, cloud, "change_provisioning", **answers(town)))
    elsewhere = answers(town, address=address(town, "another"))
    for _ in ("commanded", "commanded no more"):
        answer = send(admin, cloud, "change_provisioning", **elsewhere)
        assert not done(answer)
        assert f"1 account of ours is in Nextcloud at {address(town)}" in answer.content.decode()
        send(admin, cloud, "change_provisioning", kind="")
    town.standin.control("nextcloud", host="files", same_as="nextcloud-1")
    assert done(send(admin, cloud, "change_provisioning", **answers(town, address=address(town, "files"))))
    ProductAccount.objects.update(state="deleted", synced_at=clock.now())
    assert done(send(admin, cloud, "change_provisioning", **elsewhere))


def test_a_server_that_is_another_one_by_now_is_found_before_its_accounts_count_as_lost(
    town: World, staff: Staff, cloud: Instance, settings: Any
) -> None:
    obey(town, settings)
    dana = town.subscriber("dana")
    here = Provisioning.objects.get(instance__slug=dana.seats.get().instance.slug)
    town.pass_time(seconds=6 * 3600 + 1)
    town.sweep()
    here.refresh_from_db()
    assert here.server_id.startswith("oc")
    here.address = address(town, "another")  # where the name leads now
    here.save()
    town.pass_time(seconds=6 * 3600 + 1)
    town.sweep()
    job = Job.objects.get(kind="check_product_accounts", state="blocked")
    assert "Another server answers for" in job.last_error
    assert not AttentionItem.objects.filter(cause="product_account_lost").exists()
    assert done(send(staff("admin"), cloud, "change_provisioning", **answers(town, address=here.address)))
    town.pass_time(seconds=6 * 3600 + 1)
    town.sweep()
    assert not Job.objects.filter(kind="check_product_accounts", state="blocked").exists()
    assert told(there(town, dana, "another")) == (True, 100, ["customers"])


def test_an_account_is_checked_at_once_and_what_differs_is_put_right(
    town: World, staff: Staff, cloud: Instance, settings: Any
) -> None:
    obey(town, settings)
    dana = town.subscriber("dana")
    seat, support = dana.seats.get(), staff("support")
    assert "Check now" in shown(support, seat)
    assert done(send(support, seat, "check_account"))
    call(town, "PUT", f"users/{dana.keycloak_id}/disable")
    use(town, dana, 80)
    assert done(send(support, seat, "check_account"))
    assert account(dana).used == 80 * GB
    town.work()
    assert told(there(town, dana)) == (True, 100, ["customers"])
    checked = AuditEntry.objects.filter(action="product_account_checked").order_by("pk")
    assert [(one.actor, one.reason, one.after["enabled"]) for one in checked] == [
        ("staff:support-ada", REASON, True), ("staff:support-ada", REASON, False),
    ]  # fmt: skip


def test_what_cannot_be_checked_is_said_in_the_dialog(
    town: World, staff: Staff, cloud: Instance, settings: Any
) -> None:
    dana = town.subscriber("dana")
    support = staff("support")
    assert "Check now" not in shown(support, dana.seats.get())
    answer = send(support, dana.seats.get(), "check_account")
    assert "takes no orders, so no account is read there" in answer.content.decode()
    obey(town, settings)
    answer = send(support, dana.seats.get(), "check_account")
    assert "No account was ordered there yet." in answer.content.decode()
    reconcile.enqueue(dana, reason="test")
    town.work()
    town.fault("nextcloud", "down")
    answer = send(support, dana.seats.get(), "check_account")
    assert not done(answer)
    assert "did not answer when asked to read account" in answer.content.decode()
    assert send(staff("viewer"), dana.seats.get(), "check_account").status_code == 403
