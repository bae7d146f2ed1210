"""Objects of real Stripe accounts that are odd to us: none of them stops a reconcile, in either direction.

Each test ends with a cancellation at Stripe where it can: who stops paying loses access, however odd the objects are.
"""

import json
from typing import Any

import djstripe.models
import pytest
import requests
from django.test import Client

from apps.accounts.models import UserProfile
from apps.billing import copies, mirror_rows
from apps.billing.models import Subscription, UserSubscriptionItem
from apps.catalog.models import Product, ProductPrice
from apps.core import attention
from apps.core.models import AttentionItem
from tests.sandbox.stripe_fixture import KEY
from tests.world import World

ALL_WELL: list[str] = []


def edit(world: World, kind: str, object_id: str, **fields: Any) -> None:
    """Give an object of the stand-in another shape, with no event."""
    world.shop.control("edit", kind=kind, id=object_id, fields=fields)


def tell(world: World, kind: str, subject: dict[str, Any], suffix: str = "updated") -> None:
    """Deliver an event about an object as it is now, and run what follows."""
    template = world.shop.events()[-1]
    number = len(world.seen) + AttentionItem.objects.count()
    event = template | {"id": f"evt_{kind}_{number}", "type": f"{kind}.{suffix}", "data": {"object": subject}}
    world.seen.add(event["id"])
    assert world.post(json.dumps(event).encode()).status_code == 200
    world.work()


def at_stripe(world: World, path: str) -> dict[str, Any]:
    """An object as Stripe sends it."""
    answer = requests.get(f"{world.url}/stripe/v1/{path}", auth=(KEY, ""), timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def subscription_of(world: World, profile: UserProfile) -> dict[str, Any]:
    profile.refresh_from_db()
    return at_stripe(world, f"subscriptions/{profile.stripe_subscription_id}")


def touch(world: World, profile: UserProfile) -> None:
    """Stripe says that the subscription was updated."""
    tell(world, "customer.subscription", subscription_of(world, profile))


def change_line(world: World, profile: UserProfile, *, price: dict[str, Any] | None = None, **line: Any) -> None:
    """Change the one line of a subscription, or its price, at Stripe, and tell it."""
    subscription = subscription_of(world, profile)
    (item,) = subscription["items"]["data"]
    item = item | line | {"price": (item["price"] or {}) | (price or {})}
    edit(world, "subscription", subscription["id"], items=subscription["items"] | {"data": [item]})
    touch(world, profile)


def cancel(world: World, profile: UserProfile) -> None:
    """The subscription ends at Stripe."""
    address = f"{world.url}/stripe/v1/subscriptions/{profile.stripe_subscription_id}"
    assert requests.delete(address, auth=(KEY, ""), timeout=30).status_code == 200
    world.deliver()


def check_closed(world: World, profile: UserProfile) -> None:
    """Nothing of a cancellation is held up."""
    cancel(world, profile)
    state = world.state(profile)
    assert (state.access, state.subscription, state.account) == ("canceled", "canceled", False)
    assert world.jobs() == ALL_WELL


def causes() -> list[tuple[str, str]]:
    return sorted(attention.open_items().values_list("cause", "key"))


# --- ids ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "price_id", ["plan_FxLegacy0001", "gold-monthly-2016", "monthly8usd", "Gold, 12 Monate ü", "x" * 255]
)
def test_a_legacy_plan_id_stops_nothing(world: World, price_id: str) -> None:
    """Case 3: arlyon/async-stripe#578, #470; enupal/stripe#104, #269; MuckRock/squarelet#792."""
    dana = world.subscriber("dana")
    before = world.state(dana)
    change_line(world, dana, price={"id": price_id})
    assert world.jobs() == ALL_WELL
    assert (world.state(dana).access, world.state(dana).attributes) == ("active", before.attributes)
    assert world.state(dana).seats == before.seats
    assert [cause for cause, _ in causes()] == ["unmapped_price"]
    check_closed(world, dana)
    assert causes() == []  # nobody pays it any more


