"""Waitlist, recovery, error pages, colours, and the headers they are sent with."""

from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client, RequestFactory

from apps.billing import intake
from apps.catalog.models import Product
from apps.instances.models import Instance
from apps.onboarding.models import WaitlistEntry
from apps.storefront import brand_colors, views_errors
from apps.storefront.templatetags.frontdesk_ui import icon, money
from tests.storefront.visitor import HOME, PAGES, WAITLIST, Visitor


def test_joining_the_waitlist_by_form_and_by_json(shop: dict[str, Product], visitor: Visitor) -> None:
    page = visitor.get("/onboarding/waitlist/?product=personal").content.decode()
    assert "There's room on Personal right now: you can sign up without waiting." in page
    assert "Join the waitlist for Personal" in page
    answer = visitor.post(WAITLIST, email="dana@example.com", product="personal")
    assert answer.headers["Location"] == "/onboarding/waitlist/"
    assert "One more step" in visitor.get("/onboarding/waitlist/").content.decode()
    assert visitor.api(WAITLIST, email="dana@example.com").json()["joined"] is True  # type: ignore[attr-defined]
    found = WaitlistEntry.objects.values_list("email", "product__slug", "state")
    assert set(found) == {
        ("dana@example.com", "personal", "waiting"),
        ("dana@example.com", None, "waiting"),
    }


def test_the_waitlist_says_whether_there_is_room(shop: dict[str, Product], visitor: Visitor) -> None:
    """There is room, in general and for a product, until all seats are taken."""
    for full in (False, True):
        if full:
            Instance.objects.update(allocated_seats=2)
        for page in ("", "?product=personal"):
            text = visitor.get(f"/onboarding/waitlist/{page}").content.decode()
            assert ("There's room" in text) is not full, (page, full)
            assert ("when there's room" in text) is full, (page, full)


def test_joining_twice_changes_nothing_and_tells_nothing(shop: dict[str, Product], visitor: Visitor) -> None:
    answers = {
        visitor.api(WAITLIST, email=email, product="personal").content.lower()
        for email in ["a@example.com", "A@example.com"]
    }
    assert len(answers) == 1
    assert WaitlistEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"email": "nope"}, "like anna@example.com"),
        ({"email": "a@example.com", "product": "nothing"}, "product doesn&#x27;t exist"),
    ],
)
def test_a_wrong_waitlist_entry_is_refused_next_to_its_field(
    shop: dict[str, Product], visitor: Visitor, form: dict[str, str], sentence: str
) -> None:
    answer = visitor.post(WAITLIST, **form)
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert not WaitlistEntry.objects.exists()


def test_every_page_is_strict_and_only_the_checkout_lets_stripe_in(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.at_checkout()
    pages = [
        HOME,
        PAGES["plan"],
        PAGES["addons"],
        PAGES["cancel"],
        PAGES["success"],
        "/onboarding/waitlist/",
        "/recovery/",
    ]
    for page in [*pages, PAGES["checkout"]]:
        answer = visitor.get(page)
        policy = answer.headers["Content-Security-Policy"]
        body = answer.content.decode()
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert " style=" not in body
        assert "<style" not in body
        assert "onclick" not in body
        assert all(" src=" in tag or tag.startswith("<script src") for tag in body.split("<script")[1:] if tag)
        assert ("js.stripe.com" in policy) == (page == PAGES["checkout"])


def test_error_pages_keep_the_look_and_need_no_database() -> None:
    request = RequestFactory().get("/")
    for answer in (
        views_errors.bad_request(request, ValueError()),
        views_errors.server_error(request),
        views_errors.csrf_failure(request),
    ):
        assert b"site.css" in answer.content
    assert (
        views_errors.csrf_failure(RequestFactory().post("/", {}, content_type="application/json")).headers[
            "Content-Type"
        ]
        == "application/json"
    )


@pytest.mark.fault("F57")
def test_while_the_database_is_away_callers_are_told_when_to_come_back(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F57: 503 and a time, never 200 without a row; faults of our own stay 500."""

    def away(error: Exception) -> Any:
        def fail(*_arguments: Any) -> None:
            raise error

        monkeypatch.setattr(intake, "read_event_body", fail)
        answer = Client(raise_request_exception=False).post("/onboarding/webhook/", b"{}", "application/json")
        return answer.status_code, answer.headers.get("Retry-After")

    assert away(OperationalError("the server closed the connection")) == (503, "10")
    assert away(InterfaceError("the connection is closed")) == (503, "10")
    assert away(RuntimeError("a fault")) == (500, None)


def test_an_unknown_page_is_a_404_in_the_same_look(db: None) -> None:
    answer = Client().get("/nothing-here/")
    assert answer.status_code == 404
    assert b"Page not found" in answer.content


@pytest.mark.parametrize("color", ["#2f5d50", "#ffffff", "#000000", "#ffcc00", "#e11d48", "#1d4ed8", "#7a7a7a"])
def test_any_brand_color_is_made_readable(color: str) -> None:
    brand = brand_colors.parse_hex(color)
    assert brand_colors.contrast_ratio(brand_colors.text_color_on(brand), brand) >= 4.5
    for ground in (brand_colors.LIGHT_BACKGROUND, brand_colors.DARK_BACKGROUND):
        on = brand_colors.parse_hex(ground)
        assert brand_colors.contrast_ratio(brand_colors.make_readable(brand, on=on), on) >= 4.5


def test_the_stylesheet_carries_brand_and_product_colors(shop: dict[str, Product], settings: object) -> None:
    Product.objects.filter(slug="nextcloud").update(color="#0a6cbd")
    answer = Client().get("/onboarding/brand.css")
    assert answer.headers["Content-Type"].startswith("text/css")
    assert b"--brand: #2f5d50" in answer.content
    assert b".tint-nextcloud { --tint: #0a6cbd; }" in answer.content


def test_money_and_icons_for_templates() -> None:
    assert [money(1250, "eur"), money(900, "eur"), money(123456, "usd"), money(500, "jpy"), money(100, "sek")] == [
        "€12.50", "€9", "$1,234.56", "¥500", "SEK 1",
    ]  # fmt: skip
    assert "#cloud" in icon("cloud")
    assert "#box" in icon('"><script>')
