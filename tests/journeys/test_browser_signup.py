"""A customer by clicking, in a real browser: from the first page to the logout. What is asserted is what a person sees."""

import re
import secrets

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.journeys.keycloak_pages import LoginPage, PasswordPage
from tests.journeys.stack import BOTH, Album, Stack, Visit

pytestmark = [pytest.mark.browser, BOTH]
PASSWORD = "a long walk in the park"


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", name=text, level=1)).to_be_visible()


def choose(page: Page, name: str) -> None:
    """A radio button or checkbox that is drawn as a card or a segment: people press its label."""
    page.locator("label").filter(has=page.get_by_role("radio", name=name)).click()
    expect(page.get_by_role("radio", name=name)).to_be_checked()


def person(name: str) -> tuple[str, str]:
    """A username and an email address that nobody has had before."""
    username = f"{name}-{secrets.token_hex(3)}"
    return username, f"{username}@example.org"


def to_checkout(page: Page, stack: Stack, name: str, album: Album) -> None:
    """Welcome, plan and storage; ends on the checkout page."""
    page.goto(f"{stack.site}/onboarding/")
    heading(page, re.compile("Welcome"))
    album.take(page, "welcome")
    page.get_by_label("What's your first name?").fill(name)
    page.get_by_role("button", name="Choose a plan").click()

    heading(page, "Choose your plan")
    choose(page, "Personal")
    personal = page.locator("label.plan", has_text="Personal")
    order = page.get_by_role("complementary", name="Your order")
    expect(personal.get_by_text("€5 a month")).to_be_visible()
    expect(order).to_contain_text("€5 a month")
    album.take(page, "plan-monthly")
    choose(page, "Yearly")
    expect(personal.get_by_text("€50 a year")).to_be_visible()
    expect(personal.get_by_text("€5 a month")).to_be_hidden()
    expect(order).to_contain_text("€50 a year")
    album.take(page, "plan-yearly")
    choose(page, "Monthly")
    page.get_by_role("button", name="Continue").click()

    heading(page, "Need more storage?")
    page.get_by_role("spinbutton", name="100 GB more").fill("2")
    expect(order).to_contain_text("€8")
    album.take(page, "storage")
    page.get_by_role("button", name="Continue").click()
    heading(page, f"Almost there, {name}")


def prove_mailbox(page: Page, stack: Stack, email: str, album: Album) -> None:
    album.take(page, "checkout")
    page.get_by_role("textbox", name="Email address").fill(email)
    page.get_by_role("button", name="Email me a code").click()
    expect(page.get_by_text("We've emailed a code to")).to_be_visible()
    album.take(page, "code")
    page.get_by_label("Code", exact=True).fill(stack.code(email))
    expect(page.get_by_text("Confirmed", exact=True)).to_be_visible()


def open_payment(page: Page, username: str, album: Album) -> FrameLocator:
    page.get_by_label("Username").fill(username)
    page.get_by_label("Last name").fill("Walker")
    expect(page.get_by_text("is available")).to_be_visible()
    page.get_by_label("I accept the terms").check()
    album.take(page, "account")
    page.get_by_role("button", name="Order and pay").click()
    frame = page.frame_locator('iframe[title^="Secure payment form"]')
    expect(frame.get_by_role("heading", name="Payment")).to_be_visible()
    return frame


def pay(frame: FrameLocator, card: str) -> None:
    frame.get_by_label("Card number").fill(card)
    frame.get_by_label("Expires").fill("12/34")
    frame.get_by_label("Security code").fill("123")
    frame.get_by_label("Name on the card").fill("Wanda Walker")
    frame.get_by_role("button", name=re.compile("^Pay €")).click()


def becomes_ready(page: Page, name: str) -> None:
    """The success page, which finishes by itself."""
    expect(page.get_by_role("heading", name=f"Your account is ready, {name}")).to_be_visible(timeout=60_000)
    for stage in ("Payment confirmed", "Account created", "Apps ready", "Password email sent"):
        expect(page.get_by_role("listitem").filter(has_text=stage)).to_contain_text("done")


def set_password(page: Page, stack: Stack, email: str, album: Album) -> None:
    """The link of Keycloak's mail, and what is behind it."""
    at_keycloak = PasswordPage(page)
    at_keycloak.open(stack.mail(email, "Update Your Account")["links"][0])
    at_keycloak.fill(PASSWORD)
    album.take(page, "keycloak-password")
    at_keycloak.submit()
    album.take(page, "keycloak-password-done")


def log_in(page: Page, username: str, album: Album) -> None:
    """Unless setting the password was a login too."""
    page.wait_for_load_state()
    at_keycloak = LoginPage(page)
    if at_keycloak.is_shown():
        album.take(page, "keycloak-login")
        at_keycloak.sign_in(username, PASSWORD)


def test_a_customer_signs_up_pays_and_uses_the_account(stack: Stack, visit: Visit, album: Album) -> None:
    page, username, email = visit(width=1440), *person("wanda")
    to_checkout(page, stack, "Wanda", album)
    prove_mailbox(page, stack, email, album)
    frame = open_payment(page, username, album)
    album.take(page, "payment")
    pay(frame, "4000000000000002")
    expect(frame.get_by_role("alert")).to_contain_text("declined")
    album.take(page, "payment-declined")
    pay(frame, "4242424242424242")

    page.wait_for_url(re.compile("/onboarding/success/"))
    album.take(page, "success-working")
    becomes_ready(page, "Wanda")
    album.take(page, "success-ready")

    set_password(page, stack, email, album)
    page.get_by_role("link", name="Back to Application").click()
    log_in(page, username, album)
    heading(page, "Hello, Wanda")
    apps = page.get_by_role("region", name="Your apps")
    expect(apps.get_by_role("heading", name="Nextcloud")).to_be_visible()
    expect(apps.get_by_role("link", name="Open Nextcloud")).to_have_attribute(
        "href", re.compile(r"^https://nextcloud-\d\.example\.com/")
    )
    subscription = page.get_by_role("region", name="Your subscription")
    expect(subscription).to_contain_text("Personal")
    expect(subscription).to_contain_text("€8")
    album.take(page, "dashboard")

    page.get_by_role("button", name="Address and tax ID").click()
    heading(page, "Billing")
    album.take(page, "portal")
    page.get_by_role("link", name="Back").click()
    heading(page, "Hello, Wanda")

    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_contain_text(email)
    album.take(page, "dashboard-password-mail")

    page.get_by_role("button", name="Log out").click()
    page.wait_for_load_state()
    album.take(page, "logged-out")
    page.goto(f"{stack.site}/dashboard/")
    expect(LoginPage(page).title).to_be_visible()  # Keycloak asks again: its session is over too
    album.take(page, "keycloak-login-again")
