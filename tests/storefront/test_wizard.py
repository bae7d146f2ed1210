"""The wizard's pages: order, persistence, and that the shop decides what may be bought."""

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product, ProductPrice
from apps.core import clock
from apps.instances import allocation
from apps.instances.models import Instance
from apps.onboarding.basket import Shop
from tests.storefront.visitor import HOME, PAGES, Visitor

STEPS = [HOME, PAGES["plan"], PAGES["addons"], PAGES["checkout"]]
ANSWERS = [Visitor.welcome, Visitor.plan, Visitor.addons]


@pytest.mark.parametrize("asked", range(4))
@pytest.mark.parametrize("answered", range(4))
def test_a_step_opens_only_when_all_before_it_are_answered(
    shop: dict[str, Product], visitor: Visitor, answered: int, asked: int
) -> None:
    for answer in ANSWERS[:answered]:
        assert answer(visitor).status_code == 302
    page = visitor.get(STEPS[asked])
    if asked <= max(answered, 1):  # the plans are open to everybody
        assert page.status_code == 200
    else:
        assert (page.status_code, page.headers["Location"]) == (302, STEPS[answered])


def test_a_later_step_cannot_be_answered_early(shop: dict[str, Product], visitor: Visitor) -> None:
    assert visitor.addons().headers["Location"] == HOME
    assert not Signup.objects.exists()


def test_looking_at_the_welcome_page_keeps_nothing(shop: dict[str, Product], visitor: Visitor) -> None:
    assert visitor.get(HOME).status_code == 200
    assert not Signup.objects.exists()


