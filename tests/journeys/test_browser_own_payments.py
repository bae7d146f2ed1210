"""A subscriber pays on our pages, by clicking: a change of plan that the bank refuses or asks about, and a late invoice."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import UserProfile
from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.site import PASSWORD, Site, fill_card, heading, pay_invoice, site, visit
from tests.journeys.stack import Album, Visit
from tests.sandbox.stripe_fixture import ASKS, FAILS_LATER

__all__ = ["site", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.long]


def at_stripe(site: Site, profile: UserProfile) -> dict[str, int]:
    """Price to quantity."""
    lines = site.world.stripe_state(profile)["items"]["data"]
    return {one["price"]["id"]: one["quantity"] for one in lines}


def open_page(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Your pages").get_by_role("link", name=name).click()


def use_card(page: Page, card: str) -> None:
    """Another card, in Stripe's portal and back."""
    open_page(page, "Plan")
    page.get_by_role("button", name="Change card").click()
    fill_card(page, card)
    page.get_by_role("button", name="Save the new card").click()
    if card == ASKS:
        page.get_by_role("button", name="Complete authentication").click()
    page.get_by_role("link", name="Back").click()
    heading(page, "Hello, Dana")


def change_to_plus(page: Page) -> None:
    open_page(page, "Plan")
    page.locator("label.plan", has_text="Plus").click()
    page.get_by_role("button", name="See what it costs").click()
    page.get_by_role("button", name="Change plan and pay €4").click()


def test_a_bank_refuses_a_change_of_plan_and_another_one_asks(site: Site, visit: Visit, album: Album) -> None:
    world, dana, page = site.world, site.subscriber(), visit(width=390, height=844, dark=True)
    personal = {world.price("personal"): 1}
    site.log_in(page, "dana")
    use_card(page, FAILS_LATER)
    world.deliver()
    change_to_plus(page)
    expect(page.get_by_text("The payment didn't go through, and nothing has changed.")).to_be_visible()
    album.take(page, "refused")
    assert (at_stripe(site, dana), world.stripe_state(dana)["status"]) == (personal, "active")

    use_card(page, ASKS)
    world.deliver()
    change_to_plus(page)
    heading(page, "Your bank asks you to confirm")
    album.take(page, "bank-asks")
    page.get_by_role("link", name="Confirm the payment").click()
    invoice = page.url
    fill_card(page, ASKS)
    page.get_by_role("button", name="Pay €4.00").click()
    page.get_by_role("button", name="Fail authentication").click()
    expect(page.get_by_role("alert")).to_contain_text("unable to authenticate")
    world.deliver()
    assert at_stripe(site, dana) == personal
    assert world.state(dana).access == "active"

    site.log_in(page, "dana")  # what is waiting for the bank is found again
    open_page(page, "Invoices")
    album.take(page, "waiting")
    page.get_by_role("link", name="Pay €4 now").click()
    assert page.url == invoice
    pay_invoice(page, "€4.00", card=ASKS)
    album.take(page, "invoice-paid")
    world.deliver()
    site.log_in(page, "dana")
    expect(page.get_by_role("region", name="Your subscription")).to_contain_text("Plus")
    expect(page.get_by_role("heading", name="Vaultwarden")).to_be_visible()
    album.take(page, "dashboard")
    assert at_stripe(site, dana) == {world.price("plus"): 1}
    assert world.state(dana).seats == (("nextcloud", "assigned"), ("vaultwarden", "assigned"))
    world.assert_laws_hold()


def miss_a_payment(site: Site, profile: UserProfile) -> None:
    site.world.shop.control("settings", end="past_due")
    site.world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
    site.world.pass_time(days=32)
    site.world.deliver()


def test_a_late_invoice_is_paid_from_the_dashboard(site: Site, visit: Visit, album: Album, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 7
    world, dana, page = site.world, site.subscriber(), visit(width=390, height=844)
    miss_a_payment(site, dana)
    assert world.state(dana).access == "grace"
    site.log_in(page, "dana")
    album.take(page, "grace")
    page.get_by_role("link", name="Pay €5 now").click()
    pay_invoice(page, "€5.00")
    album.take(page, "invoice-paid")
    world.deliver()
    page.go_back()
    page.go_back()
    heading(page, "Hello, Dana")
    expect(page.get_by_role("link", name=re.compile("^Pay"))).to_have_count(0)
    album.take(page, "paid")
    state = world.state(dana)
    assert (state.access, state.subscription, state.account) == ("active", "active", True)
    open_page(page, "Invoices")
    expect(page.get_by_text("Paid", exact=True)).to_have_count(2)


def test_a_late_invoice_is_paid_from_recovery_and_the_page_follows(site: Site, visit: Visit, album: Album) -> None:
    world, dana, page = site.world, site.subscriber(), visit(width=1440)
    place = world.state(dana).groups
    miss_a_payment(site, dana)
    assert (world.state(dana).access, world.state(dana).account) == ("suspended", False)
    site.recover(page, dana.email)
    heading(page, "You have an unpaid invoice")
    world.work()
    album.take(page, "unpaid")
    page.get_by_role("button", name="Pay €5 now").click()
    pay_invoice(page, "€5.00")
    assert page.url in site.mail(dana.email, "payment")["links"]  # the email has led there too
    page.go_back()
    page.go_back()
    heading(page, "You have an unpaid invoice")  # Stripe's events have not come yet
    world.deliver()
    heading(page, "Your account is open")  # and the page finds it out by itself
    album.take(page, "open")
    state = world.state(dana)
    assert (state.access, state.account, state.groups) == ("active", True, place)
    page.get_by_role("main").get_by_role("link", name="Log in").click()
    LoginPage(page).sign_in("dana", PASSWORD)
    heading(page, "Hello, Dana")
    world.assert_laws_hold()
