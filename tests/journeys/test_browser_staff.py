"""Staff by keyboard alone, in a real browser: a subscriber moved to another instance, and one who canceled let back in."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from apps.sandbox.walk import PASSWORD, Walk
from tests.journeys.stack import STAFF, Album, Stack, Visit
from tests.journeys.test_browser_console import log_in
from tests.journeys.test_browser_recovery import KEY

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]
REASON = "The first instance is closed for repairs tonight"
TABS = 200  # more than there is to tab to on any page


@pytest.fixture
def customer(stack: Stack) -> Walk:
    """Somebody who has signed up, paid and logged in, over HTTP."""
    walk = Walk(stack.site, stack.sandbox)
    walk.sign_up()
    walk.gets_account()
    walk.log_in()
    return walk


@pytest.fixture
def canceled(stack: Stack, customer: Walk) -> Walk:
    """The same, and the subscription was ended at once."""
    subscription = customer.subscription()["id"]
    customer.world.delete(f"{stack.sandbox}/stripe/v1/subscriptions/{subscription}", auth=(KEY, "")).raise_for_status()
    customer.until("Keycloak has closed the account", lambda: not customer.account()["enabled"])
    return customer


def open_subscriber(page: Page, stack: Stack, walk: Walk) -> None:
    page.goto(f"{stack.site}/admin/accounts/userprofile/?q={walk.username}")
    page.get_by_role("link", name=walk.username).first.click()
    expect(page.get_by_role("heading", name=walk.username).first).to_be_visible()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until `wanted` has the focus."""
    expect(wanted).to_be_visible()
    for _ in range(TABS):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} cannot be reached by keyboard")


def dialog_of(page: Page, title: str) -> Locator:
    """The dialog, with its name, and with the focus in it."""
    dialog = page.get_by_role("dialog", name=title)
    expect(dialog).to_be_visible()
    expect(dialog).to_have_attribute("aria-modal", "true")
    expect(dialog.locator(":focus")).to_have_count(1)
    return dialog


def stays_inside(page: Page, dialog: Locator) -> None:
    """Tab and Shift+Tab never leave an open dialog."""
    for key in ["Tab"] * 12 + ["Shift+Tab"] * 12:
        page.keyboard.press(key)
        assert dialog.locator(":focus").count() == 1, key


def fill(page: Page, field: Locator, text: str) -> None:
    tab_to(page, field)
    page.keyboard.type(text)


def move_by_keyboard(page: Page, walk: Walk, album: Album) -> tuple[str, str]:
    """From the subscriber's page; returns the names of the old and of the new instance."""
    tab_to(page, page.get_by_role("tab", selected=True))
    while not page.locator(":focus").inner_text().startswith("Seats"):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    seats = page.get_by_role("tabpanel", name=re.compile("^Seats"))
    old = seats.get_by_role("link", name=re.compile(r"^Nextcloud \d$")).inner_text()
    album.take(page, "seats")
    move = seats.get_by_role("link", name=f"move the seat on {old}")
    tab_to(page, move)
    page.keyboard.press("Enter")
    dialog = dialog_of(page, "Move seat")
    expect(dialog.get_by_text("not the data")).to_be_visible()
    stays_inside(page, dialog)
    album.take(page, "move")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(move).to_be_focused()

    page.keyboard.press("Enter")
    dialog = dialog_of(page, "Move seat")
    choice = dialog.get_by_label("Move to")
    expect(choice).to_be_focused()
    new = "Nextcloud 1" if old == "Nextcloud 2" else "Nextcloud 2"
    page.keyboard.type(new)
    expect(choice.locator("option:checked")).to_have_text(re.compile(rf"^{new}, \d+ of 60 free$"))
    fill(page, dialog.get_by_label("Reason"), "short")
    fill(page, dialog.get_by_label("Type the username"), walk.username)
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("at least 10 characters")).to_be_visible()
    reason = dialog.get_by_label("Reason")
    expect(reason).to_be_focused()
    album.take(page, "move-refused")
    page.keyboard.press("Control+A")
    page.keyboard.type(REASON)
    tab_to(page, dialog.get_by_role("button", name="Move seat"))
    page.keyboard.press("Enter")
    return old, new


def open_tab(page: Page, name: str) -> None:
    """Open a tab of the subscriber's page, once its script has chosen the first one: a click before that is lost."""
    expect(page.get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name=re.compile(f"^{name}")).click()


