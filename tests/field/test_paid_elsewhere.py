"""Money of people at Stripe that no subscription here explains: one-off charges disputed, and payments of people without an account."""

from typing import Any

import pytest

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent, Subscription
from apps.core import attention
from apps.core.models import AttentionItem, AuditEntry
from tests.world import World


def items(cause: str) -> list[AttentionItem]:
    return list(AttentionItem.objects.filter(cause=cause).order_by("pk"))


def charge_once(world: World, customer: str) -> str:
    """Staff write an invoice by hand, and it is paid; the charge."""
    made = world.shop.control("invoice", customer=customer, amount=900, currency="eur")
    world.shop.v1.invoices.pay(made["id"], {"payment_method": "pm_card_visa"})
    return world.shop.v1.charges.list({"customer": customer}).data[0].id


def close(world: World, dispute: str, status: str) -> None:
    world.shop.control("close_dispute", dispute=dispute, status=status)
    world.deliver()


def audited(profile: UserProfile) -> list[str]:
    found = AuditEntry.objects.filter(subject_id=str(profile.pk), action__startswith="dispute").order_by("pk")
    return list(found.values_list("action", flat=True))


# --- disputes of what no subscription was paid with ---------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["won", "lost"])
def test_a_dispute_of_a_one_off_charge_is_told_and_takes_nothing(world: World, ends: str) -> None:
    """Sibling of case 32: andrewculver/koudoku#20."""
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    before = world.state(dana)
    opened = str(world.shop.control("dispute", charge=charge_once(world, dana.stripe_customer_id or ""))["id"])
    world.deliver()
    (item,) = items("dispute")
    assert (item.key, item.profile_ids, item.resolved_at, item.times) == (opened, [dana.pk], None, 1)
    assert "€9" in item.sentence
    close(world, opened, ends)
    item.refresh_from_db()
    assert (item.resolved_at is None) == (ends == "lost")
    assert audited(dana) == ["dispute_opened", "dispute_closed" if ends == "won" else "dispute_lost"]
    assert world.state(dana) == before
    assert Subscription.objects.get(stripe_id=dana.stripe_subscription_id).disputes == []
    assert (world.state(eve).access, world.jobs()) == ("active", [])


def test_a_lost_one_that_staff_have_closed_is_not_told_again(world: World) -> None:
    dana = world.subscriber("dana")
    opened = str(world.shop.control("dispute", charge=charge_once(world, dana.stripe_customer_id or ""))["id"])
    close(world, opened, "lost")
    attention.close(items("dispute")[-1], actor="staff:ada", reason="Written off.")
    world.shop.v1.customers.update(dana.stripe_customer_id or "", {"metadata": {"seen": "1"}})
    world.deliver()
    assert [one for one in items("dispute") if one.resolved_at is None] == []


def test_a_dispute_of_somebody_who_never_subscribed_is_told_too(world: World) -> None:
    profile = world.subscriber("dana")
    fresh = world.shop.v1.customers.create({"email": "dana@example.com"}).id
    Subscription.objects.all().delete()
    UserProfile.objects.filter(pk=profile.pk).update(stripe_customer_id=fresh)
    world.shop.control("dispute", charge=charge_once(world, fresh))
    world.deliver()
    assert [one.profile_ids for one in items("dispute")] == [[profile.pk]]


# --- people without an account -------------------------------------------------------------------------------------------


def buy_elsewhere(world: World, price: str, **form: str) -> Any:
    """A Checkout page that another program, or a payment link, opened for anybody."""
    wish: Any = {"mode": "subscription", "ui_mode": "hosted_page", "success_url": "https://shop.example.com/thanks"}
    made = world.shop.v1.checkout.sessions.create(wish | {"line_items": [{"price": price, "quantity": 2}]})
    answer = world.shop.pay({"url": str(made.url)}, **form)
    assert answer.headers["X-Sandbox-Outcome"] == "paid"
    world.deliver()
    return world.shop.v1.checkout.sessions.retrieve(made.id)


def test_who_pays_one_of_our_prices_without_an_account_is_one_item(world: World) -> None:
    dana = world.subscriber("dana")
    before = world.state(dana)
    bought = buy_elsewhere(world, world.price("personal"), email="stranger@example.com")
    (item,) = items("paid_without_account")
    assert (item.key, item.profile_ids, item.resolved_at) == (bought.customer, [], None)
    for said in (bought.customer, bought.subscription, "2 × Personal (€5 per month)", "refund €10", "invite"):
        assert said in item.sentence
    assert "@" not in item.sentence
    ours = InboundEvent.objects.filter(customer_id=bought.customer).exclude(state="ignored")
    assert set(ours.values_list("state", flat=True)) == {"not_ours"}
    assert (world.state(dana), UserProfile.objects.count(), world.jobs()) == (before, 1, [])
    world.shop.v1.subscriptions.cancel(bought.subscription)
    world.deliver()
    item.refresh_from_db()
    assert item.resolved_at is not None


def test_who_pays_another_shops_price_is_no_item(world: World) -> None:
    buy_elsewhere(world, world.shop.price(), email="stranger@example.com")
    assert AttentionItem.objects.count() == 0


def test_a_subscriber_who_pays_elsewhere_pays_twice(world: World) -> None:
    dana = world.subscriber("dana")
    buy_elsewhere(world, world.price("personal"), email="dana@example.com")
    assert items("paid_without_account") == []
    assert [one.profile_ids for one in items("second_subscription")] == [[dana.pk]]
