"""The first page has plans and prices before any question; a link leads to a plan; the name may wait for the account."""

import re
from typing import Any

import pytest

from apps.accounts.models import Signup
from apps.catalog.models import Product, ProductPrice
from apps.instances.models import Instance
from apps.onboarding.basket import Shop
from apps.storefront.plan_comparison import Cell, compare_plans
from tests.storefront.visitor import ACCOUNT, HOME, PAGES, SESSION, Visitor
from tests.world import World

PLAN = PAGES["plan"]


def text(visitor: Visitor, address: str) -> str:
    """What one reads there."""
    return " ".join(re.sub(r"<[^>]*>", " ", visitor.get(address).content.decode()).split())


def checked(visitor: Visitor, address: str) -> list[str]:
    """What is selected there."""
    found = re.findall(r'<input type="(?:radio|checkbox)"[^>]*\bchecked', visitor.get(address).content.decode())
    return [re.findall(r'value="([^"]*)"', one)[0] for one in found]


def test_the_first_page_has_the_prices_and_a_button_for_each_plan(shop: dict[str, Product], visitor: Visitor) -> None:
    page = visitor.get(HOME).content.decode()
    assert page.index("€12.50") < page.index('name="first_name"')
    for plan in ("personal", "family"):
        assert re.search(rf'<button[^>]* name="plan" value="{plan}">Choose {plan.title()}</button>', page)
    assert "Save 16%" in page  # €10 of €60
    assert not Signup.objects.exists()


def test_the_saving_on_the_switch_is_true_of_all_plans(shop: dict[str, Product], visitor: Visitor) -> None:
    ProductPrice.objects.create(product=shop["family"], stripe_price_id="f", interval="year", unit_amount=14_000)
    assert "Save up to 16%" in text(visitor, HOME)


def test_plans_are_compared_by_what_they_give(shop: dict[str, Product]) -> None:
    Product.objects.filter(slug="personal").update(grants={"storage_gb": 1000})
    shop["family"].includes.add(shop["support"])
    Product.objects.filter(slug="domain").update(grants={"domains": 1})
    rows = {row.name: [value.kind for value in row.values] for row in compare_plans(Shop.load())}
    assert rows == {
        "Storage": [Cell.NUMBER, Cell.NONE],
        "Nextcloud": [Cell.INCLUDED, Cell.INCLUDED],
        "Support": [Cell.PRICED, Cell.INCLUDED],
        "Domain": [Cell.NONE, Cell.PRICED],
        "Storage 100": [Cell.PRICED, Cell.PRICED],
    }
    page = text(Visitor(), HOME)
    assert "Storage 1,000 GB Not available" in page
    assert "Support + €7 a month + €70 a year Included" in page
    Product.objects.filter(slug="family").update(is_active=False)
    assert compare_plans(Shop.load()) == []


@pytest.mark.parametrize(
    ("query", "selected"),
    [
        ("plan=personal&interval=year", ["year", "personal"]),
        ("plan=family", ["month", "family"]),
        ("plan=family&interval=year", ["year", "family"]),  # which the page says is sold by the month alone
        ("interval=year", ["year", "personal"]),
        ("plan=nothing&interval=week", ["month", "personal"]),
        ("plan=%00&interval=%00", ["month", "personal"]),
        ("", ["month", "personal"]),
    ],
)
def test_a_link_selects_a_plan_and_keeps_nothing(
    query: str, selected: list[str], shop: dict[str, Product], visitor: Visitor
) -> None:
    assert checked(visitor, f"{PLAN}?{query}") == selected
    assert not Signup.objects.exists()


def test_a_link_to_a_full_plan_leads_to_its_waitlist(shop: dict[str, Product], visitor: Visitor) -> None:
    Instance.objects.update(allocated_seats=2)
    assert visitor.get(f"{PLAN}?plan=family").headers["Location"] == "/onboarding/waitlist/?product=family"
    page = visitor.get(HOME).content.decode()
    assert 'href="/onboarding/waitlist/?product=family">Join the waitlist for Family</a>' in page
    assert 'name="plan"' not in page


def test_a_link_goes_before_an_earlier_choice_and_changes_it_only_when_sent(
    shop: dict[str, Product], visitor: Visitor
) -> None:
    visitor.at_checkout()
    assert checked(visitor, f"{PLAN}?plan=family") == ["month", "family"]
    assert visitor.signup.basket == {"personal": 1}
    visitor.post(f"{PLAN}?plan=family", plan="family", interval="month")
    assert visitor.signup.basket == {"family": 1}
    assert Signup.objects.count() == 1


def test_who_has_paid_can_sign_up_again_by_a_link(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.at_checkout()
    paid = visitor.signup.pk
    Signup.objects.update(state="paid")
    assert visitor.get(PLAN).headers["Location"] == PAGES["success"]
    assert checked(visitor, f"{PLAN}?plan=family") == ["month", "family"]
    visitor.post(f"{PLAN}?plan=family", plan="family", interval="month")
    assert visitor.signup.pk != paid


def test_starting_with_a_plan_is_limited_as_starting_with_a_name(shop: dict[str, Product]) -> None:
    answers = [Visitor().plan().status_code for _ in range(21)]
    assert answers == [302] * 20 + [429]
    assert Signup.objects.count() == 20


def test_a_choice_that_is_refused_starts_nothing(shop: dict[str, Product], visitor: Visitor) -> None:
    assert visitor.plan("family", "year").status_code == 400
    assert not Signup.objects.exists()


def test_the_name_is_asked_with_the_account(world: World, visitor: Visitor) -> None:
    """Nobody pays without one; and what is given first can be changed there."""
    assert visitor.post(HOME, first_name="").headers["Location"] == PLAN
    visitor.proven()
    Signup.objects.update(first_name="")
    assert "Almost there</h1>" in visitor.get(PAGES["checkout"]).content.decode()
    for body, status in (({}, 409), ({"first_name": ""}, 400), ({"first_name": "www.spam.com"}, 400)):
        answer: Any = visitor.api(SESSION, **ACCOUNT, **body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (status, "first_name")
    assert visitor.api(SESSION, **ACCOUNT, first_name=" Dora ").status_code == 200
    signup = visitor.signup
    assert (signup.first_name, signup.profile and signup.profile.user.first_name) == ("Dora", "Dora")
