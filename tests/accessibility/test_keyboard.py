"""Signing up and changing the plan without a pointer: each stop of the Tab key can be seen, and nothing lies over it."""

from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Locator, Page, expect

from tests.storefront.test_browser import site
from tests.storefront.visitor import code_mailed
from tests.world import World

__all__ = ["site"]
pytestmark = [pytest.mark.browser, pytest.mark.long]
MOST_STOPS = 40
# Marked itself, by its label or by what stands for it; and at its middle there is nothing else.
SEEN = """() => { const one = document.activeElement; if (one === document.body) return "";
    const box = one.getBoundingClientRect(), label = one.closest("label");
    const above = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    const marked = [one, label, one.nextElementSibling].some(part => part && getComputedStyle(part).outlineStyle !== "none");
    const free = above && (above === one || one.contains(above) || above.contains(one) || label && label.contains(above));
    return marked && free ? "" : `${marked ? "covered" : "not marked"}: ${one.outerHTML.slice(0, 200)}`; }"""


def reach(page: Page, target: Locator) -> None:
    """Press Tab until it has the focus; every stop on the way can be seen."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        assert page.evaluate(SEEN) == ""
        if target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached")


def press(page: Page, target: Locator, key: str = "Enter") -> None:
    reach(page, target)
    page.keyboard.press(key)


def follow(page: Page, target: Locator) -> None:
    """To another page."""
    reach(page, target)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def write(page: Page, target: Locator, text: str) -> None:
    reach(page, target)
    page.keyboard.type(text)


def test_a_customer_signs_up_by_keyboard_alone(page: Page, site: str) -> None:
    page.set_viewport_size({"width": 390, "height": 720})  # with the bar that stays at the bottom
    page.goto(f"{site}/onboarding/")
    press(page, page.get_by_role("link", name="Skip to content"))
    write(page, page.get_by_label("What's your first name?"), "Dana")
    follow(page, page.get_by_role("button", name="Choose a plan"))
    press(page, page.get_by_role("radio", name="Monthly"), "ArrowRight")
    expect(page.get_by_role("radio", name="Yearly")).to_be_checked()
    press(page, page.get_by_role("radio", name="Personal"), "ArrowDown")
    expect(page.get_by_role("radio", name="Plus")).to_be_checked()
    follow(page, page.get_by_role("button", name="Continue"))
    press(page, page.get_by_role("button", name="Add one: 100 GB more"))
    follow(page, page.get_by_role("button", name="Continue"))
    write(page, page.get_by_role("textbox", name="Email address"), "dana@example.com")
    follow(page, page.get_by_role("button", name="Email me a code"))
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    page.keyboard.type(code_mailed())
    expect(page.get_by_text("Confirmed", exact=True)).to_be_visible()
    write(page, page.get_by_label("Username"), "dana")
    press(page, page.get_by_label("I accept the terms"), "Space")
    press(page, page.get_by_role("button", name="Order and pay €105 a year"))
    expect(page.get_by_role("heading", name="3. Payment")).to_be_focused()


def test_a_subscriber_changes_the_plan_by_keyboard_alone(page: Page, site: str, world: World, settings: Any) -> None:
    settings.BASE_URL = "http://localhost:8000"  # what the sandbox's Keycloak accepts as a way back
    dana = world.subscriber("dana")
    settings.BASE_URL = site
    client = Client()
    client.force_login(dana.user)
    key = client.session.session_key or ""
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": site}])
    page.goto(f"{site}/dashboard/")
    follow(page, page.get_by_role("navigation", name="Your pages").get_by_role("link", name="Plan"))
    press(page, page.get_by_role("radio", name="Personal"), "ArrowDown")
    follow(page, page.get_by_role("button", name="See what it costs"))
    press(page, page.get_by_text("How today's amount is computed"))
    press(page, page.get_by_role("button", name="Change plan and pay"))
    expect(page.get_by_text("Your plan has changed.")).to_be_visible()
