"""Somebody whose payment fails and whose emails come back: what she and staff read, state after state, with Stripe's own dates."""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from apps.core.states import AccessState
from apps.sandbox.walk import PASSWORD, Walk
from tests.faults.outage import wait_for
from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.stack import Album, Stack, Visit, running
from tests.journeys.test_browser_console import log_in
from tests.journeys.test_browser_forecast import KEY, day, period_end, read_again, short_day
from tests.journeys.test_browser_staff import dialog_of

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.xdist_group("states"), pytest.mark.timeout(900)]
DAY, GRACE_DAYS, KEPT_DAYS = 86_400, 7, 30


@pytest.fixture(scope="module")
def standin_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One of its own, since its clock is moved by months, with some days of grace."""
    with running(
        "states",
        tmp_path_factory.mktemp("states"),
        variables={"PAYMENT_GRACE_DAYS": str(GRACE_DAYS), "LIMIT_CODES_PAIR": "60/1m"},
    ) as one:
        yield one


@pytest.fixture
def walk(stack: Stack) -> Walk:
    """Somebody who has signed up, paid and logged in, and to whose address the stand-in for Mailgun delivers nothing."""
    one = Walk(stack.site, stack.sandbox, stack.env["KEYCLOAK_SERVER_URL"], stack.env["KEYCLOAK_REALM"], "Bounce")
    one.sign_up()
    one.gets_account()
    one.log_in()
    return one


def open_dashboard(page: Page, stack: Stack, walk: Walk) -> None:
    page.goto(f"{stack.site}/dashboard/")
    if LoginPage(page).is_shown():
        LoginPage(page).sign_in(walk.username, PASSWORD)
    expect(page.get_by_role("heading", name="Hello", level=1)).to_be_visible()


def open_subscriber(page: Page, stack: Stack, walk: Walk) -> None:
    """As staff, who log in again when the clock has gone on."""
    page.context.clear_cookies()
    log_in(page, stack)
    page.goto(f"{stack.site}/admin/accounts/userprofile/?q={walk.username}")
    page.get_by_role("link", name=walk.username).first.click()
    expect(page.get_by_role("heading", name=walk.username, level=2)).to_be_visible()


def reads(page: Page, sentence: str, moment: int) -> None:
    """The list of what happens next has it, with the day."""
    item = page.get_by_role("region", name="What happens next").get_by_role("listitem").filter(has_text=sentence)
    read_again(page, lambda: item.count() == 1 and day(moment) in item.inner_text())


def staff_read(page: Page, state: AccessState, label: str, moment: int) -> None:
    row = page.locator("dl div").filter(has_text=label)
    read_again(page, lambda: any(short_day(moment) in text for text in row.all_inner_texts()))
    expect(page.get_by_text(state.label, exact=True).first).to_be_visible()


def open_invoice(walk: Walk) -> dict[str, Any]:
    found = walk.stripe("invoices", subscription=walk.subscription()["id"], status="open")["data"]
    return dict(found[0])


def first_failure(walk: Walk) -> int:
    """When the bank first refused the open invoice: the moment that Stripe's event of it says."""
    told = walk.stripe("events", limit="100")["data"]
    failed = [one for one in told if one["type"] == "invoice.payment_failed"]
    return min(int(one["created"]) for one in failed if one["data"]["object"]["id"] == open_invoice(walk)["id"])


