"""Staff whose login is old log in again and find the dialog as they left it; and they see and end their sessions by keyboard."""

import pytest
from playwright.sync_api import expect

from apps.sandbox.walk import STAFF_PASSWORD, Walk
from tests.journeys.stack import Album, Stack, Visit
from tests.journeys.test_browser_console import log_in
from tests.journeys.test_browser_staff import dialog_of

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]


REASON = "The card was reported as stolen"


def test_a_dangerous_action_leads_through_the_login_back_to_the_same_dialog(
    stack: Stack, visit: Visit, album: Album, customer: Walk
) -> None:
    page = visit(width=1440)
    log_in(page, stack)
    stack.at_keycloak().control("clock", advance_seconds=600)
    page.context.clear_cookies(name="frontdesk-sid")  # the next login is single sign-on, ten minutes after the password
    page.goto(f"{stack.site}/admin/accounts/userprofile/?q={customer.username}")
    page.get_by_role("link", name=customer.username).first.click()
    page.get_by_role("button", name="Override").click()
    page.get_by_role("link", name="Hold", exact=True).click()
    dialog = dialog_of(page, "Hold")
    dialog.get_by_label("Reason").fill(REASON)
    dialog.get_by_label("Type the username").fill(customer.username)
    dialog.get_by_role("button", name="Hold").click()

    page.get_by_label("Password").fill(STAFF_PASSWORD)  # the name is Keycloak's, and cannot be changed
    page.get_by_role("button", name="Sign In").click()
    dialog = dialog_of(page, "Hold")
    expect(dialog.get_by_label("Reason")).to_have_value(REASON)
    expect(dialog.get_by_label("Type the username")).to_have_value(customer.username)
    album.take(page, "again")
    assert customer.account()["enabled"]
    dialog.get_by_role("button", name="Hold").click()
    expect(page.get_by_text(f"{customer.username} is on hold.")).to_be_visible()
    customer.until("Keycloak has closed the account", lambda: not customer.account()["enabled"])


@pytest.mark.long
@pytest.mark.parametrize(("width", "dark"), [pytest.param(1440, False, marks=pytest.mark.nightly), (390, True)])
def test_staff_end_another_session_of_theirs_by_keyboard(
    width: int, dark: bool, stack: Stack, visit: Visit, album: Album
) -> None:
    other, page = visit(width=1440), visit(width=width, dark=dark)
    for one in (other, page):
        log_in(one, stack)
    page.goto(f"{stack.site}/admin/sessions/")
    expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()
    expect(page.get_by_text("This one")).to_have_count(1)
    album.take(page, "sessions")
    page.get_by_role("button", name="End all others").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("ended.")).to_be_visible()
    album.take(page, "ended")
    other.goto(f"{stack.site}/admin/")
    expect(page.get_by_text("This one")).to_have_count(1)
