"""A product of another's making gets what was bought by signed webhooks: paid, more, suspended, back, gone; and erased."""

from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.core.models import AuditEntry
from apps.instances.models import WebhookDelivery
from apps.operations import privacy
from tests.instances.products import GB, account
from tests.instances.receivers import change, listen, state, told
from tests.journeys.test_products_obey import change_plan, pay_later, pay_now
from tests.world import World

SLUG = "nextcloud-1"


@pytest.fixture
def house(world: World, settings: Any) -> World:
    listen(world, settings)
    return world


def there(house: World, profile: UserProfile) -> tuple[bool, float] | None:
    return told(state(house.standin, SLUG)["accounts"].get(profile.keycloak_id))


@pytest.mark.long
def test_paid_upgraded_suspended_back_and_gone(house: World) -> None:
    dana = house.subscriber("dana")
    assert there(house, dana) == (True, 100)
    (message,) = state(house.standin, SLUG)["messages"]
    assert message["data"] == {
        "id": dana.keycloak_id, "exists": True, "enabled": True, "quota": 100 * GB, "product": "nextcloud", "instance": SLUG,
        "group": "customers", "sequence": WebhookDelivery.objects.get().pk,
    }  # fmt: skip
    change(house.standin, dana.keycloak_id, {"used": 80 * GB}, SLUG)
    change_plan(house, dana, "plus")
    assert there(house, dana) == (True, 500)
    assert (account(dana).used, account(dana).quota_found) == (80 * GB, 500 * GB)
    pay_later(house, dana)
    assert there(house, dana) == (False, 500)
    pay_now(house, dana)
    assert there(house, dana) == (True, 500)
    dana.refresh_from_db()
    house.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    house.deliver()
    house.pass_time(days=31)
    house.deliver()
    assert there(house, dana) == (False, 500)
    house.pass_time(days=31)
    house.sweep()
    assert there(house, dana) is None
    assert (account(dana).state, account(dana).exists) == ("deleted", False)
    lines = AuditEntry.objects.filter(subject_id=str(dana.pk), action="product_account_changed").order_by("pk")
    assert [(one.after.get("enabled"), one.after.get("quota")) for one in lines] == [
        (True, 100 * GB), (True, 500 * GB), (False, 500 * GB), (True, 500 * GB), (False, 500 * GB), (None, None),
    ]  # fmt: skip
    assert house.jobs() == []


def test_who_is_erased_leaves_no_line_in_the_log(house: World) -> None:
    dana = house.subscriber("dana")
    house.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    house.deliver()
    dana.refresh_from_db()
    assert WebhookDelivery.objects.count() == 2
    privacy.erase(dana, actor="staff:ada", reason="asked for by letter")
    house.work()
    assert state(house.standin, SLUG)["accounts"] == {}
    assert not WebhookDelivery.objects.exists()