def test_a_price_with_a_chosen_id_can_be_sold_and_gives_what_it_should(world: World) -> None:
    """Case 3: an id that is in the subscription is a price, whatever it begins with."""
    personal = Product.objects.get(slug="personal")
    ProductPrice.objects.create(
        product=personal, stripe_price_id="gold-monthly-2016", interval="month", unit_amount=500, is_active=False
    )
    dana = world.subscriber("dana", plus=1)
    change_line(world, dana, price={"id": "gold-monthly-2016"})
    state = world.state(dana)
    assert state.attributes == {"has_nextcloud": "true", "nextcloud_instance": "nextcloud-1", "storage_gb": "100"}
    assert (world.jobs(), causes()) == (ALL_WELL, [])


def test_an_event_of_a_plan_like_price_asks_for_a_price(world: World) -> None:
    """Case 3: the kind is told by the event, not by the letters of the id."""
    row = ProductPrice.objects.get(stripe_price_id=world.price("plus"))
    price = at_stripe(world, f"prices/{row.stripe_price_id}")
    ProductPrice.objects.filter(pk=row.pk).update(stripe_price_id="gold")
    tell(world, "price", price | {"id": "gold"})  # Stripe has no such price: it is withdrawn, and nothing is stuck
    row.refresh_from_db()
    assert (row.is_active, world.jobs()) == (False, ALL_WELL)
    assert causes() == [("price_withdrawn", "gold")]


def test_a_canceled_line_needs_no_catalog(world: World) -> None:
    """Case 3: canceled at Stripe while its price and product are nowhere to be found."""
    dana = world.subscriber("dana")
    subscription = subscription_of(world, dana)
    (item,) = subscription["items"]["data"]
    item["price"] |= {"id": "gone", "product": "prod_gone"}
    edit(world, "subscription", subscription["id"], items=subscription["items"] | {"data": [item]})
    check_closed(world, dana)


def test_a_line_that_only_has_a_plan_is_read_from_it(world: World) -> None:
    """Case 3's sibling: objects older than prices."""
    dana = world.subscriber("dana")
    subscription = subscription_of(world, dana)
    (item,) = subscription["items"]["data"]
    plan = {
        "id": world.price("plus"),
        "object": "plan",
        "amount": 900,
        "currency": "eur",
        "interval": "month",
        "interval_count": 1,
    }
    edit(
        world,
        "subscription",
        subscription["id"],
        items=subscription["items"] | {"data": [item | {"price": None, "plan": plan}]},
    )
    touch(world, dana)
    row = UserSubscriptionItem.objects.get(profile=dana)
    assert (row.stripe_price_id, row.unit_amount, row.interval) == (world.price("plus"), 900, "month")
    assert world.state(dana).attributes["storage_gb"] == "500"
    assert world.jobs() == ALL_WELL


# --- amounts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "currency"), [(2_500_000_000, "idr"), (999_999_999_999, "huf"), (0, "eur"), (500, "xyz")]
)
def test_an_amount_of_twelve_digits_in_any_currency_is_kept(world: World, amount: int, currency: str) -> None:
    """Case 4: dj-stripe/dj-stripe#1045; polarsource/polar#10991; pretix/pretix#1650."""
    dana = world.subscriber("dana")
    edit(world, "subscription", dana.stripe_subscription_id or "", currency=currency)
    change_line(
        world, dana, price={"unit_amount": amount, "unit_amount_decimal": str(amount), "currency": currency}, quantity=1
    )
    row = UserSubscriptionItem.objects.get(profile=dana)
    assert (row.unit_amount, row.currency) == (amount, currency)
    edit(world, "price", world.price("plus"), unit_amount=amount, unit_amount_decimal=str(amount), currency=currency)
    price = ProductPrice.objects.get(stripe_price_id=world.price("plus"))
    tell(world, "price", {"id": price.stripe_price_id, "object": "price"})
    price.refresh_from_db()
    assert (price.unit_amount, price.currency) == (amount, currency)
    assert world.jobs() == ALL_WELL
    check_closed(world, dana)


