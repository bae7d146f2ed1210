"""A plan that is sold by people: how many is chosen on the plan page, shown in every summary, and what Stripe charges."""

import html
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import Signup
from apps.catalog.models import Product
from apps.core import clock
from apps.core.errors import BadInput
from apps.onboarding import basket
from apps.onboarding.basket import Shop
from tests.storefront.test_browser import site
from tests.storefront.visitor import PAGES, Visitor

__all__ = ["site"]
pytestmark = pytest.mark.django_db


def text(answer: Any) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()))


@pytest.fixture
def family(shop: dict[str, Product]) -> Product:
    """Each person has a price, up to five."""
    Product.objects.filter(pk=shop["family"].pk).update(people=1, max_quantity=5)
    return shop["family"]


def chosen(people: str, before: dict[str, int] | None = None) -> dict[str, int]:
    signup = Signup(created_at=clock.now(), basket=before or {})
    basket.choose_plan(Shop.load(), signup, interval="month", slug="family", addons=[], people=people)
    return signup.basket


@pytest.mark.parametrize(("people", "each", "quantity"), [("1", 1, 1), ("5", 1, 5), ("4", 3, 2), ("15", 3, 5)])
def test_as_many_as_the_people_need_are_sold(family: Product, people: str, each: int, quantity: int) -> None:
    Product.objects.filter(pk=family.pk).update(people=each)
    assert chosen(people) == {"family": quantity}


@pytest.mark.parametrize("typed", ["0", "6", "-1", "1.5", "²", "many", "9" * 40])
def test_a_number_that_is_none_or_too_many_is_refused_at_the_field(family: Product, typed: str) -> None:
    with pytest.raises(BadInput, match="from 1 to 5") as refused:
        chosen(typed)
    assert refused.value.field == "people"
    visitor = Visitor()
    visitor.welcome()
    answer = visitor.post(PAGES["plan"], plan="family", interval="month", people=typed)
    assert answer.status_code == 400
    assert 'name="people"' in answer.content.decode()
    assert "from 1 to 5" in text(answer)


def test_nothing_typed_keeps_what_was_chosen_and_other_plans_have_one(family: Product) -> None:
    assert chosen("", {"family": 3}) == {"family": 3}
    assert chosen("") == {"family": 1}
    Product.objects.filter(pk=family.pk).update(people=0)
    assert chosen("4") == {"family": 1}


def test_the_choice_goes_through_all_pages_and_a_fixed_number_is_shown(family: Product) -> None:
    visitor = Visitor()
    page = text(visitor.get(PAGES["plan"]))
    assert "How many people is it for?" in page
    assert "The price is per person, for up to 5 people" in page
    assert "for 4 people" in text(visitor.get(f"{PAGES['plan']}?plan=family&interval=month&people=4"))
    visitor.post(PAGES["plan"], plan="family", interval="month", people="3")
    assert Signup.objects.get().basket == {"family": 3}
    visitor.addons()
    summary = text(visitor.get(PAGES["checkout"]))
    assert "Family for 3 people" in summary
    assert 'value="3"' in visitor.get(PAGES["plan"]).content.decode()
    Product.objects.filter(pk=family.pk).update(people=6, max_quantity=1)
    page = text(visitor.get(PAGES["plan"]))
    assert "For 6 people, each with an account of their own" in page
    assert "How many people" not in page


@pytest.mark.browser
def test_the_field_is_there_with_its_plan_and_the_total_follows(page: Page, site: str) -> None:
    Product.objects.filter(slug="plus").update(people=1, max_quantity=5)
    page.goto(f"{site}{PAGES['plan']}?plan=plus")
    field = page.get_by_label("How many people is it for?")
    expect(field).to_have_value("1")
    expect(page.get_by_role("button", name="One person fewer")).to_be_disabled()
    page.get_by_role("button", name="One more person").click()
    expect(page.locator("#order")).to_contain_text("for 2 people")
    expect(page.locator("[data-total]").first).to_have_text("€18 a month")
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_role("radio", name="Personal").check(force=True)
    expect(field).to_be_hidden()
