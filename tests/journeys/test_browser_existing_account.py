"""Somebody who has an account at Keycloak and no plan signs up with it, and keeps it: on the stand-in and on a real Keycloak."""

import re
import secrets

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.stack import BOTH, PASSWORD, Album, Stack, Visit
from tests.journeys.test_browser_signup import heading, pay
from tests.sandbox.keycloak_fixture import Standin

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.nightly_on("keycloak"), BOTH]


def arrive(page: Page, stack: Stack, username: str) -> None:
    """Log in for the dashboard, which is for people with a plan."""
    page.goto(f"{stack.site}/dashboard/")
    LoginPage(page).sign_in(username, PASSWORD)
    heading(page, "You have an account here, but no plan yet")
    expect(page.get_by_text(f"{username}@example.com")).to_be_visible()


def make_account(keycloak: Standin) -> tuple[str, str]:
    username = f"olga-{secrets.token_hex(3)}"
    user_id = keycloak.new_user(username, firstName="Olga", lastName="Olsen", groups=["/frontdesk"])
    keycloak.set_password(user_id)
    return user_id, username


def test_an_account_that_was_there_gets_a_plan_and_stays_the_only_one(stack: Stack, visit: Visit, album: Album) -> None:
    keycloak = stack.at_keycloak()
    user_id, username = make_account(keycloak)
    light = visit(width=390)
    arrive(light, stack, username)
    album.take(light, "no-plan")
    page = visit(width=390, dark=True)
    arrive(page, stack, username)
    album.take(page, "no-plan-dark")
    page.get_by_role("button", name="Choose a plan").click()
    heading(page, "Choose your plan")
    page.locator("label.plan", has_text="Personal").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Continue").click()
    heading(page, "Almost there, Olga")
    expect(page.get_by_label("Username")).to_have_value(username)
    expect(page.get_by_label("Username")).not_to_be_editable()
    page.get_by_label("I accept the terms").check()
    album.take(page, "checkout-dark")
    page.get_by_role("button", name="Order and pay").click()
    frame = page.frame_locator('iframe[title^="Secure payment form"]')
    expect(frame.get_by_role("heading", name="Payment")).to_be_visible()
    pay(frame, "4242424242424242")

    page.wait_for_url(re.compile("/onboarding/success/"))
    expect(page.get_by_role("heading", name="Your account is ready, Olga")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("the password you already have")).to_be_visible()
    expect(page.get_by_role("button", name="Send the password email again")).to_be_hidden()
    album.take(page, "ready-dark")
    page.get_by_role("main").get_by_role("link", name="Log in").click()
    heading(page, "Hello, Olga")
    album.take(page, "dashboard-dark")
    found = keycloak.user(user_id)
    assert (found["enabled"], found["attributes"]["has_nextcloud"], found["requiredActions"]) == (True, ["true"], [])
    assert len(keycloak.call("GET", f"/users?search={username}").json()) == 1
    with pytest.raises(AssertionError, match="No mail about"):
        stack.mail(found["email"], "Update Your Account", seconds=1)
