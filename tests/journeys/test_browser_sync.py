"""Staff sync many in a real browser: select, see the plans, start, reload midway, and read how it went with each."""

import re
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import Walk
from tests.journeys.stack import Album, Stack, Visit, reload
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


@pytest.mark.long
def test_selected_subscribers_are_synced_and_the_bar_survives_a_reload(
    stack: Stack, visit: Visit, album: Album, customers: list[Walk]
) -> None:
    page = visit(width=1440)
    log_in(page, stack)
    page.goto(f"{stack.site}/admin/accounts/userprofile/?q=wanda")
    open_dialog(page)
    expect(dialog_of(page, "Sync selected").get_by_text("Nobody is selected")).to_be_visible()
    page.keyboard.press("Escape")

    boxes = page.locator("[name=people]")
    page.get_by_role("checkbox", name="Select all on this page").check()
    expect(boxes.and_(page.locator(":checked"))).to_have_count(boxes.count())
    page.get_by_role("checkbox", name="Select all on this page").uncheck()
    expect(boxes.and_(page.locator(":checked"))).to_have_count(0)
    select(page, stack, customers)
    album.take(page, "selected")
    open_dialog(page)
    dialog = dialog_of(page, "Sync selected")
    expect(dialog.get_by_text("Set has_nextcloud to true.")).to_be_visible()
    expect(dialog.get_by_text("In sync: no changes needed")).to_be_visible()
    stays_inside(page, dialog)
    album.take(page, "plans")
    slow(customers[0], "slow")
    fill(page, dialog.get_by_label("Reason"), REASON)
    tab_to(page, dialog.get_by_role("button", name="Sync selected"))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/admin/operations/syncrun/\d+/change/"))
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuemax", "2")
    album.take(page, "started")
    reload(page)
    expect(bar).to_have_attribute("aria-valuenow", re.compile("[01]"))
    slow(customers[0], "ok")
    expect(bar).to_have_attribute("aria-valuenow", "2")  # no reload: the page follows

    changed = page.get_by_role("row").filter(has_text=customers[0].username)
    expect(changed.get_by_text("Set has_nextcloud to true.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text=customers[1].username)).to_contain_text("No changes")
    assert customers[0].account()["attributes"]["has_nextcloud"] == ["true"]
    album.take(page, "done")
    page.get_by_role("link", name=re.compile("^Changed")).click()
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name=customers[0].username).first.click()
    look = page.get_by_role("region", name="Last sync")
    expect(look).to_contain_text("Set has_nextcloud to true.")
    album.take(page, "subscriber")


@pytest.mark.long
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
    look = page.get_by_role("region", name="Last sync")
    expect(look).to_contain_text("This card updates automatically.")
    album.take(page, "under-way")
    slow(customers[0], "ok")
    expect(look).to_contain_text("changed:")
    expect(look).to_contain_text("Set has_nextcloud to true.")
    expect(page.get_by_text("In sync: no changes needed")).to_be_visible()  # the plan was asked for anew
    album.take(page, "made-so")
    page.goto(f"{stack.site}/admin/operations/syncrun/")
    album.take(page, "runs")


def ask(stack: Stack, walks: list[Walk]) -> None:
    """The night has stopped over these; a real one asks from twenty-one on only."""
    values = stack.database or {}
    with psycopg.connect(
        host=values["POSTGRES_HOST"], port=values["POSTGRES_PORT"], user=values["POSTGRES_USER"],
        password=values["POSTGRES_PASSWORD"], dbname=values["POSTGRES_DB"],
    ) as connection:  # fmt: skip
        connection.execute(
            "INSERT INTO operations_safeguardreview (sweep, scope, state, profile_ids, with_access, job_key, opened_at, seen_at, decided_by, reason)"
            " SELECT 'reconcile_all', '', 'pending', array_agg(p.id), 30, 'periodic', now(), now(), '', ''"
            " FROM accounts_userprofile p JOIN auth_user u ON u.id = p.user_id WHERE u.username = ANY(%s)",
            [[walk.username for walk in walks]],
        )


@pytest.mark.long
def test_an_admin_looks_at_who_would_lose_access_and_confirms_by_keyboard(
    stack: Stack, visit: Visit, album: Album, customers: list[Walk]
) -> None:
    page = visit(width=1440, dark=True)
    log_in(page, stack)
    ask(stack, customers)
    alert = page.get_by_text("The nightly sweep would take access from 2 of 30 subscribers")
    for _ in range(30):  # the first page keeps its numbers for some seconds
        page.goto(f"{stack.site}/admin/")
        if alert.is_visible():
            break
        page.wait_for_timeout(500)
    expect(alert).to_be_visible()
    album.take(page, "front-page")
    tab_to(page, page.get_by_role("link", name="Review who they are"))
    page.keyboard.press("Enter")
    for walk in customers:
        expect(page.get_by_role("link", name=walk.username)).to_be_visible()
    album.take(page, "who")
    confirm = page.get_by_role("link", name="Approve revocation")
    tab_to(page, confirm)
    page.keyboard.press("Enter")
    dialog = dialog_of(page, "Approve revocation")
    stays_inside(page, dialog)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(confirm).to_be_focused()
    page.keyboard.press("Enter")
    dialog = dialog_of(page, "Approve revocation")
    fill(page, dialog.get_by_label("Reason"), REASON)
    fill(page, dialog.get_by_label("Type how many lose access"), "3")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("There are now 2 of them")).to_be_visible()
    expect(dialog.get_by_label("Type how many lose access")).to_be_focused()
    album.take(page, "refused")
    page.keyboard.press("Control+A")
    page.keyboard.type("2")
    tab_to(page, dialog.get_by_role("button", name="Approve revocation"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("The nightly sweep continues")).to_be_visible()
    expect(page.get_by_text("approved it for these subscribers")).to_be_visible()
    album.take(page, "confirmed")