def hold(page: Page, stack: Stack, walk: Walk) -> int:
    """Staff put the person on hold to the end of the day after tomorrow; when it ends."""
    ends = (stack.now() // DAY + 3) * DAY
    page.get_by_role("button", name="Override").click()
    page.get_by_role("link", name="Hold", exact=True).click()
    dialog = dialog_of(page, "Hold")
    dialog.get_by_label("Until").fill(f"{dt.datetime.fromtimestamp(ends - DAY, dt.UTC):%Y-%m-%d}")
    dialog.get_by_label("Reason").fill("Somebody else may have the card")
    dialog.get_by_label("Type the username").fill(walk.username)
    dialog.get_by_role("button", name="Hold").click()
    expect(page.get_by_text(f"{walk.username} is on hold until the end of")).to_be_visible()
    return ends


def test_who_does_not_pay_reads_what_happens_next_in_each_state(
    stack: Stack, visit: Visit, album: Album, walk: Walk
) -> None:
    home, console = visit(width=390, height=844), visit(width=1440)
    pass_time = stack.at_keycloak().control
    pass_time("clock", advance_seconds=120)  # the welcome leaves, and comes back

    open_dashboard(home, stack, walk)
    read_again(home, lambda: "our emails come back" in home.locator("main").inner_text())
    reads(home, "Your subscription renews", period_end(walk.subscription()))
    album.take(home, "home-active-unreachable")
    open_subscriber(console, stack, walk)
    expect(console.get_by_text("Emails bounce").first).to_be_visible()
    staff_read(console, AccessState.ACTIVE, "Renews", period_end(walk.subscription()))
    album.take(console, "console-active-unreachable")

    ends = hold(console, stack, walk)
    wait_for(lambda: not walk.account()["enabled"], what="Keycloak has closed the account", seconds=240)
    staff_read(console, AccessState.ON_HOLD, "Hold ends", ends - 1)  # its last day
    album.take(console, "console-on-hold")
    verify_code(home, stack, walk)
    expect(home.get_by_role("heading", name="Your account is on hold")).to_be_visible()
    reads(home, "The hold on your account ends", ends)
    album.take(home, "home-on-hold")
    pass_time("clock", advance_seconds=ends + 3600 - stack.now())
    wait_for(lambda: walk.account()["enabled"], what="Keycloak has opened the account again", seconds=240)
    home.context.clear_cookies()
    open_dashboard(home, stack, walk)
    reads(home, "Your subscription renews", period_end(walk.subscription()))

    walk.control("stripe/_control/settings", {"end": "past_due"})  # Stripe stops trying, and cancels nothing
    walk.control("stripe/_control/payments", {"customer": walk.subscription()["customer"], "mode": "fail"})
    ends = period_end(walk.subscription())
    now = stack.now()
    pass_time("clock", advance_seconds=ends - now + 2 * 3600)
    walk.until("Stripe says past_due", lambda: walk.subscription()["status"] == "past_due")
    grace = first_failure(walk) + GRACE_DAYS * DAY
    home.context.clear_cookies()
    open_dashboard(home, stack, walk)
    reads(home, "If you haven't paid by then, your apps are paused", grace)
    reads(home, "We try to collect the open payment again", int(open_invoice(walk)["next_payment_attempt"]))
    album.take(home, "home-grace")
    open_subscriber(console, stack, walk)
    staff_read(console, AccessState.GRACE, "Grace ends", grace)
    staff_read(console, AccessState.GRACE, "Next payment attempt", int(open_invoice(walk)["next_payment_attempt"]))
    album.take(console, "console-grace")

    pass_time("clock", advance_seconds=grace - stack.now() + 60)
    wait_for(lambda: not walk.account()["enabled"], what="Keycloak has closed the account", seconds=240)
    open_subscriber(console, stack, walk)
    read_again(console, lambda: console.get_by_text(AccessState.SUSPENDED.label, exact=True).count() > 0)
    album.take(console, "console-suspended")

    verified = verify_code(home, stack, walk)
    closes = [verified + 72 * 3600 + beside for beside in (0, 60)]
    text = home.get_by_role("region", name="What happens next")
    expect(text).to_contain_text(re.compile("|".join(day(one) for one in closes)))
    expect(text).to_contain_text("your account closes again")
    album.take(home, "recovery-recovering")
    open_subscriber(console, stack, walk)
    staff_read(console, AccessState.RECOVERING, "Recovery closes", closes[0])
    album.take(console, "console-recovering")

    walk.world.delete(
        f"{stack.sandbox}/stripe/v1/subscriptions/{walk.subscription()['id']}", auth=(KEY, "")
    ).raise_for_status()
    final = int(walk.subscription()["ended_at"]) + KEPT_DAYS * DAY
    pass_time("clock", advance_seconds=4 * DAY)  # past the window of the recovery
    open_subscriber(console, stack, walk)
    staff_read(console, AccessState.CANCELED, "Final expiry, seat released", final)
    verify_code(home, stack, walk)
    reads(home, "we remove your space and settings for good", final)
    album.take(home, "recovery-canceled")

    pass_time("clock", advance_seconds=final - stack.now() + 3600)
    open_subscriber(console, stack, walk)
    read_again(console, lambda: console.get_by_text(AccessState.EXPIRED.label, exact=True).count() > 0)
    album.take(console, "console-expired")
    verify_code(home, stack, walk)
    expect(home.get_by_text(f"We kept its space until {day(final)}")).to_be_visible()
    album.take(home, "recovery-expired")


def codes(stack: Stack, walk: Walk) -> list[str]:
    """The codes in the mailbox, the newest first."""
    inbox = requests.get(f"{stack.sandbox}/inbox.json", params={"to": walk.email}, timeout=10).json()
    texts = [one["text"] for one in inbox if "recovery code" in one["subject"].lower()]
    return [re.findall(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", text)[0] for text in texts]


def verify_code(page: Page, stack: Stack, walk: Walk) -> int:
    """To the page of somebody who cannot log in; when the code was verified."""
    page.context.clear_cookies()
    page.goto(f"{stack.site}/recovery/")
    page.get_by_label("Your account's email address").fill(walk.email)
    before = codes(stack, walk)
    page.get_by_role("button", name="Email me a code").click()
    code = page.get_by_label("Code from the email")
    expect(code).to_be_focused()
    wait_for(lambda: len(codes(stack, walk)) > len(before), what="another code is in the mailbox")
    code.fill(codes(stack, walk)[0])
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Confirmed:")).to_be_visible()
    return stack.now()
