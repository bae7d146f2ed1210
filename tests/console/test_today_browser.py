"""The first page in a browser: drawn charts, nothing that moves while it loads, and no sideways scroll on a small dark screen."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.accounts.models import UserProfile
from apps.console import dashboard
from apps.operations import daily_figures
from tests.console.conftest import fill
from tests.console.test_timeline_browser import open_page
from tests.console.test_today import make_busy

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SHIFTS = """() => new Promise(done => { let sum = 0;
    new PerformanceObserver(list => { for (const one of list.getEntries()) if (!one.hadRecentInput) sum += one.value; })
        .observe({type: "layout-shift", buffered: true});
    setTimeout(() => done(sum), 100); })"""
COLORED = """canvas => { const context = canvas.getContext("2d");
    return context.getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0); }"""


@pytest.mark.long
def test_the_first_page_is_calm_drawn_and_fits_a_small_dark_screen(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    client = staff("admin")
    make_busy(fill(3))
    daily_figures.record()
    dashboard.forget()
    page = open_page(browser, live_server.url, client, viewport={"width": 1440, "height": 1000})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(live_server.url + reverse("admin:index"))
    charts = page.locator("canvas.chart")
    expect(charts).to_have_count(2)
    assert all(chart.evaluate(COLORED) for chart in charts.all())
    assert page.evaluate(SHIFTS) < 0.1
    page.screenshot(path=tmp_path / "today.png", full_page=True)
    page.get_by_role("link", name="Money at risk").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(2)

    for name, address in (
        ("today", reverse("admin:index")),
        ("subscribers", reverse("admin:accounts_userprofile_changelist")),
    ):
        small = open_page(browser, live_server.url, client, viewport={"width": 390, "height": 844}, color_scheme="dark")
        small.goto(live_server.url + address)
        assert small.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
        small.screenshot(path=tmp_path / f"{name}-small.png", full_page=True)
    page.goto(live_server.url + reverse("admin:accounts_userprofile_changelist"))
    page.screenshot(path=tmp_path / "subscribers.png", full_page=True)
    assert complaints == []
    assert UserProfile.objects.count() == 15
