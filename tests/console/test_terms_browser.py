"""A change of terms in a browser: the page of its preview follows the job, lists who it concerns, and saves what was seen."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.access.terms import read_terms
from apps.catalog.models import Product
from apps.core import jobs
from apps.operations import terms_preview
from apps.operations.models import TermsPreview
from tests.console.test_laws_browser import is_within_its_width
from tests.console.test_terms import DAY, plan
from tests.console.test_timeline_browser import open_page

expect.set_options(timeout=20_000)  # the machine may be busy
pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.django_db(transaction=True)]
__all__ = ["plan"]


def test_the_page_follows_the_preview_and_saves_what_was_seen(
    browser: Browser, live_server: Any, plan: Product, staff: Callable[..., Client], tmp_path: Any
) -> None:
    client = staff("admin")
    page = open_page(browser, live_server.url, client, viewport={"width": 1440, "height": 1000})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(live_server.url + reverse("admin:access_termschange_add"))
    page.get_by_label("Grace days").fill("7")
    page.get_by_label("Final expiry (days)").fill("5")
    page.get_by_label("Reason").fill("The board has decided so.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Finding out whom")).to_be_visible()
    page.screenshot(path=tmp_path / "counting.png", full_page=True)
    row = TermsPreview.objects.get()
    terms_preview.run_preview(str(row.pk))
    expect(page.get_by_role("heading", name="This changes something for 3 people")).to_be_visible()
    expect(page.get_by_role("link", name="person-2")).to_be_visible()
    page.screenshot(path=tmp_path / "ready.png", full_page=True)

    small = open_page(browser, live_server.url, client, viewport={"width": 390, "height": 844}, color_scheme="dark")
    small.goto(page.url)
    expect(small.get_by_text("Access then").first).to_be_attached()
    assert is_within_its_width(small)
    small.screenshot(path=tmp_path / "ready-small.png", full_page=True)

    page.locator("#preview-confirm").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("1 person loses access or what was kept for them")).to_be_visible()
    page.screenshot(path=tmp_path / "dialog.png")
    dialog.get_by_role("button", name="Save these terms").click()
    expect(page.get_by_role("status").filter(has_text="once more before the terms are saved")).to_be_visible()
    jobs.drain(limit=1)
    expect(page.get_by_text("saved these terms")).to_be_visible()
    assert read_terms().general.grace == 7 * DAY
    assert complaints == []
