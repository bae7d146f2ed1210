"""The console without a mouse: past the menu, to a page by two keys, through tabs, and back from a dialog."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from tests.console.conftest import fill
from tests.console.test_timeline_browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.django_db(transaction=True)]


def test_pages_dialogs_and_tabs_by_keyboard(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    made, client = fill(3), staff("viewer")
    page = open_page(browser, live_server.url, client, viewport={"width": 1440, "height": 1000})
    subscribers = live_server.url + reverse("admin:accounts_userprofile_changelist")
    page.goto(live_server.url + reverse("admin:index"))

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.screenshot(path=tmp_path / "skip.png")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()

    page.keyboard.press("Shift+?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    page.screenshot(path=tmp_path / "shortcuts.png")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.type("gs")
    page.wait_for_url(subscribers)

    search = page.get_by_role("textbox", name="Search this list")
    page.keyboard.press("/")
    expect(search).to_be_focused()
    page.keyboard.type("gw?")
    expect(search).to_have_value("gw?")
    assert page.url == subscribers, "letters that are typed lead nowhere"

    page.get_by_role("button", name="Keyboard shortcuts").press("Enter")
    dialog.get_by_label("Use shortcuts of single keys").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_focused()
    page.keyboard.type("gw/")
    page.keyboard.press("Shift+?")
    expect(dialog).to_be_hidden()
    expect(search).not_to_be_focused()
    page.reload()
    page.keyboard.type("gw")
    page.get_by_role("button", name="Keyboard shortcuts").press("Enter")
    dialog.get_by_label("Use shortcuts of single keys").check()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_focused()  # the dialog has given it back
    assert page.url == subscribers, "switched off, they lead nowhere"
    menu = page.get_by_role("navigation", name="Menu")
    page.get_by_role("button", name="Show or hide the menu").press("Enter")
    expect(menu).to_be_hidden()
    page.keyboard.type("gw")
    page.wait_for_url("**/onboarding/waitlistentry/**")

    page.goto(live_server.url + reverse("admin:accounts_userprofile_change", args=[made.profiles[0].pk]))
    tabs = page.get_by_role("tablist").get_by_role("tab")
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tabs.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(tabs.last).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(tabs.first).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    expect(tabs.last).to_have_attribute("aria-selected", "true")
    expect(tabs.last).to_have_attribute("tabindex", "0")
    expect(tabs.first).to_have_attribute("tabindex", "-1")
