"""Prices come from Stripe: staff pick one, what cannot be sold says why, and what is shown is what is charged.

oscarychen/drf-stripe-subscription#45, dj-stripe/dj-stripe#1773, stripe/stripe-node#1015 (amounts typed or guessed);
lukevella/rallly#2575 (the page and the charge differ).
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Signup
from apps.billing import price_list
from apps.catalog.models import Product, ProductPrice
from apps.core import attention
from apps.core.models import AuditEntry
from apps.onboarding import checkout_attempt
from tests.console.catalog_pages import REASON, confirm, save
from tests.storefront.test_recovery import PAY, canceled, pay, prove
from tests.storefront.visitor import ACCOUNT, PAGES, SESSION, Visitor
from tests.world import World

Staff = Callable[..., Client]
ADD = reverse("admin:catalog_productprice_add")


def stripe_product(world: World, name: str, *prices: dict[str, Any], **fields: Any) -> tuple[str, list[str]]:
    """A product that somebody made at Stripe's dashboard, with prices in euros."""
    product = world.shop.v1.products.create({"name": name, **fields}).id
    monthly: dict[str, Any] = {"currency": "eur", "recurring": {"interval": "month"}}
    made = [world.shop.v1.prices.create({"product": product, **monthly, **one}).id for one in prices]  # type: ignore[typeddict-item]
    return product, made


def choices(client: Client) -> dict[str, str]:
    """What the form offers: id to text."""
    field = client.get(ADD).context["adminform"].form.fields["stripe_price"]
    return {key: text for _, group in field.choices[1:] for key, text in group}


def errors(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200
    return dict(answer.context["adminform"].form.errors)


def test_staff_pick_a_price_and_type_nothing_about_it(world: World, staff: Staff) -> None:
    _, (price,) = stripe_product(world, "Team", {"unit_amount": 2_500_000_000, "recurring": {"interval": "year"}})
    client, plus = staff("admin"), Product.objects.get(slug="plus")
    ProductPrice.objects.filter(product=plus).update(is_active=False)
    assert choices(client)[price].startswith("€25,000,000 / year")
    assert world.price("personal") not in choices(client)  # it is in the catalog already

    typed = {"unit_amount": "1", "currency": "usd", "interval": "month", "stripe_price_id": "price_x"}
    assert save(client, ProductPrice, product=plus.pk, stripe_price=price, is_active="on", **typed).status_code == 302

    row = ProductPrice.objects.get(stripe_price_id=price)
    assert (row.product, row.unit_amount, row.currency, row.interval) == (plus, 2_500_000_000, "eur", "year")
    assert row.is_active
    entry = AuditEntry.objects.get(subject_kind="price", subject_id=str(row.pk))
    assert (entry.action, entry.reason, entry.after["unit_amount"]) == ("price_created", REASON, 2_500_000_000)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"unit_amount": 500, "recurring": {"interval": "week"}}, "it is charged by the week"),
        ({"unit_amount": 500, "recurring": {"interval": "month", "interval_count": 3}}, "it is charged every 3 months"),
    ],
)
def test_what_cannot_be_sold_as_it_is_cannot_be_offered_and_says_why(
    fields: dict[str, Any], why: str, world: World, staff: Staff
) -> None:
    _, (price,) = stripe_product(world, "Odd", fields)
    client, plus = staff("admin"), Product.objects.get(slug="plus")
    assert why in choices(client)[price]

    wish = {"product": plus.pk, "stripe_price": price}
    assert why in errors(save(client, ProductPrice, **wish, is_active="on"))["is_active"][0]
    assert not ProductPrice.objects.filter(stripe_price_id=price).exists()

    assert save(client, ProductPrice, **wish, is_active=None).status_code == 302  # it can be held
    row = ProductPrice.objects.get(stripe_price_id=price)
    assert why in errors(save(client, row, is_active="on"))["is_active"][0]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"unit_amount": None, "unit_amount_decimal": "0.5"}, "its amount is not a whole number of the smallest unit"),
        ({"unit_amount": None, "billing_scheme": "tiered", "tiers_mode": "graduated"}, "it is tiered"),
        ({"unit_amount": None, "custom_unit_amount": {"minimum": 100, "maximum": None}}, "customers choose its amount"),
    ],
)
def test_a_price_without_one_amount_is_never_shown_as_free(
    fields: dict[str, Any], why: str, world: World, staff: Staff
) -> None:
    _, (price,) = stripe_product(world, "Odd", {"unit_amount": 500})
    world.shop.control("edit", kind="price", id=price, fields=fields)
    assert choices(staff("admin"))[price] == f"no fixed amount / month · {price} (cannot be offered: {why})"