def test_answers_survive_a_reload_and_can_be_changed(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.at_checkout()
    assert 'value="Dana"' in visitor.get(HOME).content.decode()
    visitor.welcome("Dora")
    visitor.plan("personal", "year", "support")
    visitor.addons(storage_100="3")
    assert visitor.signup.first_name == "Dora"
    assert (visitor.signup.interval, visitor.signup.basket) == (
        "year",
        {"personal": 1, "support": 1, "storage_100": 3},
    )
    assert Signup.objects.count() == 1
    page = visitor.get(PAGES["checkout"]).content.decode()
    assert "Almost there, Dora" in page
    assert "€165 a year" in page  # 50 + 70 + 3 × 15


def test_the_total_follows_the_price_table_and_never_the_form(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.welcome()
    visitor.post(PAGES["plan"], plan="personal", interval="month", price="1", unit_amount="1", amount="1")
    visitor.addons(storage_100="2", personal="0", family="1", unit_amount="1")
    order = Shop.load().order(visitor.signup)
    assert order is not None
    assert (order.total, visitor.signup.basket) == (800, {"personal": 1, "storage_100": 2})
    ProductPrice.objects.filter(product__slug="personal", interval="month").update(unit_amount=600)
    assert "€9" in visitor.get(PAGES["checkout"]).content.decode()


@pytest.mark.parametrize(
    ("plan", "interval", "addons", "sentence"),
    [
        ("", "month", [], "Please choose a plan."),
        ("nextcloud", "month", [], "Please choose a plan."),
        ("support", "month", [], "Please choose a plan."),
        ("no\x00such", "month", [], "Please choose a plan."),
        ("personal", "", [], "monthly or yearly"),
        ("personal", "week", [], "monthly or yearly"),
        ("family", "year", [], "Family is only sold monthly."),
        ("personal", "month", ["domain"], "Domain is only available with Family."),
        ("personal", "month", ["storage_100"], "no longer available"),
        ("personal", "month", ["x" * 5000], "no longer available"),
    ],
)
def test_a_choice_that_is_not_offered_is_refused_with_a_sentence(
    shop: dict[str, Product],
    visitor: Visitor,
    plan: str,
    interval: str,
    addons: list[str],
    sentence: str,
) -> None:
    visitor.welcome()
    answer = visitor.plan(plan, interval, *addons)
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert visitor.signup.basket == {}


def test_an_addon_of_a_plan_comes_with_that_plan(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.welcome()
    assert visitor.plan("family", "month", "domain").status_code == 302
    assert visitor.signup.basket == {"family": 1, "domain": 1}


@pytest.mark.parametrize("typed", ["-1", "11", "1.5", "x", "٣", "1e1", "9" * 400, "\x00"])
def test_a_quantity_out_of_bounds_is_refused_next_to_its_field(
    shop: dict[str, Product], visitor: Visitor, typed: str
) -> None:
    visitor.welcome()
    visitor.plan()
    answer = visitor.addons(storage_100=typed)
    assert answer.status_code == 400
    assert "whole number from 0 to 10" in answer.content.decode()
    assert visitor.signup.basket == {"personal": 1}


@pytest.mark.parametrize(
    "name",
    ["x" * 65, "www.spam.com", "https://a.b", "<b>", "=1+1", "a\x00b", "@you", "123"],
)
def test_a_first_name_that_is_none_is_refused(shop: dict[str, Product], visitor: Visitor, name: str) -> None:
    answer = visitor.welcome(name)
    assert answer.status_code == 400
    assert 'id="first-name-error" role="alert">P' in answer.content.decode()
    assert not Signup.objects.exists()


def test_a_full_plan_offers_the_waitlist_and_cannot_be_chosen(shop: dict[str, Product], visitor: Visitor) -> None:
    Instance.objects.update(allocated_seats=2)
    visitor.welcome()
    page = visitor.get(PAGES["plan"]).content.decode()
    assert "Full right now" in page
    assert "/onboarding/waitlist/?product=personal" in page
    answer = visitor.plan()
    assert answer.status_code == 400
    assert "is full right now" in answer.content.decode()
    assert visitor.signup.basket == {}


def test_what_is_full_is_open_to_whom_a_seat_is_kept_for(shop: dict[str, Product], visitor: Visitor) -> None:
    """On the first page as on the next ones: it was sold out to others while they paid, or they were invited."""
    visitor.at_checkout()
    buyer = UserProfile.objects.create(
        user=User.objects.create(username="dana"), email="dana@example.com", created_at=clock.now()
    )
    Signup.objects.update(profile=buyer)
    for product in Product.objects.filter(needs_instance=True):
        allocation.reserve(profile=buyer, product=product, until=clock.now() + dt.timedelta(hours=1))
    Instance.objects.update(allocated_seats=2)
    for page in (HOME, PAGES["plan"]):
        assert "/onboarding/waitlist/?product=personal" not in visitor.get(page).content.decode()
        assert "/onboarding/waitlist/?product=personal" in Visitor().get(page).content.decode()


def test_without_plans_the_site_says_so(db: None, visitor: Visitor) -> None:
    assert "not open to new customers yet" in visitor.get(HOME).content.decode()
    visitor.welcome()
    assert "No plans are available" in visitor.get(PAGES["plan"]).content.decode()


def test_without_storage_for_the_plan_the_step_is_passed(shop: dict[str, Product], visitor: Visitor) -> None:
    Product.objects.filter(slug="storage_100").update(is_active=False)
    visitor.welcome()
    assert visitor.plan().headers["Location"] == PAGES["checkout"]
    assert visitor.get(PAGES["checkout"]).status_code == 200


def test_a_plan_that_is_withdrawn_meanwhile_leads_back_to_the_plans(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.at_checkout()
    ProductPrice.objects.filter(product__slug="personal").update(is_active=False)
    assert visitor.get(PAGES["checkout"]).headers["Location"] == PAGES["plan"]


def test_a_checkout_that_ran_out_goes_on_with_the_answers_kept(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.proven()
    Signup.objects.update(state="expired")
    assert "dana@example.com" in visitor.get(PAGES["checkout"]).content.decode()
    assert Signup.objects.count() == 1  # reading changes nothing
    assert visitor.addons().status_code == 302
    fresh, old = visitor.signup, Signup.objects.get(state="expired")
    assert fresh.pk != old.pk
    assert (fresh.state, fresh.basket, fresh.email) == ("open", old.basket, "dana@example.com")
    assert fresh.email_proven_at == old.email_proven_at


def test_who_has_paid_is_led_to_the_success_page(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.proven()
    Signup.objects.update(state="paid")
    for page in STEPS[1:]:
        assert visitor.get(page).headers["Location"] == PAGES["success"]
    assert "already signed up in this browser" in visitor.get(HOME).content.decode()
    visitor.welcome("Emil")
    assert Signup.objects.count() == 2


def test_two_visitors_never_see_each_others_answers(shop: dict[str, Product]) -> None:
    one, two = Visitor(), Visitor()
    one.welcome("Dana")
    two.welcome("Emil")
    one.plan("family")
    assert two.get(PAGES["addons"]).headers["Location"] == PAGES["plan"]
    assert "Dana" not in two.get(HOME).content.decode()
    assert two.signup.basket == {}


def test_starts_are_limited_per_visitor(shop: dict[str, Product]) -> None:
    answers = [Visitor().welcome().status_code for _ in range(21)]
    assert answers == [302] * 20 + [429]
    assert Signup.objects.count() == 20


def test_the_plan_page_needs_the_same_few_queries_however_much_is_sold(
    shop: dict[str, Product], visitor: Visitor
) -> None:
    visitor.welcome()
    with CaptureQueriesContext(
        connection,
    ) as few:
        visitor.get(PAGES["plan"])
    for number in range(20):
        more = Product.objects.create(slug=f"more_{number}", name="More", placement="general")
        ProductPrice.objects.create(product=more, stripe_price_id=f"m{number}", interval="month", unit_amount=100)
    with CaptureQueriesContext(connection) as many:
        visitor.get(PAGES["plan"])
    assert len(many) == len(few) <= 8
