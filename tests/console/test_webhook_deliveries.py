"""Staff see what products were told and answered, and have them told again what should be now."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.console import columns
from apps.core.models import AuditEntry
from apps.instances.models import ProductAccount, Provisioning, WebhookDelivery
from apps.instances.provisioning import accounts, resending
from apps.sandbox.receiver_account import SECRET
from tests.console.desk import REASON, dialog, done, send
from tests.instances import house
from tests.instances.products import GB
from tests.instances.receivers import ToldProduct, change, connection
from tests.instances.receivers import product as product

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
LIST = "admin:instances_webhookdelivery_changelist"
SELECTED = "admin:instances_webhookdelivery_send_orders_again"


def test_a_refused_order_is_read_and_sent_again_as_it_should_be_now(product: ToldProduct, staff: Staff) -> None:
    product.fault("http_410")
    product.order(gb=100)
    row = WebhookDelivery.objects.get()
    product.fault("ok")
    product.order(gb=500)
    product.change({"quota": 100 * GB})
    operator = staff("operator")
    page = operator.get(columns.address(row)).content.decode()
    for words in (row.message_id, "Refused", "410", "Gone", "Order: open", product.place.name, str(product.profile)):
        assert words in page
    assert SECRET.removeprefix("whsec_") not in page
    shown = staff("viewer").get(reverse(LIST), {"state__exact": "refused"}).content.decode()
    assert (f"delivery/{row.pk}/change" in shown, 'name="deliveries"' in shown) == (True, False)
    assert 'name="deliveries"' in operator.get(reverse(LIST)).content.decode()
    preview = operator.get(dialog(row, "send_order_again")).content.decode()
    assert f"Account {product.account.pk} on {product.place.slug}: Open, 500 GB" in preview
    assert send(staff("support"), row, "send_order_again").status_code == 403
    assert done(send(operator, row, "send_order_again"))
    product.work()
    assert product.has == (True, 500)
    line = AuditEntry.objects.get(action="product_order_sent_again")
    assert (line.reason, line.after["quota"]) == (REASON, 500 * GB)


def test_after_a_restore_of_the_product_all_its_accounts_become_what_they_should_be(
    product: ToldProduct, staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never says what it has, so that no check finds it. A second press begins again, and no account is told twice for that."""
    monkeypatch.setattr(resending, "SLICE", 2)
    product.fault("silent")
    product.order()
    others = house.people(3)
    for one, name, state in zip(others, ("open", "suspended", "deleted"), ("open", "suspended", "open"), strict=True):
        UserProfile.objects.filter(pk=one.pk).update(keycloak_id=f"kc-{name}")
        one.refresh_from_db()
        accounts.order(profile=one, instance=product.place.slug, state=ProductAccount.State(state), quota=GB)
    product.work()
    before = WebhookDelivery.objects.count()
    for name in ("kc-dana", "kc-open", "kc-suspended"):
        change(product.standin, name, None, product.place.slug)
    ProductAccount.objects.filter(user_id="kc-deleted").update(state="deleted")  # the backup has brought it back

    operator = staff("operator")
    shown_first = operator.get(dialog(product.place, "send_all_again")).content.decode()
    assert [words in shown_first for words in ("Open: 2", "Suspended: 1", "Deleted: 1")] == [True] * 3
    assert send(staff("support"), product.place, "send_all_again", expected="4").status_code == 403
    assert "4 accounts now, and not 3" in send(operator, product.place, "send_all_again", expected="3").content.decode()
    for _ in range(2):
        assert done(send(operator, product.place, "send_all_again", expected="4"))
    assert resending.count_waiting(product.place) == 4
    product.work()
    found = product.state["accounts"]
    assert {name: one["enabled"] for name, one in found.items()} == {
        "kc-dana": True,
        "kc-open": True,
        "kc-suspended": False,
    }
    assert (WebhookDelivery.objects.count() - before, resending.count_waiting(product.place)) == (4, 0)
    lines = AuditEntry.objects.filter(action="product_order_sent_again", subject_kind="instance")
    assert [(line.reason, line.after) for line in lines] == [(REASON, {"accounts": 4})] * 2


def test_what_cannot_be_sent_again_is_said(product: ToldProduct, staff: Staff) -> None:
    product.order()
    row, operator = WebhookDelivery.objects.get(), staff("operator")
    assert "No delivery of an order is selected." in operator.get(reverse(SELECTED)).content.decode()
    asked = {"_form_submitted": "on", "reason": REASON}
    many = "&".join(f"deliveries={number}" for number in range(51))
    assert "At most 50" in operator.post(f"{reverse(SELECTED)}?{many}", asked).content.decode()
    url = f"{reverse(SELECTED)}?deliveries={row.pk}"
    assert done(operator.post(url, asked, headers={"HX-Request": "true"}))
    assert AuditEntry.objects.filter(action="product_order_sent_again").count() == 1
    Provisioning.objects.all().delete()
    answer = send(operator, row, "send_order_again")
    assert not done(answer)
    assert "takes no webhooks now" in answer.content.decode()


def test_an_instance_is_told_by_webhooks_from_now_on(product: ToldProduct, staff: Staff) -> None:
    """No login is asked for; the product is asked first."""
    found = connection(product.standin, product.place)
    Provisioning.objects.all().delete()
    filled = {
        "kind": "webhook",
        "address": found.address,
        "login": "",
        "group": "",
        "quota_grant": "",
        "keep_days": "30",
    }
    admin = staff("admin")
    product.fault("http_410")
    refused = send(admin, product.place, "change_provisioning", **filled)
    assert (done(refused), "did not take the test (410)" in refused.content.decode()) == (False, True)
    product.fault("ok")
    assert done(send(admin, product.place, "change_provisioning", **filled))
    assert Provisioning.objects.get().login == ""
    page = admin.get(columns.address(product.place)).content.decode()
    assert f"{found.address}<" in page.replace(" ", "").replace("\n", "")
