"""Data Model."""

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F

from apps.accounts.models import UserProfile
from apps.catalog.models import Product, ProductPrice
from apps.instances.models import Instance
from tests.specification.people import body, logged_in
from tests.storefront.visitor import ACCOUNT, SESSION, Visitor
from tests.world import World


def test_model_product(shop: dict[str, Product]) -> None:
    Product.objects.filter(slug="personal").update(
        summary="For one person.", features=["Files", "Calendar"], highlighted=True, position=7, color="#0a6cbd"
    )
    visitor = Visitor()
    visitor.welcome()
    page = visitor.get("/onboarding/plan/").content.decode()
    assert all(text in page for text in ("For one person.", "Calendar", "Support"))  # display config, general add-on
    assert page.index('value="family"') < page.index('value="personal"')  # position
    assert "storage_100" not in page  # pricing page assignment: storage add-ons have the next page
    visitor.plan()
    assert "storage_100" in visitor.get("/onboarding/addons/").content.decode()
    refused = visitor.plan("personal", "month", "domain")  # an add-on of the plan family alone
    assert "domain" not in visitor.signup.basket
    assert refused.status_code in {302, 400}
    visitor.plan("family", "month", "domain")
    assert visitor.signup.basket == {"family": 1, "domain": 1}


def test_model_productprice(world: World) -> None:
    profile = world.subscriber("dana", interval="year", personal=1)
    price = ProductPrice.objects.get(product__slug="personal", interval="year")
    (line,) = world.stripe_state(profile)["items"]["data"]
    theirs = line["price"]
    assert (theirs["id"], theirs["unit_amount"]) == (price.stripe_price_id, price.unit_amount)
    assert theirs["recurring"]["interval"] == price.interval == "year"
    assert profile.items.get().product == price.product
    with pytest.raises(IntegrityError), transaction.atomic():
        ProductPrice.objects.create(
            product=price.product, stripe_price_id=price.stripe_price_id, interval="month", unit_amount=1
        )


def test_model_instance(world: World) -> None:
    instance = world.only_room_for(1)
    body(Visitor().proven().api(SESSION, **ACCOUNT))
    instance.refresh_from_db()
    assert (instance.allocated_seats, instance.seats.get().state) == (1, "reserved")
    assert (instance.soft_cap, instance.allocation_cap, instance.hard_cap) == (0, 1, 2)
    everywhere = Instance.objects.filter(pk=instance.pk)
    for wrong in (
        {"allocated_seats": F("hard_cap") + 1},
        {"soft_cap": F("allocation_cap")},
        {"allocation_cap": F("hard_cap")},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            everywhere.update(**wrong)


def test_model_userprofile(world: World) -> None:
    profile = world.subscriber("dana")
    (account,) = world.users("dana")
    assert profile.user.username == account["username"] == "dana"
    assert profile.keycloak_id == account["id"]
    assert account["attributes"]["onboarding_id"] == [str(profile.onboarding_id)]
    subscription = world.stripe_state(profile)
    assert (profile.stripe_customer_id, profile.stripe_subscription_id) == (
        subscription["customer"],
        subscription["id"],
    )
    assert profile.subscription_status == subscription["status"] == "active"
    assert not profile.user.has_usable_password()
    with pytest.raises(IntegrityError), transaction.atomic():
        UserProfile.objects.create(user=profile.user, email="x@example.com", created_at=profile.created_at)


def test_model_usersubscriptionitem(world: World) -> None:
    profile = world.subscriber("dana", personal=1, storage_100=3)
    lines = world.stripe_state(profile)["items"]["data"]
    theirs = {(line["id"], line["price"]["id"], line["quantity"], line["price"]["unit_amount"]) for line in lines}
    ours = profile.items.values_list("stripe_item_id", "stripe_price_id", "quantity", "unit_amount")
    assert set(ours) == theirs
    assert len(theirs) == 2
    asked = len(world.requests)
    page = logged_in(profile).get("/dashboard/").content.decode()
    assert "100 GB more" in page
    assert len(world.requests) == asked  # no call of Stripe at request time
