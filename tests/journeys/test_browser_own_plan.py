"""A subscriber manages the subscription in a real browser: another plan, canceled and taken back."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import PASSWORD, Walk
from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.stack import Album, Stack, Visit, reload

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack"), pytest.mark.long]


def open_page(page: Page, stack: Stack, walk: Walk, name: str) -> None:
    """One of the subscriber's pages, by the menu."""
    page.goto(f"{stack.site}/dashboard/")
    if LoginPage(page).is_shown():
        LoginPage(page).sign_in(walk.username, PASSWORD)
    menu = page.get_by_role("navigation", name="Your pages")
    menu.get_by_role("link", name=name).click()
    expect(menu.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")


def show(page: Page, album: Album, name: str) -> None:
    size = page.viewport_size
    assert size is not None
    album.take(page, f"{name}-{size['width']}")


def read_again(page: Page, walk: Walk, what: str, words: str) -> None:
    walk.until(what, lambda: bool(reload(page)) and words in page.locator("main").inner_text())


@pytest.mark.parametrize(("width", "dark"), [pytest.param(1440, False, marks=pytest.mark.nightly), (390, True)])
def test_another_plan_then_canceled_then_taken_back(
    width: int, dark: bool, stack: Stack, visit: Visit, album: Album, customer: Walk
) -> None:
    customer.log_in()
    page = visit(width=width, height=900, dark=dark)
    open_page(page, stack, customer, "Plan")
    show(page, album, "plan")
    page.get_by_role("radio", name="Plus").check(force=True)
    page.get_by_role("spinbutton", name="GB more").fill("2")
    page.get_by_role("button", name="See what it costs").click()
    expect(page.get_by_text("Opens for you: Vaultwarden")).to_be_visible()
    page.get_by_text("How today's amount is computed").click()
    show(page, album, "preview")
    page.get_by_role("button", name=re.compile("^Change plan and pay €")).dblclick()
    expect(page.get_by_text("Your plan has changed.")).to_be_visible()
    read_again(page, customer, "the dashboard has the new plan", "Plus")
    show(page, album, "changed")
    lines = customer.subscription()["items"]["data"]
    assert sorted((one["price"]["unit_amount"], one["quantity"]) for one in lines) == [(150, 2), (900, 1)]

    page.get_by_role("link", name="Cancel subscription").click()
    show(page, album, "cancel")
    page.get_by_label("Why are you leaving?").select_option("It costs too much")
    page.get_by_role("button", name="Cancel my subscription").click()
    expect(page.get_by_text("You won't be charged again. We're emailing you a receipt.")).to_be_visible()
    read_again(page, customer, "the dashboard says when it ends", "Ends on")
    assert customer.subscription()["cancel_at_period_end"]
    show(page, album, "canceled")
    page.get_by_role("link", name="Keep my subscription").click()
    page.get_by_role("button", name="Keep my subscription").click()
    expect(page.get_by_text("Your subscription goes on as before.")).to_be_visible()
    assert not customer.subscription()["cancel_at_period_end"]
    open_page(page, stack, customer, "Invoices")
    show(page, album, "invoices")