def test_a_one_time_price_is_no_subscription(world: World, staff: Staff) -> None:
    product = world.shop.v1.products.create({"name": "Setup"}).id
    price = world.shop.v1.prices.create({"product": product, "currency": "eur", "unit_amount": 900}).id
    answer = save(staff("admin"), ProductPrice, product=Product.objects.get(slug="plus").pk, stripe_price=price)
    assert "charged once" in errors(answer)["stripe_price"][0]


def test_only_one_price_of_a_kind_is_offered(world: World, staff: Staff) -> None:
    _, (price,) = stripe_product(world, "Plus again", {"unit_amount": 1100})
    answer = save(
        staff("admin"), ProductPrice, product=Product.objects.get(slug="plus").pk, stripe_price=price, is_active="on"
    )
    assert "offered at another price" in errors(answer)["is_active"][0]


def test_a_price_that_people_pay_already_is_shown_first(world: World, staff: Staff) -> None:
    client, dana = staff("admin"), world.subscriber("dana")
    _, (price,) = stripe_product(world, "Old plan", {"unit_amount": 700})
    (line,) = world.stripe_state(dana)["items"]["data"]
    world.shop.v1.subscriptions.update(
        dana.stripe_subscription_id or "", {"items": [{"id": line["id"], "price": price}]}
    )
    world.deliver()
    preview = save(
        client, ProductPrice, product=Product.objects.get(slug="plus").pk, stripe_price=price, is_active=None
    )
    assert (len(preview.context["found"].holders), preview.context["found"].gain) == (1, 1)
    assert confirm(client, preview).status_code == 302
    world.work()
    assert world.state(dana).attributes["has_vaultwarden"] == "true"


def test_without_stripe_the_form_says_so_and_nothing_breaks(world: World, staff: Staff) -> None:
    client = staff("admin")
    world.fault("stripe", "down")
    page = client.get(ADD)
    assert page.status_code == 200
    assert "cannot be read now" in page.content.decode()
    assert errors(client.post(ADD, {"stripe_price": "price_x", "reason": REASON}))["stripe_price"]


def test_a_new_shop_is_imported_and_nothing_is_on_sale_before_staff_say_so(world: World, staff: Staff) -> None:
    month, year = {"unit_amount": 1900}, {"unit_amount": 19000, "recurring": {"interval": "year"}}
    product, (monthly, yearly, second) = stripe_product(
        world, "Team & Family!", month, year, {"unit_amount": 2100}, description="For up to ten."
    )
    client = staff("admin")
    dialog = reverse("admin:catalog_product_import_products")
    offered = dict(client.get(dialog).context["form"].fields["products"].choices)
    assert list(offered) == [product]
    assert "€19 / month" in offered[product]

    form = {"products": [product], "reason": REASON, "_form_submitted": "1"}
    assert staff("operator").post(dialog, form).status_code == 403
    assert client.post(dialog, form).status_code == 302

    made = Product.objects.get(stripe_product_id=product)
    assert (made.slug, made.name, made.summary, made.is_active) == (
        "team_family",
        "Team & Family!",
        "For up to ten.",
        False,
    )
    prices = {row.stripe_price_id: row.is_active for row in made.prices.all()}
    assert prices in ({monthly: True, yearly: True}, {second: True, yearly: True})
    assert AuditEntry.objects.get(subject_kind="product", subject_id=str(made.pk)).action == "product_created"
    assert "is in the catalog" in client.get(dialog).content.decode()


