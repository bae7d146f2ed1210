"""Three people under one subscription: invited, late, paid again, one too many, and on her own at last."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Membership, UserProfile
from apps.catalog.models import Product
from apps.onboarding import people, recovery
from tests.world import World


def link_to(world: World, email: str) -> str:
    """The path of the link in the last email to an address."""
    mail = world.standin.inbox(email)[0]
    return str(re.search(r"https?://[^/\s]+(/onboarding/join/\S+)", mail["text"])[1])  # type: ignore[index]


def join(world: World, path: str, name: str) -> UserProfile:
    answer = Client().post(path, {"first_name": name.title(), "last_name": "", "username": name, "terms": "1"})
    assert answer.status_code == 302, answer.content.decode()[-3000:]
    world.deliver()
    return UserProfile.objects.get(user__username=name)


def states(world: World, *everybody: UserProfile) -> list[tuple[str, bool | None]]:
    found = [world.state(one) for one in everybody]
    return [(one.access, one.account) for one in found]


@pytest.fixture
def family(world: World) -> tuple[World, UserProfile, UserProfile, UserProfile]:
    """Dana pays for three and has invited two, who have joined."""
    Product.objects.filter(slug="plus").update(people=1, max_quantity=5)
    dana = world.subscriber("dana", plus=3)
    for name in ("mia", "ned"):
        people.invite(dana, email=f"{name}@example.com")
    world.deliver()
    mia, ned = (join(world, link_to(world, f"{name}@example.com"), name) for name in ("mia", "ned"))
    return world, dana, mia, ned


def test_one_pays_and_three_have_access(family: tuple[World, UserProfile, UserProfile, UserProfile]) -> None:
    world, dana, mia, ned = family
    others = world.subscriber("erin")
    for one in (dana, mia, ned):
        state = world.state(one)
        assert (state.access, state.account) == ("active", True)
        assert state.seats == (("nextcloud", "assigned"), ("vaultwarden", "assigned"))
        assert state.attributes["storage_gb"] == "500"
    assert UserProfile.objects.filter(stripe_customer_id__isnull=False).count() == 2
    assert mia.monthly_amount == 0
    assert "joined" in " ".join(world.mails(dana))

    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    assert states(world, dana, mia, ned, others) == [*[("suspended", False)] * 3, ("active", True)]
    assert world.notifications(mia)[-1] == "shared_paused"

    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    _pay_open_invoice(world, dana)
    assert states(world, dana, mia, ned) == [("active", True)] * 3
    assert world.notifications(mia)[-1] == "recovered"
    world.assert_laws_hold()


def test_who_does_not_fit_any_more_keeps_the_data_and_subscribes_herself(
    family: tuple[World, UserProfile, UserProfile, UserProfile],
) -> None:
    world, dana, mia, ned = family
    _change_quantity(world, dana, 2)
    assert states(world, dana, mia, ned) == [("active", True), ("active", True), ("canceled", False)]
    assert Membership.objects.get(member=ned).end == "reduced"
    assert world.state(ned).seats == (("nextcloud", "retained"), ("vaultwarden", "retained"))
    assert world.notifications(ned)[-1] == "shared_ended"
    assert "people_left" in world.notifications(dana)

    status = recovery.read_status(ned)
    assert [(one.product.slug if one.product else "", one.quantity) for one in status.items] == [("plus", 1)]
    recovery.open_window(ned, actor="customer", reason="test")
    world.deliver()
    ned.refresh_from_db()
    answer = world.shop.pay({"url": recovery.payment_url(ned), "client_secret": ""})
    assert answer.headers["X-Sandbox-Outcome"] == "paid"
    world.deliver()
    assert states(world, ned, mia) == [("active", True), ("active", True)]
    assert world.state(ned).seats == (("nextcloud", "assigned"), ("vaultwarden", "assigned"))
    world.assert_laws_hold()


def _pay_open_invoice(world: World, payer: UserProfile) -> None:
    invoices = world.shop.v1.invoices.list({"customer": payer.stripe_customer_id or "", "status": "open"})
    for one in invoices.data:
        world.shop.v1.invoices.pay(one.id)
    world.deliver()


def _change_quantity(world: World, payer: UserProfile, quantity: int) -> None:
    one: Any = world.stripe_state(payer)
    item = one["items"]["data"][0]
    world.shop.v1.subscriptions.update(one["id"], {"items": [{"id": item["id"], "quantity": quantity}]})
    world.deliver()
