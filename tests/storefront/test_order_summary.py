"""What an order costs, today and then, said the same way on every page; and no price without its period."""

import datetime as dt
import html
import re
from typing import Any

import pytest

from apps.accounts.models import Signup
from apps.catalog.models import Product
from apps.core import clock
from apps.onboarding.order_summary import OrderSummary, SaleTerms, Sold, add_months, summarize
from tests.storefront.visitor import HOME, PAGES, SESSION, Visitor

NOW = dt.datetime(2026, 11, 30, 14, 5, tzinfo=dt.UTC)
SOLD = [("plus", "Plus", 1, 900), ("storage", "100 GB more", 2, 300)]


def order(interval: str = "month", sold: Any = SOLD, **terms: Any) -> OrderSummary:
    return summarize([Sold(*one) for one in sold], interval=interval, currency="eur", terms=SaleTerms(**terms), now=NOW)


def test_an_order_says_what_is_due_today_and_what_follows_from_when() -> None:
    found = order()
    assert [line.price for line in found.lines] == ["€9 a month", "€3 a month"]
    assert (found.price, found.due_today, found.next_day, found.a_month) == (
        "€12 a month",
        "€12",
        "30 December 2026",
        "",
    )
    assert found.spoken == "Your order: €12 a month. Due today: €12."


def test_a_year_is_paid_at_once_and_says_what_a_month_comes_to() -> None:
    found = order("year", [("plus", "Plus", 1, 9000)])
    assert (found.price, found.due_today, found.next_day) == ("€90 a year", "€90", "30 November 2027")
    assert found.a_month == "€7.50 a month"


def test_a_trial_is_free_until_a_day() -> None:
    found = order(trial_days=14)
    assert (found.is_trial, found.due_today, found.next_day, found.price) == (
        True,
        "€0",
        "14 December 2026",
        "€12 a month",
    )
    assert found.button == "Order: free at first, then €12 a month"


@pytest.mark.parametrize(("terms", "sentence"), [
    ({}, ""),
    ({"tax_note": "incl. 19 % VAT"}, "incl. 19 % VAT"),
    ({"taxed": True}, "You see the tax for your country before you pay."),
    ({"taxed": True, "tax_note": "incl. VAT"}, "incl. VAT"),
])  # fmt: skip
def test_the_operators_words_about_tax_come_first(terms: dict[str, Any], sentence: str) -> None:
    assert order(**terms).tax_sentence == sentence


@pytest.mark.parametrize(("language", "words"), [
    ("en-gb", "Order and pay €12 a month"),
    ("de", "Zahlungspflichtig bestellen"),
    ("fr", "Order and pay €12 a month"),
])  # fmt: skip
def test_the_button_carries_the_words_the_law_wants(language: str, words: str) -> None:
    assert order(language=language).button == words


@pytest.mark.parametrize(("moment", "count", "then"), [
    ("2027-01-31", 1, "2027-02-28"), ("2028-01-31", 1, "2028-02-29"), ("2026-12-31", 1, "2027-01-31"),
    ("2028-02-29", 12, "2029-02-28"), ("2026-08-31", 1, "2026-09-30"),
])  # fmt: skip
def test_months_are_counted_as_stripe_does(moment: str, count: int, then: str) -> None:
    """docs.stripe.com/billing/subscriptions/billing-cycle: a month without that day ends on its last."""
    assert add_months(dt.datetime.fromisoformat(moment), count) == dt.datetime.fromisoformat(then)


# --- on the pages ----------------------------------------------------------------------------------------------------

AMOUNT = re.compile(r"€\d[\d.,]*\d|€\d")


def words_of(page: str) -> str:
    body = re.sub(r"<(script|style|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def without_a_period(text: str) -> list[str]:
    """Each amount after which nothing says how often; what is due today, and what a year saves, is paid or saved once."""
    return [
        text[max(0, found.start() - 30) : found.end() + 15]
        for found in AMOUNT.finditer(text)
        if not re.match(r" (a|every) (month|year)", text[found.end() :])
        and not text[: found.start()].endswith("Due today ")
    ]


@pytest.mark.parametrize("interval", ["month", "year"])
def test_no_price_is_shown_without_its_period(
    shop: dict[str, Product], visitor: Visitor, no_limits: None, interval: str
) -> None:
    visitor.proven()
    visitor.plan("personal", interval, "support")
    visitor.addons(storage_100="3")
    for page in [HOME, *(PAGES[name] for name in ("plan", "addons", "checkout"))]:
        text = words_of(visitor.get(page).content.decode())
        assert without_a_period(text) == [], page
        assert "€" in text or page == HOME
    assert len(without_a_period("Total €5 or €9 a month, Due today €9")) == 1


def test_every_step_shows_the_same_order(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.at_checkout()
    visitor.plan("personal", "month", "support")
    visitor.addons(storage_100="2")
    for page in ("plan", "addons", "checkout"):
        text = words_of(visitor.get(PAGES[page]).content.decode())
        assert "Total €15 a month Due today €15 Then, from" in text, page
    page = visitor.get(PAGES["checkout"]).content.decode()
    assert page.index("Total") < page.index("Order and pay €15 a month")


def test_a_choice_is_tried_without_being_kept(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.at_checkout()
    before = Signup.objects.values().get()
    tried = {
        f"{PAGES['plan']}?plan=personal&interval=year&addons=support": "Total €120 a year Due today €120",
        f"{PAGES['plan']}?plan=family": "Total €12.50 a month",
        f"{PAGES['plan']}?plan=family&interval=year": "Family is only sold monthly.",
        f"{PAGES['addons']}?storage_100=4": "Total €11 a month",
        f"{PAGES['addons']}?storage_100=99": "Please enter a whole number from 0 to 10.",
    }
    for address, words in tried.items():
        answer = visitor.get(address)
        assert answer.status_code == 200
        assert words in words_of(answer.content.decode()), address
    assert Signup.objects.values().get() == before


def test_the_page_says_what_the_operator_says_about_tax(
    shop: dict[str, Product], visitor: Visitor, settings: Any
) -> None:
    settings.TAX_NOTE = "incl. 19 % VAT"
    visitor.at_checkout()
    assert "incl. 19 % VAT" in words_of(visitor.get(PAGES["checkout"]).content.decode())


def test_the_digest_of_the_page_is_the_one_the_payment_asks_for(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.proven()
    page = visitor.get(PAGES["checkout"]).content.decode()
    shown = set(re.findall(r'data-order="(\w+)"', page))
    assert len(shown) == 1
    answer = visitor.api(SESSION, username="dana", last_name="Example", terms="1", order="0" * 32)
    assert answer.json()["error"]["order"]["digest"] in shown  # type: ignore[attr-defined]


def test_a_trial_is_said_before_anybody_pays(shop: dict[str, Product], visitor: Visitor, settings: Any) -> None:
    settings.STRIPE_TRIAL_DAYS = 14
    visitor.at_checkout()
    until = (clock.now() + dt.timedelta(days=14)).strftime("%B %Y")
    text = words_of(visitor.get(PAGES["checkout"]).content.decode())
    assert re.search(rf"Due today €0 Free until \d+ {until}, then €5 a month", text)
    assert "Order: free at first, then €5 a month" in text
    settings.STRIPE_TRIAL_CARD = False
    without = words_of(visitor.get(PAGES["checkout"]).content.decode())
    card, none = "Cancel in your account before", "You don't need a card now."
    assert [(card in one, none in one) for one in (text, without)] == [(True, False), (False, True)]
