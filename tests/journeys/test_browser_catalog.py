"""Staff change what is sold, in a real browser: the preview says whom it touches, and on confirming it reaches them."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import Walk
from tests.journeys.stack import Album, Stack, Visit
from tests.journeys.test_browser_console import log_in
from tests.sandbox.stripe_fixture import Shop

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]
REASON = "The spring offer: more storage with Personal"


def open_product(page: Page, stack: Stack, name: str) -> None:
    page.goto(f"{stack.site}/admin/catalog/product/")
    page.get_by_role("link", name=name, exact=True).first.click()
    expect(page.locator("#id_name")).to_have_value(name)


def amount(page: Page) -> int:
    return int(page.get_by_label("Amount of number 1").input_value())


def preview(page: Page, storage: int) -> None:
    """From the form, with another number, to the preview."""
    page.get_by_label("Amount of number 1").fill(str(storage))
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="This changes what subscribers have")).to_be_visible()


@pytest.mark.long
def test_staff_see_whom_a_change_touches_go_back_and_confirm(
    stack: Stack, visit: Visit, album: Album, customer: Walk
) -> None:
    page = visit(width=1440)
    log_in(page, stack)
    open_product(page, stack, "Personal")
    album.take(page, "form")
    had = amount(page)
    preview(page, had + 50)
    album.take(page, "preview-of-a-gain")
    page.get_by_role("button", name="Back to the form").click()
    expect(page.get_by_text("Nothing has been saved yet.")).to_be_visible()
    album.take(page, "form-again")
    assert amount(page) == had + 50
    page.get_by_label("Name of number 2").fill("Members!")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("“Members!” is no name for a number.")).to_be_visible()
    album.take(page, "form-refused")
    page.get_by_label("Name of number 2").fill("")
    preview(page, had + 50)
    page.get_by_role("button", name="Confirm and save").click()
    expect(page.get_by_text(re.compile("being synced: within minutes"))).to_be_visible()
    album.take(page, "saved")
    open_product(page, stack, "Personal")
    assert amount(page) == had + 50

    preview(page, had)  # and back: the other journeys use this shop too
    album.take(page, "preview-of-a-loss")
    page.get_by_role("button", name=re.compile("Save and take it from")).click()
    expect(page.get_by_text(re.compile("being synced: within minutes"))).to_be_visible()


@pytest.mark.long
def test_a_loss_on_a_small_dark_screen(stack: Stack, visit: Visit, album: Album, customer: Walk) -> None:
    page = visit(width=390, height=844, dark=True)
    log_in(page, stack)
    open_product(page, stack, "Nextcloud")
    album.take(page, "form")
    page.get_by_label("Needs an instance").uncheck()
    page.get_by_label("An app").uncheck()
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("button", name=re.compile("Save and take it from"))).to_be_visible()
    album.take(page, "preview-of-a-loss")
    page.goto(f"{stack.site}/admin/catalog/productprice/")
    album.take(page, "prices")


def test_a_price_from_stripe_that_nobody_placed_is_placed_in_one_dialog(
    stack: Stack, visit: Visit, album: Album, customer: Walk
) -> None:
    shop = Shop(stack.sandbox)
    price = shop.price(1100, currency="eur", nickname="For an old friend")
    subscription = shop.v1.subscriptions.retrieve(customer.subscription()["id"])
    plan = next(line for line in subscription["items"]["data"] if line["price"]["unit_amount"] == 500)
    shop.v1.subscriptions.update(subscription["id"], {"items": [{"id": plan["id"], "price": price}]})

    page = visit(width=1440)
    log_in(page, stack)
    prices = f"{stack.site}/admin/catalog/productprice/"
    for _ in range(30):
        page.goto(prices)
        if page.get_by_role("heading", name="Unmapped Stripe prices").is_visible():
            break
        page.wait_for_timeout(1000)
    expect(page.get_by_role("row").filter(has_text="€11 / month")).to_contain_text("1 person")
    album.take(page, "unknown")
    page.get_by_role("link", name="Map price to product").click()
    dialog = page.locator("#dialog")
    dialog.get_by_label("Price").select_option(price)
    dialog.get_by_label("Product").select_option(label="Plus")
    dialog.get_by_label("Reason").fill("Agreed with him by telephone")
    album.take(page, "place")
    dialog.get_by_role("button", name="Map price to product").click()
    expect(page.get_by_text(re.compile("is mapped to Plus from now on; 1 person is being synced"))).to_be_visible()
    expect(page.get_by_role("heading", name="Unmapped Stripe prices")).to_be_hidden()
    customer.until("the vault is open", lambda: customer.account()["attributes"].get("has_vaultwarden") == ["true"])
