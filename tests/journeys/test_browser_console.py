"""Staff by clicking, in a real browser: log in, find a subscriber, have them looked at again, and see it in the timeline."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import Walk
from tests.journeys.stack import PASSWORD, STAFF, Album, Stack, Visit

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]
REASON = "The customer called: is everything as it should be?"


def log_in(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.site}/admin/")
    page.get_by_label("Username or email").fill(STAFF)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign In").click()
    page.wait_for_url(f"{stack.site}/admin/")


def open_subscriber(page: Page, stack: Stack, customer: Walk, album: Album) -> None:
    """From the list, by searching."""
    page.goto(f"{stack.site}/admin/accounts/userprofile/")
    search = page.get_by_placeholder(re.compile("^Any part of a name"))
    search.fill(customer.username)
    search.press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    album.take(page, "subscribers")
    page.get_by_role("link", name=customer.username).first.click()
    expect(page.get_by_role("heading", name=customer.username).first).to_be_visible()
    expect(page.get_by_text("In sync: no changes needed")).to_be_visible()


def test_staff_find_a_subscriber_and_sync_them(stack: Stack, visit: Visit, album: Album, customer: Walk) -> None:
    page = visit(width=1440)
    log_in(page, stack)
    album.take(page, "front-page")
    open_subscriber(page, stack, customer, album)
    album.take(page, "subscriber")

    page.get_by_role("link", name="Sync now").or_(page.get_by_role("button", name="Sync now")).first.click()
    dialog = page.locator("#dialog")  # Unfold gives it no role
    expect(dialog.get_by_role("heading", name="Sync now")).to_be_visible()
    expect(dialog.get_by_text("In sync: no changes needed")).to_be_visible()
    album.take(page, "sync-dialog")
    dialog.get_by_label("Reason").fill("short")
    dialog.get_by_role("button", name="Sync now").click()
    expect(dialog.get_by_text("at least 10 characters")).to_be_visible()
    album.take(page, "sync-dialog-refused")
    dialog.get_by_label("Reason").fill(REASON)
    dialog.get_by_role("button", name="Sync now").click()

    line = page.get_by_role("tabpanel", name="Timeline").get_by_role("listitem").filter(has_text=REASON)
    expect(line).to_contain_text(f"by {STAFF}")
    album.take(page, "subscriber-synced")


def test_the_console_on_a_small_dark_screen(stack: Stack, visit: Visit, album: Album, customer: Walk) -> None:
    page = visit(width=390, height=844, dark=True)
    log_in(page, stack)
    album.take(page, "front-page")
    open_subscriber(page, stack, customer, album)
    album.take(page, "subscriber")


def test_the_realm_doctor_by_keyboard(stack: Stack, visit: Visit, album: Album) -> None:
    """The findings load automatically; the dialog is opened, filled in and sent without a mouse, and its outcome is shown."""
    page = visit(width=390, height=844, dark=True)
    log_in(page, stack)
    page.goto(f"{stack.site}/admin/realm/")
    expect(page.locator("#realm-findings").get_by_text("completed checks passed")).to_be_visible()
    album.take(page, "doctor")
    page.locator("#realm-findings").get_by_text(re.compile("^Passed")).press("Enter")
    expect(page.get_by_text("Nobody can register on Keycloak's own page.")).to_be_visible()
    page.get_by_role("button", name="Copy the command").first.press("Enter")
    expect(page.get_by_role("button", name=re.compile("^(Copied|Selected)"))).to_be_visible()

    page.get_by_role("link", name="Send a test email").press("Enter")
    dialog = page.get_by_role("dialog", name="Send a test email")
    expect(dialog.get_by_label("To")).to_be_focused()
    dialog.get_by_label("To").fill("stranger.stan")
    dialog.get_by_label("Reason").fill("Do Keycloak's emails arrive?")
    album.take(page, "doctor-mail")
    dialog.get_by_role("button", name="Send a test email").press("Enter")
    expect(page.get_by_text("Keycloak will email stranger.stan.")).to_be_visible()
    sent = page.get_by_text("The last test email was sent.")
    for _ in range(20):
        page.get_by_role("link", name="Run checks again").press("Enter")
        page.locator("#realm-findings").get_by_text(re.compile("^Passed")).press("Enter")
        if sent.is_visible():
            break
    expect(sent).to_be_visible()
    stack.mail("stranger.stan@", "Update Your Account")
