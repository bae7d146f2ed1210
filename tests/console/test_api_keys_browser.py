"""An API key in a browser: made by the dialog, shown once in its place, used, and revoked on a small dark screen."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.operations.models import CustomerApiKey
from tests.console.test_actions import next_month
from tests.console.test_timeline_browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.mark.long
def test_a_key_is_made_shown_once_and_revoked(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    page = open_page(browser, live_server.url, staff("admin"), viewport={"width": 1440, "height": 1000})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(live_server.url + reverse("admin:operations_customerapikey_changelist"))
    page.screenshot(path=tmp_path / "empty.png", full_page=True)
    page.get_by_role("link", name="Make an API key").click()
    page.get_by_label("Which system").fill("Support desk")
    page.get_by_label("Last day").fill(next_month())
    page.get_by_label("Reason").fill("The support desk shows plans")
    page.screenshot(path=tmp_path / "dialog.png", full_page=True)
    page.get_by_role("button", name="Make an API key").click()
    shown = page.get_by_role("textbox", name="Key", exact=True)
    expect(shown).to_be_focused()
    page.screenshot(path=tmp_path / "made.png", full_page=True)
    text = shown.input_value()
    assert CustomerApiKey.objects.count() == 1
    url, headers = f"{live_server.url}/api/v1/customers", {"Authorization": f"Bearer {text}"}
    assert requests.get(url, headers=headers, timeout=30).status_code == 200

    page = open_page(
        browser, live_server.url, staff("admin"), viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    page.goto(live_server.url + reverse("admin:operations_customerapikey_changelist"))
    assert text not in page.content()
    assert page.evaluate(FITS)
    page.screenshot(path=tmp_path / "list-small.png", full_page=True)
    page.goto(
        live_server.url + reverse("admin:operations_customerapikey_change", args=[CustomerApiKey.objects.get().pk])
    )
    assert text not in page.content()
    page.screenshot(path=tmp_path / "key-small.png", full_page=True)
    page.get_by_role("button", name="Actions").click()
    page.screenshot(path=tmp_path / "menu-small.png", full_page=True)
    page.get_by_role("link", name="Revoke").click()
    page.get_by_label("Reason").fill("The desk has another one")
    page.screenshot(path=tmp_path / "revoke-small.png", full_page=True)
    page.get_by_role("button", name="Revoke").press("Enter")
    expect(page.get_by_text("was revoked")).to_be_visible()
    assert requests.get(url, headers=headers, timeout=30).status_code == 401
    assert complaints == []
