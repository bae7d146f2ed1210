"""A subscriber sees and ends their sessions in a browser, and what the browser keeps afterwards."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps.sandbox.walk import PASSWORD, Walk
from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.stack import Album, Stack, Visit, reload

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]
OTHER_APP = "a-cookie-of-another-app"


def open_sessions(page: Page, stack: Stack, customer: Walk) -> None:
    page.goto(f"{stack.site}/dashboard/")
    LoginPage(page).sign_in(customer.username, PASSWORD)
    page.get_by_role("link", name="See where you're logged in").click()
    expect(page.get_by_role("heading", name="Where you're logged in")).to_be_visible()


def test_a_subscriber_ends_another_browser_and_then_all_and_the_browser_forgets(
    stack: Stack, visit: Visit, album: Album, customer: Walk
) -> None:
    customer.log_in()
    laptop, phone = visit(width=1440), visit(width=390, height=844, dark=True)
    open_sessions(laptop, stack, customer)
    open_sessions(phone, stack, customer)
    reload(laptop)
    album.take(laptop, "sessions")
    album.take(phone, "sessions-phone")
    expect(phone.get_by_text("This one", exact=True)).to_have_count(1)
    phone.get_by_role("button", name=re.compile("^End Chrome")).focus()
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("status")).to_contain_text("is logged out.")
    album.take(phone, "one-ended")
    reload(laptop)
    expect(LoginPage(laptop).title).to_be_visible()  # here and at Keycloak

    token = next(one["value"] for one in phone.context.cookies() if one["name"] == "frontdesk-csrf")
    phone.evaluate("localStorage.setItem('note', 'who was here'); sessionStorage.setItem('note', 'who was here')")
    phone.context.add_cookies([{"name": OTHER_APP, "value": "1", "url": stack.site}])
    phone.get_by_role("button", name="Log out everywhere").click()
    expect(phone.get_by_role("heading", name="You are logged out")).to_be_visible()
    album.take(phone, "logged-out-everywhere")
    assert phone.evaluate("[localStorage.getItem('note'), sessionStorage.getItem('note')]") == [None, None]
    kept = {one["name"] for one in phone.context.cookies()}
    assert OTHER_APP in kept  # a hosted product below the same domain is none of our business
    assert token not in {one["value"] for one in phone.context.cookies()}  # the page of the logout has another one
    phone.goto(f"{stack.site}/dashboard/")
    expect(LoginPage(phone).title).to_be_visible()
    LoginPage(phone).sign_in(customer.username, PASSWORD)
    expect(phone.get_by_role("heading", name="Your apps")).to_be_visible()
    phone.context.clear_cookies(name="frontdesk-sid")  # Keycloak still knows them
    phone.goto(f"data:text/html,<script>location='{stack.site}/dashboard/'</script>")
    expect(phone.get_by_role("heading", name="Log in to Frontdesk?")).to_be_visible()
    album.take(phone, "ask-first")
    assert "frontdesk-sid" not in {one["name"] for one in phone.context.cookies()}
    phone.get_by_role("link", name="Log in").click()
    expect(phone.get_by_role("heading", name="Your apps")).to_be_visible()
    album.take(phone, "dashboard")
    phone.goto(f"{stack.site}/onboarding/")
    phone.get_by_label("What's your first name?").fill("Ada")
    phone.get_by_role("button", name="Choose a plan").click()
    phone.wait_for_url(re.compile("/onboarding/plan/"))  # forms work: there is a new token
