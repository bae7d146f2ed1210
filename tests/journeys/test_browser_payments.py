"""Money in a real browser: staff see what a refund would take before they make it, and the page says so afterwards."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import Walk
from tests.journeys.stack import Album, Stack, Visit, reload
from tests.journeys.test_browser_console import log_in
from tests.journeys.test_browser_staff import customer, dialog_of, open_subscriber, open_tab

__all__ = ["customer"]  # the fixture

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack"), pytest.mark.long]
REASON = "The customer paid for a month too many"


def open_billing(page: Page, stack: Stack, walk: Walk, *, width: int, dark: bool, album: Album) -> None:
    log_in(page, stack)
    open_subscriber(page, stack, walk)
    open_tab(page, "Billing")
    panel = page.get_by_role("tabpanel", name=re.compile("^Billing"))
    expect(panel.get_by_text("Visa ending in 4242")).to_be_visible()
    album.take(page, f"billing-{width}{'-dark' if dark else ''}")


@pytest.mark.parametrize(
    ("width", "dark"), [(390, True), *(pytest.param(1440, dark, marks=pytest.mark.nightly) for dark in (False, True))]
)
def test_a_refund_shows_what_it_takes_and_is_made_once(
    width: int, dark: bool, stack: Stack, visit: Visit, album: Album, customer: Walk
) -> None:
    page = visit(width=width, height=900, dark=dark)
    open_billing(page, stack, customer, width=width, dark=dark, album=album)
    page.get_by_role("link", name=re.compile("^refund ch_")).click()
    dialog = dialog_of(page, "Refund")
    expect(dialog.get_by_text("Access is lost at once")).to_be_visible()
    album.take(page, f"refund-all-{width}{'-dark' if dark else ''}")
    dialog.get_by_label("Amount").fill("1")
    dialog.get_by_label("Reason").click()
    expect(dialog.get_by_text("Access is lost at once")).to_have_count(0)
    expect(dialog.get_by_text("Goes back")).to_be_visible()
    dialog.get_by_label("Reason").fill(REASON)
    album.take(page, f"refund-part-{width}{'-dark' if dark else ''}")
    dialog.get_by_role("button", name="Refund").dblclick()
    expect(page.get_by_text(f"€1 goes back to {customer.username}.")).to_be_visible()
    customer.until("the page says so", lambda: reload(page) and page.get_by_text("Partly refunded").is_visible())
    open_tab(page, "Billing")
    album.take(page, f"refunded-{width}{'-dark' if dark else ''}")
    charges = {one["id"] for one in customer.stripe("charges", customer=customer.subscription()["customer"])["data"]}
    assert [one["amount"] for one in customer.stripe("refunds", limit="100")["data"] if one["charge"] in charges] == [
        100
    ]
