"""A full product, the waitlist, an invitation, and the customer who came of it; by clicking, as visitor and as staff."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.stack import Album, Stack, Visit
from tests.journeys.test_browser_console import log_in as staff_log_in
from tests.journeys.test_browser_signup import (
    becomes_ready,
    heading,
    log_in,
    open_payment,
    pay,
    person,
    set_password,
)

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]
REASON = "There is room on the new server"


def open_instance(page: Page, stack: Stack, name: str, *, to_new_people: bool) -> None:
    """Staff let new people in to an instance, or do not."""
    page.goto(f"{stack.site}/admin/instances/instance/")
    page.get_by_role("link", name=name).first.click()
    page.get_by_role("link", name="Availability").or_(page.get_by_role("button", name="Availability")).first.click()
    dialog = page.locator("#dialog")
    expect(dialog.get_by_role("heading", name="Availability")).to_be_visible()
    expect(dialog.locator(":focus")).to_have_count(1)  # the page moves it in when the dialog is shown
    dialog.get_by_label("Reason").fill(REASON)
    switch = dialog.get_by_label("Open to new subscribers")
    if switch.is_checked() != to_new_people:
        switch.press("Space")  # a click may miss it while the dialog still moves
    expect(switch).to_be_checked(checked=to_new_people)
    dialog.get_by_role("button", name="Availability").click()
    said = "is open" if to_new_people else "is closed to new people"
    expect(page.get_by_text(re.compile(said))).to_be_visible()


@pytest.fixture
def staff(stack: Stack, visit: Visit) -> Iterator[Page]:
    """A member of staff; whatever they closed is open again at the end."""
    page = visit(width=1440)
    staff_log_in(page, stack)
    for name in ("Nextcloud 1", "Nextcloud 2"):
        open_instance(page, stack, name, to_new_people=False)
    yield page
    for name in ("Nextcloud 1", "Nextcloud 2"):
        open_instance(page, stack, name, to_new_people=True)


def join(page: Page, stack: Stack, email: str, album: Album) -> None:
    """From the plans to a confirmed place."""
    page.goto(f"{stack.site}/onboarding/")
    page.get_by_label("What's your first name?").fill("Wanda")
    page.get_by_role("button", name="Choose a plan").click()
    heading(page, "Choose your plan")
    album.take(page, "plans-full")
    page.get_by_role("link", name="Join the waitlist").first.click()
    heading(page, "Personal is full right now")
    album.take(page, "waitlist")
    page.get_by_label("Email address").fill(email)
    page.get_by_role("button", name="Join the waitlist").click()
    heading(page, "One more step")
    album.take(page, "one-more-step")
    page.goto(stack.mail(email, "confirm your place")["links"][0])
    heading(page, "Confirm your place in line")
    album.take(page, "confirm")
    page.get_by_role("button", name="Yes, join the waitlist").click()
    heading(page, "You're on the waitlist")
    expect(page.get_by_text("You're next for Personal")).to_be_visible()
    album.take(page, "on-the-list")


def invite(page: Page, stack: Stack, email: str, album: Album) -> None:
    """Staff see who is next, and ask."""
    page.goto(f"{stack.site}/admin/onboarding/waitlistentry/")
    next_ = page.get_by_role("list", name="Who is next")
    expect(next_).to_contain_text("room: invite")
    album.take(page, "console-waitlist")
    next_.get_by_role("link", name=email).click()
    page.get_by_role("link", name="Invite").or_(page.get_by_role("button", name="Invite")).first.click()
    dialog = page.locator("#dialog")
    expect(dialog.get_by_text("Nobody waits longer.")).to_be_visible()
    dialog.get_by_label("Reason").fill(REASON)
    album.take(page, "console-invite")
    dialog.get_by_role("button", name="Invite").click()
    expect(page.get_by_text(re.compile("is invited. The seat is reserved until"))).to_be_visible()
    album.take(page, "console-invited")


@pytest.mark.long
def test_from_the_waitlist_to_the_dashboard(stack: Stack, visit: Visit, album: Album, staff: Page) -> None:
    page, (username, email) = visit(width=390, height=844, dark=True), person("wanda")
    join(page, stack, email, album)
    open_instance(staff, stack, "Nextcloud 2", to_new_people=True)
    invite(staff, stack, email, album)

    page.goto(stack.mail(email, "There's room for you")["links"][0])
    heading(page, "There's room for you")
    album.take(page, "invitation")
    page.get_by_role("button", name="Sign up").click()
    page.get_by_label("What's your first name?").fill("Wanda")
    page.get_by_role("button", name=re.compile("plan")).click()
    heading(page, "Choose your plan")
    page.locator("label").filter(has=page.get_by_role("radio", name="Personal")).click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Continue").click()
    heading(page, "Almost there, Wanda")
    expect(page.get_by_text("Confirmed", exact=True)).to_be_visible()  # the mail has proven it
    pay(open_payment(page, username, album), "4242424242424242")
    becomes_ready(page, "Wanda")
    set_password(page, stack, email, album)
    page.goto(f"{stack.site}/")
    log_in(page, username, album)
    heading(page, "Hello, Wanda")
    expect(page.get_by_role("link", name="Open Nextcloud")).to_have_attribute(
        "href", "https://nextcloud-2.example.com/"
    )
    album.take(page, "dashboard")
