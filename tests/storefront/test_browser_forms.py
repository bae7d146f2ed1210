"""The checkout in a browser: all of it without JavaScript; with it, nothing that was typed and no error is lost."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.storefront.test_browser import site
from tests.storefront.test_mailbox_code import link_mailed
from tests.storefront.visitor import PAGES, VALIDATE, Visitor, code_mailed
from tests.world import World

__all__ = ["site"]
pytestmark = pytest.mark.browser


@pytest.fixture
def plain(page: Page) -> Iterator[Page]:
    """A browser without JavaScript."""
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture
def at_checkout(page: Page, site: str, settings: Any) -> Page:
    """The checkout page of somebody whose mailbox is proven."""
    key = Visitor().proven().client.session.session_key or ""
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": site}])
    page.goto(f"{site}{PAGES['checkout']}")
    return page


@pytest.mark.long
def test_a_customer_signs_up_and_pays_without_javascript(plain: Page, site: str, world: World) -> None:
    page = plain
    page.goto(f"{site}/onboarding/")
    page.get_by_label("What's your first name?").fill("Dana")
    page.get_by_role("button", name="Choose a plan").click()
    page.get_by_role("radio", name=re.compile("Personal")).check(force=True)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Continue").click()

    page.get_by_role("textbox", name="Email address").fill("nobody")
    page.get_by_role("button", name="Email me a code").click()
    expect(page.get_by_role("textbox", name="Email address")).to_be_focused()
    expect(page.locator("#email-error")).to_contain_text("enter an email address")
    page.get_by_role("textbox", name="Email address").fill("dana@example.com")
    page.get_by_role("button", name="Email me a code").click()
    page.reload()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    page.get_by_role("button", name="Send a new code").click()
    expect(page.get_by_role("status")).to_contain_text("already sent you a code")
    page.get_by_label("Code", exact=True).fill(f"Your code: {code_mailed()}.")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Confirmed", exact=True)).to_be_visible()

    page.get_by_label("Username").fill("ab")
    page.get_by_label("I accept the terms").check()
    page.get_by_role("button", name="Order and pay").click()
    expect(page.get_by_label("Username")).to_be_focused()
    page.get_by_label("Username").fill("dana")
    page.get_by_role("button", name="Order and pay").click()
    page.get_by_label("Card number").fill("4242 4242 4242 4242")
    page.get_by_label("Expires").fill("12/34")
    page.get_by_label("Security code").fill("123")
    page.get_by_label("Name on the card").fill("Dana Example")
    page.get_by_role("button", name=re.compile("^Pay €")).click()
    page.wait_for_url("**/onboarding/success/**")


@pytest.mark.long
def test_the_emails_link_goes_on_in_another_browser(plain: Page, site: str, world: World) -> None:
    visitor = Visitor().at_checkout()
    visitor.post(PAGES["checkout"], mailbox="send", email="dana@example.com")
    plain.goto(link_mailed("signup_code"))
    expect(plain.get_by_label("Code", exact=True)).to_have_value(code_mailed())
    expect(plain.get_by_role("button", name="Confirm")).to_be_focused()
    plain.get_by_role("button", name="Confirm").click()
    expect(plain.get_by_role("heading", name="Almost there, Dana")).to_be_visible()
    expect(plain.get_by_text("Confirmed", exact=True)).to_be_visible()


def test_a_late_answer_about_a_name_does_not_wipe_an_error(at_checkout: Page) -> None:
    """The check of the name answers after "Continue" has been refused."""
    page = at_checkout
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**{VALIDATE}", hold)
    with page.expect_request(f"**{VALIDATE}"):
        page.get_by_label("Username").fill("admin")
    page.get_by_label("I accept the terms").check()
    page.get_by_role("button", name="Order and pay").click()
    error = page.locator("#username-error")
    expect(error).to_contain_text("reserved")
    with page.expect_response(f"**{VALIDATE}"):
        held[0].fulfill(json={"username": {"available": True, "message": "This username is available."}})
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    expect(error).to_contain_text("reserved")
    expect(page.locator("#username-note")).to_be_empty()


def test_a_reload_and_back_lose_no_answer(at_checkout: Page) -> None:
    page = at_checkout
    page.get_by_label("Username").fill("dana")
    page.get_by_label("Last name").fill("Example")
    page.get_by_label("I accept the terms").check()
    page.reload()
    for _ in range(2):
        expect(page.get_by_label("Username")).to_have_value("dana")
        expect(page.get_by_label("Last name")).to_have_value("Example")
        expect(page.get_by_label("I accept the terms")).to_be_checked()
        page.get_by_role("button", name="Back", exact=True).click()
        page.get_by_role("button", name="Continue").click()