NOT_SIMPLE: list[dict[str, Any]] = [
    {"unit_amount": None, "unit_amount_decimal": None, "billing_scheme": "tiered", "tiers_mode": "graduated"},
    {"unit_amount": None, "unit_amount_decimal": "0.5"},
    {"unit_amount": None, "unit_amount_decimal": None, "custom_unit_amount": {"maximum": None, "minimum": None, "preset": 500}},
    {"transform_quantity": {"divide_by": 10, "round": "up"}},
    {"billing_scheme": "by_mood"},
]  # fmt: skip
NOT_OFFERED: list[dict[str, Any]] = [
    *NOT_SIMPLE,
    {"recurring": {"interval": "month", "interval_count": 1, "meter": "mtr_1", "trial_period_days": None, "usage_type": "metered"}},
    {"recurring": {"interval": "month", "interval_count": 3, "meter": None, "trial_period_days": None, "usage_type": "licensed"}},
    {"recurring": {"interval": "quarter", "interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}},
    {"recurring": None, "type": "one_time"},
    {"active": False},
]  # fmt: skip


@pytest.mark.parametrize("shape", NOT_OFFERED, ids="-".join)
def test_a_price_that_is_not_simple_is_withdrawn_and_never_shown_as_free(
    world: World, shape: dict[str, Any], client: Client
) -> None:
    """Case 7: oscarychen/drf-stripe-subscription#45; dj-stripe/dj-stripe#1773; stripe/stripe-node#1015."""
    price = ProductPrice.objects.get(stripe_price_id=world.price("plus"))
    edit(world, "price", price.stripe_price_id, **shape)
    tell(world, "price", {"id": price.stripe_price_id, "object": "price"})
    price.refresh_from_db()
    assert not price.is_active
    assert causes() == [("price_withdrawn", price.stripe_price_id)]
    assert world.jobs() == ALL_WELL
    page = client.get("/onboarding/").content.decode()
    assert "€0" not in page

    plain = at_stripe(world, f"prices/{world.price('personal')}")
    edit(world, "price", price.stripe_price_id, **{name: plain[name] for name in shape})
    tell(world, "price", {"id": price.stripe_price_id, "object": "price"})
    price.refresh_from_db()
    assert not price.is_active  # whether to offer it again is for staff to say
    assert causes() == []


@pytest.mark.parametrize("shape", NOT_SIMPLE, ids="-".join)
def test_a_price_that_is_not_simple_is_held_with_an_unknown_amount(world: World, shape: dict[str, Any]) -> None:
    """Case 7: where it is held, its amount is not known, and the page does not say that it is free."""
    dana = world.subscriber("dana")
    before = world.state(dana)
    change_line(world, dana, price=shape)
    assert UserSubscriptionItem.objects.get(profile=dana).unit_amount is None
    assert world.state(dana) == before
    client = Client()
    client.force_login(dana.user)
    page = client.get("/dashboard/").content.decode()
    assert "as used" in page
    assert "€0" not in page
    assert world.jobs() == ALL_WELL
    check_closed(world, dana)


def test_a_price_charged_every_three_months_says_so(world: World) -> None:
    """Case 7's sibling: interval_count."""
    dana = world.subscriber("dana")
    recurring = {
        "interval": "month",
        "interval_count": 3,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
    change_line(world, dana, price={"recurring": recurring})
    client = Client()
    client.force_login(dana.user)
    page = client.get("/dashboard/").content.decode()
    assert "every 3 months" in page


def test_a_metered_line_has_no_quantity_and_counts_once(world: World) -> None:
    dana = world.subscriber("dana")
    before = world.state(dana)
    change_line(world, dana, quantity=None)
    assert world.state(dana) == before


# --- currencies --------------------------------------------------------------------------------------------------------


def test_the_currency_is_that_of_the_subscription(world: World) -> None:
    """Case 9: lukevella/rallly#2575."""
    dana = world.subscriber("dana")
    several = world.shop.price(500, currency="eur", currency_options={"usd": {"unit_amount": 550}})
    ProductPrice.objects.filter(stripe_price_id=world.price("personal")).update(stripe_price_id=several)
    edit(world, "subscription", dana.stripe_subscription_id or "", currency="usd")
    change_line(world, dana, price=at_stripe(world, f"prices/{several}"))
    row = UserSubscriptionItem.objects.get(profile=dana)
    assert (row.unit_amount, row.currency) == (550, "usd")
    client = Client()
    client.force_login(dana.user)
    page = client.get("/dashboard/").content.decode()
    assert "$5.50" in page
    assert "€5" not in page
    check_closed(world, dana)


def test_without_the_amount_in_that_currency_nothing_is_claimed(world: World) -> None:
    """Case 9."""
    dana = world.subscriber("dana")
    edit(world, "subscription", dana.stripe_subscription_id or "", currency="usd")
    touch(world, dana)
    row = UserSubscriptionItem.objects.get(profile=dana)
    assert (row.unit_amount, row.currency) == (None, "usd")
    assert world.state(dana).access == "active"
    assert world.jobs() == ALL_WELL


# --- copies ------------------------------------------------------------------------------------------------------------

DISCOUNT = {
    "id": "di_2", "object": "discount", "source": {"type": "coupon", "coupon": "co_1"}, "start": 1700000000, "end": None,
    "customer": None, "customer_account": None, "checkout_session": None, "invoice": None, "invoice_item": None,
    "promotion_code": None, "subscription": None, "subscription_item": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "fields", [{"discount": DISCOUNT}, {"discount": DISCOUNT | {"source": {"type": "coupon", "coupon": None}}}]
)
def test_a_discount_on_the_customer_stops_nothing(world: World, fields: dict[str, Any]) -> None:
    """Case 5: dj-stripe/dj-stripe#1757, #1931, #725."""
    dana = world.subscriber("dana")
    edit(world, "customer", dana.stripe_customer_id or "", **fields)
    tell(world, "customer", {"id": dana.stripe_customer_id, "object": "customer"})
    assert (world.jobs(), causes()) == (ALL_WELL, [])
    assert (
        djstripe.models.Customer.objects.get(id=dana.stripe_customer_id).stripe_data["discount"] == fields["discount"]
    )
    check_closed(world, dana)


@pytest.mark.parametrize("name", ["customer", "subscription", "invoice"])
def test_a_copy_that_fails_is_shown_and_stops_nothing(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 5: the copy's fault is shown, not fatal; it ends when a later copy works."""
    dana = world.subscriber("dana")
    works = copies._sync

    def breaks(model: Any, found: Any) -> None:
        if found["object"] == name:
            Subscription.objects.create(stripe_id=found["id"], fetched_at=None)  # breaks the transaction, too
        works(model, found)

    def breaks_together(objects: list[Any], **kept: Any) -> None:
        mirror_rows.write_rows(objects, **kept)
        Subscription.objects.create(stripe_id="sub_odd", fetched_at=None)

    monkeypatch.setattr(copies, "_sync", breaks)
    monkeypatch.setattr(copies, "write_rows", breaks_together)
    monkeypatch.setattr(copies, "_stored", lambda _given: {})  # as if each had changed
    touch(world, dana)
    (item,) = attention.open_items()
    assert (item.cause, item.key.split(" ")[0], item.profile_ids) == ("mirror_copy", name, [dana.pk])
    assert world.jobs() == ALL_WELL
    monkeypatch.setattr(copies, "_sync", works)
    monkeypatch.setattr(copies, "write_rows", mirror_rows.write_rows)
    touch(world, dana)
    assert not attention.open_items().exists()
    monkeypatch.setattr(copies, "_sync", breaks)
    monkeypatch.setattr(copies, "write_rows", breaks_together)
    check_closed(world, dana)


ODD_CUSTOMERS: list[dict[str, Any]] = [
    {"name": "x" * 5000, "description": "y" * 5000, "phone": "0" * 500},
    {"invoice_settings": None},
    {"metadata": None},
    {"currency": "zzzz", "balance": 10**15, "next_thing": {"a": [1, None]}},
    {"default_source": "card_1", "sources": {"object": "list", "data": [], "has_more": True, "url": "/v1/x"}},
    {"name": "nul\u0000 in the middle"},
]  # fmt: skip


@pytest.mark.parametrize("fields", ODD_CUSTOMERS, ids="-".join)
def test_a_customer_of_any_shape_stops_nothing(world: World, fields: dict[str, Any]) -> None:
    dana = world.subscriber("dana")
    edit(world, "customer", dana.stripe_customer_id or "", **fields)
    tell(world, "customer", {"id": dana.stripe_customer_id, "object": "customer"})
    assert world.jobs() == ALL_WELL
    assert world.state(dana).access == "active"
    assert world.inside == []
    check_closed(world, dana)


# --- facts that nobody can know -----------------------------------------------------------------------------------------


def test_a_status_that_is_new_to_us_changes_nothing_and_is_told(world: World, settings: Any) -> None:
    dana = world.subscriber("dana")
    before = world.state(dana)
    edit(world, "subscription", dana.stripe_subscription_id or "", status="on_vacation")
    touch(world, dana)
    world.sweep()
    state = world.state(dana)
    assert (state.access, state.seats, state.attributes, state.groups) == (
        "active",
        before.seats,
        before.attributes,
        before.groups,
    )
    assert (state.account, world.jobs()) == (True, ALL_WELL)
    (item,) = attention.open_items()
    assert (item.cause, item.key, item.profile_ids) == ("unknown_fact", dana.stripe_subscription_id, [dana.pk])
    assert "on_vacation" in item.sentence
    edit(world, "subscription", dana.stripe_subscription_id or "", status="active")
    touch(world, dana)
    assert (world.state(dana), causes()) == (before, [])
    edit(world, "subscription", dana.stripe_subscription_id or "", status="")
    touch(world, dana)
    assert world.state(dana).account is True
    edit(world, "subscription", dana.stripe_subscription_id or "", status="active")
    check_closed(world, dana)


def test_a_status_that_is_new_to_us_opens_nothing_either(world: World) -> None:
    dana = world.subscriber("dana")
    edit(world, "subscription", dana.stripe_subscription_id or "", status="unpaid")
    touch(world, dana)
    assert world.state(dana).access == "suspended"
    edit(world, "subscription", dana.stripe_subscription_id or "", status="reopened")
    touch(world, dana)
    state = world.state(dana)
    assert (state.access, state.account, state.attributes) == ("suspended", False, {})


def test_what_is_known_beside_an_unmapped_line_is_decided(world: World) -> None:
    """Case 3: more is given at once, less is taken only when everything is known."""
    dana = world.subscriber("dana", personal=1, storage_100=3)
    assert world.state(dana).attributes["storage_gb"] == "400"
    subscription = subscription_of(world, dana)
    plan, storage = sorted(subscription["items"]["data"], key=lambda item: item["price"]["unit_amount"], reverse=True)
    lines = [
        plan | {"price": plan["price"] | {"id": world.price("plus")}},
        storage | {"price": storage["price"] | {"id": "old"}},
    ]
    edit(world, "subscription", subscription["id"], items=subscription["items"] | {"data": lines})
    touch(world, dana)
    state = world.state(dana)
    assert state.attributes == {
        "has_nextcloud": "true", "nextcloud_instance": "nextcloud-1", "has_vaultwarden": "true",
        "vaultwarden_instance": "vaultwarden-1", "storage_gb": "500",
    }  # fmt: skip
    assert causes() == [("unmapped_price", "old")]
    edit(world, "subscription", subscription["id"], status="unpaid")
    touch(world, dana)
    assert world.state(dana).access == "suspended"


ODD_SUBSCRIPTIONS: list[dict[str, Any]] = [
    {"cancel_at": 10**15},
    {"trial_end": {}, "canceled_at": -1},
    {"created": None},
    {"description": "z" * 100_000, "metadata": {str(number): "v" * 500 for number in range(50)}},
    {"collection_method": "by_pigeon", "billing_mode": {"type": "new"}, "next_thing": [{}]},
    {"discounts": ["di_1", "di_2"], "default_tax_rates": None, "pending_update": {"expires_at": None}},
    {"default_payment_method": "pm_nowhere", "latest_invoice": None, "schedule": "sub_sched_1"},
    {"currency": None},
    {"customer_account": "acct_9", "on_behalf_of": "acct_9", "transfer_data": {"destination": "acct_9"}},
]  # fmt: skip


@pytest.mark.parametrize("fields", ODD_SUBSCRIPTIONS, ids="-".join)
def test_a_subscription_of_any_shape_stops_nothing(world: World, fields: dict[str, Any]) -> None:
    dana = world.subscriber("dana")
    before = world.state(dana)
    edit(world, "subscription", dana.stripe_subscription_id or "", **fields)
    touch(world, dana)
    assert (world.state(dana), world.jobs()) == (before, ALL_WELL)
    assert world.inside == []


def test_more_lines_than_a_page_holds_are_all_read(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=2)
    subscription = subscription_of(world, dana)
    edit(world, "subscription", subscription["id"], items=subscription["items"] | {"has_more": True})
    before = world.state(dana)
    touch(world, dana)
    assert (world.state(dana), world.jobs()) == (before, ALL_WELL)
    assert any(path.startswith("/v1/subscription_items") for _, path, _ in world.requests)
