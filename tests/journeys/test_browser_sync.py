"""Staff sync many in a real browser: select, see the plans, start, reload midway, and read how it went with each."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import Walk
from tests.journeys.stack import Album, Stack, Visit
from tests.journeys.test_browser_console import log_in
from tests.journeys.test_browser_staff import dialog_of, fill, stays_inside, tab_to

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]
REASON = "After the long outage of last night"


@pytest.fixture
def customers(stack: Stack) -> list[Walk]:
    """Two who have signed up and paid; of the first somebody took an attribute away in Keycloak."""
    walks = [Walk(stack.site, stack.sandbox) for _ in range(2)]
    for walk in walks:
        walk.sign_up()
    for walk in walks:
        walk.gets_account()
    account = walks[0].account()
    del account["attributes"]["has_nextcloud"]
    write(walks[0], account)
    return walks


def write(walk: Walk, account: dict[str, Any]) -> None:
    """Somebody edits an account in Keycloak."""
    form = {"grant_type": "client_credentials", "client_id": "frontdesk-sync", "client_secret": "dev-only-sync-secret"}
    token = walk.world.post(f"{walk.keycloak_url}/realms/frontdesk/protocol/openid-connect/token", data=form).json()
    walk.world.put(
        f"{walk.keycloak_url}/admin/realms/frontdesk/users/{account['id']}",
        json=account,
        headers={"Authorization": f"Bearer {token['access_token']}"},
    ).raise_for_status()


def slow(walk: Walk, mode: str) -> None:
    """Keycloak takes its time for what the application asks of it, or no longer."""
    walk.control("control/faults", {"peer": "keycloak", "mode": mode, "path": "/admin/", "delay_ms": 1200})


def select(page: Page, stack: Stack, walks: list[Walk]) -> None:
    """By keyboard: the boxes of these in the list."""
    page.goto(f"{stack.site}/admin/accounts/userprofile/?q=wanda")
    for walk in walks:
        box = page.get_by_role("checkbox", name=f"Select {walk.username}")
        box.focus()
        page.keyboard.press("Space")
        expect(box).to_be_checked()


def open_dialog(page: Page) -> None:
    more = page.get_by_role("button", name="Actions")
    if more.is_visible():
        more.click()
    link = page.get_by_role("link", name="Sync selected")
    tab_to(page, link)
    page.keyboard.press("Enter")


def test_selected_subscribers_are_synced_and_the_bar_survives_a_reload(
    stack: Stack, visit: Visit, album: Album, customers: list[Walk]
) -> None:
    page = visit(width=1440)
    log_in(page, stack)
    page.goto(f"{stack.site}/admin/accounts/userprofile/?q=wanda")
    open_dialog(page)
    expect(dialog_of(page, "Sync selected").get_by_text("Nobody is selected")).to_be_visible()
    page.keyboard.press("Escape")

    select(page, stack, customers)
    album.take(page, "selected")
    open_dialog(page)
    dialog = dialog_of(page, "Sync selected")
    expect(dialog.get_by_text("Set has_nextcloud to true.")).to_be_visible()
    expect(dialog.get_by_text("everything is as it should be")).to_be_visible()
    stays_inside(page, dialog)
    album.take(page, "plans")
    slow(customers[0], "slow")
    fill(page, dialog.get_by_label("Reason"), REASON)
    tab_to(page, dialog.get_by_role("button", name="Sync selected"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/admin/access/syncrun/\d+/change/"))
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuemax", "2")
    album.take(page, "started")
    page.reload()
    expect(bar).to_have_attribute("aria-valuenow", re.compile("[01]"))
    slow(customers[0], "ok")
    expect(bar).to_have_attribute("aria-valuenow", "2")  # no reload: the page follows

    changed = page.get_by_role("row").filter(has_text=customers[0].username)
    expect(changed.get_by_text("Set has_nextcloud to true.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text=customers[1].username)).to_contain_text("Nothing to do")
    assert customers[0].account()["attributes"]["has_nextcloud"] == ["true"]
    album.take(page, "done")
    page.get_by_role("link", name=re.compile("^Changed")).click()
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name=customers[0].username).first.click()
    look = page.get_by_role("region", name="The last look")
    expect(look).to_contain_text("Set has_nextcloud to true.")
    album.take(page, "subscriber")


def test_a_subscribers_page_follows_its_look_on_a_small_dark_screen(
    stack: Stack, visit: Visit, album: Album, customers: list[Walk]
) -> None:
    page = visit(width=390, height=844, dark=True)
    log_in(page, stack)
    select(page, stack, customers)
    album.take(page, "selected")
    open_dialog(page)
    dialog = dialog_of(page, "Sync selected")
    expect(dialog.get_by_text("Set has_nextcloud to true.")).to_be_visible()
    album.take(page, "plans")
    page.keyboard.press("Escape")
    page.get_by_role("link", name=customers[0].username).first.click()
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("link", name="Sync now").click()
    dialog = dialog_of(page, "Sync now")
    slow(customers[0], "slow")
    dialog.get_by_label("Reason").fill(REASON)
    dialog.get_by_role("button", name="Sync now").click()
    look = page.get_by_role("region", name="The last look")
    expect(look).to_contain_text("This part of the page follows it.")
    album.take(page, "under-way")
    slow(customers[0], "ok")
    expect(look).to_contain_text("this was changed")
    expect(look).to_contain_text("Set has_nextcloud to true.")
    expect(page.get_by_text("everything is as it should be")).to_be_visible()  # the plan was asked for anew
    album.take(page, "made-so")
    page.goto(f"{stack.site}/admin/access/syncrun/")
    album.take(page, "runs")