@pytest.mark.long
def test_a_subscriber_is_moved_between_instances_by_keyboard(
    stack: Stack, visit: Visit, album: Album, customer: Walk
) -> None:
    page = visit(width=1440)
    log_in(page, stack)
    open_subscriber(page, stack, customer)
    old, new = move_by_keyboard(page, customer, album)

    expect(page.get_by_text(f"{customer.username} sits on {new} now.")).to_be_visible()
    line = page.get_by_role("tabpanel", name="Timeline").get_by_role("listitem").filter(has_text=REASON)
    expect(line).to_contain_text(f"by {STAFF}")
    expect(line).to_contain_text("Seat moved")
    album.take(page, "moved")
    open_tab(page, "Seats")
    expect(
        page.get_by_role("tabpanel", name=re.compile("^Seats")).get_by_role("link", name=new, exact=True)
    ).to_be_visible()

    slug = new.lower().replace(" ", "-")
    customer.until(
        "Keycloak has the new group alone", lambda: [one.rpartition("/")[2] for one in customer.groups()] == [slug]
    )
    assert customer.account()["attributes"]["nextcloud_instance"] == [slug]
    theirs = visit(width=1440)
    theirs.goto(f"{stack.site}/dashboard/")
    theirs.get_by_label("Username or email").fill(customer.username)
    theirs.get_by_label("Password").fill(PASSWORD)
    theirs.get_by_role("button", name="Sign In").click()
    expect(theirs.get_by_text(new, exact=True)).to_be_visible()
    expect(theirs.get_by_text(old, exact=True)).to_have_count(0)
    album.take(theirs, "dashboard")


def pick(page: Page, name: str) -> None:
    """An action of the Recovery menu, by keyboard; on a small screen the actions are behind a button."""
    more = page.get_by_role("button", name="Actions")
    if more.is_visible():
        tab_to(page, more)
        page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Recovery")
    tab_to(page, button)
    page.keyboard.press("Enter")
    item = page.get_by_role("link", name=name, exact=True)
    expect(item).to_be_visible()
    expect(button).not_to_be_focused()  # it goes to the first item when the menu is there
    for _ in range(6):
        if item.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("ArrowDown")
    expect(item).to_be_focused()
    page.keyboard.press("Enter")


@pytest.mark.long
def test_one_who_canceled_is_let_back_in_by_keyboard_on_a_small_dark_screen(
    stack: Stack, visit: Visit, album: Album, canceled: Walk
) -> None:
    page = visit(width=390, height=844, dark=True)
    log_in(page, stack)
    page.goto(f"{stack.site}/admin/accounts/userprofile/?access_state__exact=canceled")
    expect(page.get_by_role("link", name=canceled.username).first).to_be_visible()
    album.take(page, "canceled")
    open_subscriber(page, stack, canceled)
    album.take(page, "subscriber")

    pick(page, "Open recovery window")
    dialog = dialog_of(page, "Open recovery window")
    expect(dialog.get_by_text("The apps stay closed")).to_be_visible()
    stays_inside(page, dialog)
    album.take(page, "open-window")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Actions")).to_be_focused()

    pick(page, "Open recovery window")
    dialog = dialog_of(page, "Open recovery window")
    fill(page, dialog.get_by_label("Reason"), REASON)
    tab_to(page, dialog.get_by_role("button", name="Open recovery window"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("the apps stay closed until a payment arrives")).to_be_visible()
    canceled.until("Keycloak lets the person in", lambda: canceled.account()["enabled"])
    assert canceled.groups() == []
    album.take(page, "opened")
    page.goto(f"{stack.site}/admin/accounts/userprofile/?access_state__exact=recovering")
    expect(page.get_by_role("link", name=canceled.username).first).to_be_visible()
    album.take(page, "recovering")


@pytest.mark.long
def test_lists_and_dialogs_about_the_same_person_on_a_wide_screen(
    stack: Stack, visit: Visit, album: Album, canceled: Walk
) -> None:
    page = visit(width=1440)
    log_in(page, stack)
    page.goto(f"{stack.site}/admin/accounts/userprofile/?access_state__exact=canceled")
    expect(page.get_by_role("columnheader", name="Seat kept until")).to_be_visible()
    album.take(page, "canceled")
    open_subscriber(page, stack, canceled)
    button = page.get_by_role("button", name="Recovery")
    tab_to(page, button)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Send recovery code", exact=True)).to_be_focused()
    album.take(page, "menu")
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    pick(page, "Extend seat reservation")
    dialog = dialog_of(page, "Extend seat reservation")
    album.take(page, "keep")
    page.keyboard.type("01012999")
    fill(page, dialog.get_by_label("Reason"), REASON)
    tab_to(page, dialog.get_by_role("button", name="Extend seat reservation"))
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"The seat of {canceled.username} is kept until")).to_be_visible()
    open_tab(page, "Overrides")
    expect(page.get_by_role("link", name="lift the keep seat")).to_be_visible()
    album.take(page, "kept")
    page.get_by_role("tab", name=re.compile("^Seats")).click()
    page.get_by_role("link", name=re.compile("^release the seat")).click()
    expect(dialog_of(page, "Release seat").get_by_text("It is kept until")).to_be_visible()
    album.take(page, "release")
    page.keyboard.press("Escape")
    page.goto(f"{stack.site}/admin/instances/instance/")
    page.get_by_role("link", name="Nextcloud 1").first.click()
    album.take(page, "instance")
    page.get_by_role("link", name="Change caps").click()
    dialog = dialog_of(page, "Change caps")
    expect(dialog.get_by_text("New subscribers find room on Nextcloud.")).to_be_visible()
    page.set_viewport_size({"width": 1440, "height": 500})
    expect(dialog.get_by_role("button", name="Change caps")).to_be_in_viewport(ratio=1)
    album.take(page, "caps-in-a-low-window")
    page.set_viewport_size({"width": 1440, "height": 900})
    album.take(page, "caps")