def test_the_nightly_check_withdraws_what_was_archived_without_a_word(world: World) -> None:
    price = world.price("personal")
    world.shop.control("edit", kind="price", id=price, fields={"active": False})  # and the event is lost
    price_list.check_offered_prices("")
    assert not ProductPrice.objects.get(stripe_price_id=price).is_active
    (item,) = attention.open_items()
    assert (item.cause, item.key) == ("price_withdrawn", price)
    assert "archived at Stripe" in item.sentence


# --- what is shown is what is charged --------------------------------------------------------------------------------


def order_of(visitor: Visitor) -> Any:
    return visitor.get(PAGES["checkout"]).context["order"]


def test_an_order_that_changed_while_it_was_read_is_shown_again(world: World) -> None:
    visitor = Visitor().proven()
    order = order_of(visitor)
    old = ProductPrice.objects.get(product__slug="personal", interval="month")
    ProductPrice.objects.filter(pk=old.pk).update(is_active=False)
    world.sell(old.product, interval="month", amount=900)

    answer = visitor.api(SESSION, **ACCOUNT, order=order.digest)

    assert answer.status_code == 409
    error = answer.json()["error"]
    assert (error["code"], error["order"]["total"], error["order"]["total_text"]) == ("order_changed", 900, "€9")
    assert visitor.signup.state == Signup.State.OPEN
    assert visitor.api(SESSION, **ACCOUNT, order=error["order"]["digest"]).status_code == 200


def test_a_row_that_disagrees_with_stripe_is_corrected_before_anybody_pays(world: World) -> None:
    ProductPrice.objects.filter(stripe_price_id=world.price("personal")).update(unit_amount=100)
    visitor = Visitor().proven()
    order = order_of(visitor)
    assert order.total == 100

    answer = visitor.api(SESSION, **ACCOUNT, order=order.digest)

    assert answer.status_code == 409
    assert answer.json()["error"]["order"]["total"] == 500
    sessions = world.shop.v1.checkout.sessions.list({}).data
    assert {session.status for session in sessions} == {"expired"}
    assert visitor.api(SESSION, **ACCOUNT, order=order_of(visitor).digest).status_code == 200


def test_a_sum_that_stays_different_is_for_staff_and_nobody_pays_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adaptive pricing charges another sum than the price itself says: to fetch it again puts nothing right."""
    monkeypatch.setattr(checkout_attempt, "refresh_price", lambda _price_id: None)
    ProductPrice.objects.filter(stripe_price_id=world.price("personal")).update(unit_amount=450)
    visitor = Visitor().proven()
    answer = visitor.api(SESSION, **ACCOUNT, order=order_of(visitor).digest)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "needs_staff")
    assert "You haven't been charged" in answer.json()["error"]["message"]
    (item,) = attention.open_items()
    assert (item.cause, "Stripe would charge 500 eur" in item.sentence) == ("page_refused", True)
    assert {one.status for one in world.shop.v1.checkout.sessions.list({}).data} == {"expired"}


def test_who_comes_back_is_told_of_a_price_that_was_wrong_here(world: World) -> None:
    dana = canceled(world)
    visitor = Visitor()
    prove(visitor, dana)
    ProductPrice.objects.filter(stripe_price_id=world.price("personal")).update(unit_amount=100)
    answer = visitor.api(PAY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "order_changed")
    assert ProductPrice.objects.get(stripe_price_id=world.price("personal")).unit_amount == 500
    pay(world, visitor.api(PAY).json()["url"])
    world.deliver()
    assert world.state(dana).access == "active"
