"""Coming back by clicking, in a real browser: a canceled customer, the code, the payment, and the same instance as before."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import PASSWORD, Walk
from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.stack import BOTH, Album, Stack, Visit

KEY = "sk_test_sandbox00000000000000000000"
pytestmark = [pytest.mark.browser, BOTH]


@pytest.fixture
def canceled(stack: Stack) -> Walk:
    """Somebody who signed up, paid, logged in, and whose subscription was then ended at once."""
    walk = stack.walk_of_somebody()
    walk.sign_up()
    walk.gets_account()
    walk.log_in()
    walk.places = walk.groups()
    subscription = walk.subscription()["id"]
    walk.world.delete(f"{stack.sandbox}/stripe/v1/subscriptions/{subscription}", auth=(KEY, "")).raise_for_status()
    walk.until("Keycloak has closed the account", lambda: not walk.account()["enabled"])
    return walk


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", name=text, level=1)).to_be_visible()


def come_back(page: Page, stack: Stack, walk: Walk, album: Album) -> None:
    """From the address to Stripe's page."""
    page.goto(f"{stack.site}/recovery/")
    heading(page, "Get back into your account")
    album.take(page, "address")
    page.get_by_label("Your account's email address").fill(walk.email)
    page.get_by_role("button", name="Email me a code").click()
    code = page.get_by_label("Code from the email")
    expect(code).to_be_focused()
    album.take(page, "code")
    code.fill(re.findall(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", stack.mail(walk.email, "recovery code")["text"])[0])
    page.get_by_role("button", name="Continue").click()
    heading(page, "Welcome back")
    expect(page.get_by_text("Personal", exact=True)).to_be_visible()
    expect(page.get_by_text(walk.email)).to_have_count(0)
    album.take(page, "active")
    page.get_by_role("button", name="Subscribe again").click()
    page.get_by_label("Card number").fill("4242424242424242")
    page.get_by_label("Expires").fill("12/34")
    page.get_by_label("Security code").fill("123")
    page.get_by_label("Name on the card").fill("Wanda Walker")
    page.get_by_role("button", name=re.compile("^Pay €")).click()


def test_a_canceled_customer_comes_back_to_the_same_instance(
    stack: Stack, visit: Visit, album: Album, canceled: Walk
) -> None:
    page = visit(width=1440)
    come_back(page, stack, canceled, album)
    heading(page, "Your account is open")
    album.take(page, "open")
    page.get_by_role("main").get_by_role("link", name="Log in").click()
    LoginPage(page).sign_in(canceled.username, PASSWORD)
    expect(page.get_by_role("link", name=re.compile("Nextcloud")).first).to_be_visible()
    album.take(page, "dashboard")
    assert canceled.places
    assert canceled.groups() == canceled.places


@pytest.mark.long_on("keycloak")
def test_the_same_on_a_small_dark_screen(stack: Stack, visit: Visit, album: Album, canceled: Walk) -> None:
    page = visit(width=390, height=844, dark=True)
    come_back(page, stack, canceled, album)
    heading(page, "Your account is open")
    album.take(page, "open")
