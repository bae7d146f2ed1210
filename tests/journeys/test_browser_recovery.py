"""Coming back by clicking, in a real browser: a canceled customer, the code, the payment, and the same instance as before."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import PASSWORD, Walk
from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.stack import BOTH, Album, Stack, Visit, reload

KEY = "sk_test_sandbox00000000000000000000"
pytestmark = [pytest.mark.browser, pytest.mark.nightly_on("keycloak"), BOTH]


@pytest.fixture
def subscriber(stack: Stack) -> Walk:
    """Somebody who signed up, paid and logged in."""
    walk = stack.walk_of_somebody()
    walk.sign_up()
    walk.gets_account()
    walk.log_in()
    walk.places = walk.groups()
    return walk


@pytest.fixture
def canceled(stack: Stack, subscriber: Walk) -> Walk:
    """The same, and their subscription was then ended at once."""
    end_subscription(stack, subscriber)
    return subscriber


def end_subscription(stack: Stack, walk: Walk) -> None:
    subscription = walk.subscription()["id"]
    walk.world.delete(f"{stack.sandbox}/stripe/v1/subscriptions/{subscription}", auth=(KEY, "")).raise_for_status()
    walk.until("Keycloak has closed the account", lambda: not walk.account()["enabled"])


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", name=text, level=1)).to_be_visible()


def come_back(page: Page, stack: Stack, walk: Walk, album: Album) -> None:
    """From the recovery page to Stripe's page."""
    heading(page, "Get back into your account")
    album.take(page, "address")
    page.get_by_label("Your account's email address").fill(walk.email)
    page.get_by_role("button", name="Email me a code").click()
    code = page.get_by_label("Code from the email")
    expect(code).to_be_focused()
    album.take(page, "code")
    code.fill(re.findall(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", stack.mail(walk.email, "recovery code")["text"])[0])
    page.get_by_role("button", name="Confirm").click()
    heading(page, "Welcome back")
    expect(page.get_by_text("Personal", exact=True)).to_be_visible()
    expect(page.get_by_text(walk.email)).to_have_count(0)
    album.take(page, "active")
    page.get_by_role("button", name="Order and pay").click()
    page.get_by_label("Card number").fill("4242424242424242")
    page.get_by_label("Expires").fill("12/34")
    page.get_by_label("Security code").fill("123")
    page.get_by_label("Name on the card").fill("Wanda Walker")
    page.get_by_role("button", name=re.compile("^Pay €")).click()


def test_a_canceled_customer_comes_back_to_the_same_instance(
    stack: Stack, visit: Visit, album: Album, canceled: Walk
) -> None:
    page = visit(width=1440)
    page.goto(f"{stack.site}/recovery/")
    come_back(page, stack, canceled, album)
    heading(page, "Your account is open")
    album.take(page, "open")
    page.get_by_role("main").get_by_role("link", name="Log in").click()
    LoginPage(page).sign_in(canceled.username, PASSWORD)
    expect(page.get_by_role("link", name=re.compile("Nextcloud")).first).to_be_visible()
    album.take(page, "dashboard")
    assert canceled.places
    assert canceled.groups() == canceled.places


def test_the_same_on_a_small_dark_screen(stack: Stack, visit: Visit, album: Album, canceled: Walk) -> None:
    page = visit(width=390, height=844, dark=True)
    page.goto(f"{stack.site}/recovery/")
    come_back(page, stack, canceled, album)
    heading(page, "Your account is open")
    album.take(page, "open")


def test_whom_keycloak_lets_in_no_more_finds_the_way_back_by_links_alone(
    stack: Stack, visit: Visit, album: Album, subscriber: Walk
) -> None:
    """From the dashboard of somebody logged in, by what the pages offer."""
    page = visit(width=1440)
    page.goto(f"{stack.site}/dashboard/")
    LoginPage(page).sign_in(subscriber.username, PASSWORD)
    expect(page.get_by_role("link", name=re.compile("Nextcloud")).first).to_be_visible()
    end_subscription(stack, subscriber)
    subscriber.until("they are logged out", lambda: subscriber.customer.is_out("/dashboard/"))
    reload(page)
    LoginPage(page).sign_in(subscriber.username, PASSWORD)
    expect(page.get_by_text("Your account is paused or closed.")).to_be_visible()
    album.take(page, "keycloak")
    page.get_by_role("link", name="Cannot get in?").click()
    come_back(page, stack, subscriber, album)
    heading(page, "Your account is open")
    page.get_by_role("main").get_by_role("link", name="Log in").click()
    LoginPage(page).sign_in(subscriber.username, PASSWORD)
    expect(page.get_by_role("link", name=re.compile("Nextcloud")).first).to_be_visible()
    assert subscriber.groups() == subscriber.places
