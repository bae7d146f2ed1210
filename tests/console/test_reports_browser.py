"""The reports in a browser: wide and narrow, light and dark, without sideways scroll; a period of one's own is chosen with the keyboard."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.catalog.models import Product
from apps.core import clock
from apps.operations.models import DailyFigure, ReportFigure
from tests.console.conftest import DAY, fill
from tests.console.test_reports import some_leave
from tests.console.test_timeline_browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def make_a_year() -> None:
    """Money of two products in two currencies, and late payments, on every fifth day of a year."""
    Product.objects.create(slug="storage", name="100 GB more", grants={"storage_gb": 100})
    today = clock.now().date()
    for ago in range(0, 360, 5):
        for about, currency, name, count, amount in (
            ("plan", "eur", "paid", 40, 123_450), ("storage", "eur", "paid", 9, 4_500), ("plan", "usd", "paid", 3, 2_100), ("", "eur", "paid", 1, 999),
            ("plan", "eur", "refunded", 1, 500), ("plan", "eur", "lost", 1, 500), ("2", "eur", "late", 3, 1_500), ("3", "eur", "late", 1, 500),
            ("", "eur", "late", 1, 500),
        ):  # fmt: skip
            ReportFigure.objects.create(
                day=today - ago * DAY, name=name, about=about, currency=currency, count=count, amount=amount + ago,
                seconds=250_000 if name == "late" and about else 0,
            )  # fmt: skip
    DailyFigure.objects.create(day=today.replace(day=1) - DAY, name="subscribers", value=240)
    some_leave()


@pytest.mark.long
def test_the_reports_fit_every_screen_and_are_used_by_keyboard(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    fill(3)
    make_a_year()
    client = staff("admin")
    for scheme, width in (("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)):
        page = open_page(
            browser, live_server.url, client, viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        complaints: list[str] = []
        page.on("pageerror", lambda error, told=complaints: told.append(str(error)))  # type: ignore[misc]
        for name in ("revenue", "churn", "recovered", "coupons"):
            page.goto(
                f"{live_server.url}{reverse(f'admin:report_{name}')}?period={'12_months' if name != 'churn' else 'this_month'}"
            )
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (
                name,
                width,
            )
            page.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png", full_page=True)
        assert complaints == []
    page.goto(live_server.url + reverse("admin:report_churn"))
    expect(page.get_by_label("From", exact=True)).to_be_hidden()
    page.get_by_role("combobox", name="Period").select_option("own")
    day = f"{clock.now().date() - DAY}"
    page.get_by_label("From", exact=True).fill(day)
    page.get_by_label("To", exact=True).fill(day)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Canceled by the subscriber: 4")).to_be_visible()
    page.get_by_role("link", name="Canceled by the subscriber: 4").press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(4)
