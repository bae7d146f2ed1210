"""What happens next, read in a browser by the subscriber and by staff, with the dates that Stripe has, state after state."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import PASSWORD, Walk
from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.stack import Album, Stack, Visit, reload
from tests.journeys.test_browser_console import log_in
from tests.journeys.test_browser_recovery import KEY

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]
DAY = 86_400


@pytest.fixture
def walk(stack: Stack) -> Walk:
    """Somebody who has signed up, paid and logged in, over HTTP."""
    one = stack.walk_of_somebody()
    one.sign_up()
    one.gets_account()
    one.log_in()
    return one


def day(seconds: int) -> str:
    """A date of Stripe's as pages write it."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment.day} {moment:%B %Y}"


def short_day(seconds: int) -> str:
    """The same as the console writes it."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment.day} {moment:%b %Y}"


def period_end(subscription: dict[str, Any]) -> int:
    return int(subscription["items"]["data"][0]["current_period_end"])


def read_again(page: Page, true: Callable[[], bool]) -> None:
    """Load the page until it says so: the event is on its way."""
    for _ in range(120):
        reload(page)
        if true():
            return
        page.wait_for_timeout(250)
    raise AssertionError(page.locator("main").inner_text())


class Reader:
    """The two pages that say it."""

    def __init__(self, stack: Stack, visit: Visit, walk: Walk) -> None:
        self.stack, self.walk = stack, walk
        self.home, self.console = visit(width=390, height=844), visit(width=1440)
        self.home.goto(f"{stack.site}/dashboard/")
        LoginPage(self.home).sign_in(walk.username, PASSWORD)
        log_in(self.console, stack)
        self.console.goto(f"{stack.site}/admin/accounts/userprofile/?q={walk.username}")
        self.console.get_by_role("link", name=walk.username).first.click()
        expect(self.console.get_by_role("heading", name=walk.username).first).to_be_visible()

    def change(self, **values: str) -> dict[str, Any]:
        """The subscription at Stripe, changed."""
        url = f"{self.stack.sandbox}/stripe/v1/subscriptions/{self.walk.subscription()['id']}"
        answer = self.walk.world.post(url, data=values, auth=(KEY, ""))
        answer.raise_for_status()
        return dict(answer.json())

    def reads(self, sentence: str, moment: int) -> None:
        """The subscriber, on the dashboard."""
        item = (
            self.home.get_by_role("region", name="What happens next").get_by_role("listitem").filter(has_text=sentence)
        )
        read_again(self.home, lambda: item.count() == 1 and day(moment) in item.inner_text())

    def staff_read(self, label: str, moment: int) -> None:
        """Staff, on the subscriber's page."""
        row = self.console.locator("dl div").filter(has_text=label)
        read_again(self.console, lambda: any(short_day(moment) in text for text in row.all_inner_texts()))


@pytest.mark.long
def test_each_state_says_what_happens_next(stack: Stack, visit: Visit, album: Album, walk: Walk) -> None:
    page = Reader(stack, visit, walk)
    renews = period_end(walk.subscription())
    page.reads("Your subscription renews", renews)
    page.staff_read("Renews", renews)
    album.take(page.home, "home-active")
    album.take(page.console, "console-active")

    page.change(cancel_at_period_end="true")
    page.reads("Your subscription ends. Your apps close", renews)
    page.reads("we remove your space and settings for good", renews + 30 * DAY)
    page.staff_read("Final expiry, seat released", renews + 30 * DAY)
    album.take(page.home, "home-ending")

    trial = renews + 5 * DAY
    page.change(cancel_at_period_end="false", trial_end=str(trial))
    page.reads("Your trial ends", trial)
    page.staff_read("Trial ends, first payment", trial)

    resumes = trial + 3 * DAY
    page.change(**{"pause_collection[behavior]": "void", "pause_collection[resumes_at]": str(resumes)})
    page.reads("Billing starts again", resumes)
    page.staff_read("Billing resumes", resumes)

    page.change(pause_collection="")
    subscription = page.walk.subscription()["id"]
    walk.world.delete(f"{stack.sandbox}/stripe/v1/subscriptions/{subscription}", auth=(KEY, "")).raise_for_status()
    ended = int(walk.stripe(f"subscriptions/{subscription}")["ended_at"])
    page.staff_read("Final expiry, seat released", ended + 30 * DAY)
    album.take(page.console, "console-canceled")
