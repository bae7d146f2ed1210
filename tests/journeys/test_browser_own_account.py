"""A subscriber changes the address, withdraws from the contract without a login, and has the account deleted; by clicking."""

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import UserProfile
from tests.journeys.keycloak_pages import LoginPage
from tests.journeys.site import PASSWORD, Site, heading, prove_mailbox, site, visit
from tests.journeys.stack import Album, Visit, reload

__all__ = ["site", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.long]
NEW = "dana.new@example.com"


def open_account(page: Page) -> None:
    page.get_by_role("navigation", name="Your pages").get_by_role("link", name="Account").click()
    heading(page, "Your account")


def test_a_new_address_goes_everywhere_and_is_what_a_withdrawal_asks_for(
    site: Site, visit: Visit, album: Album
) -> None:
    world, dana, page = site.world, site.subscriber(), visit(width=390, height=844)
    site.log_in(page, "dana")
    open_account(page)
    page.get_by_role("link", name="Change address").click()
    page.get_by_label("New email address").fill(NEW)
    page.get_by_role("button", name="Email me a code").click()
    prove_mailbox(page, "address_code")
    heading(page, "Your account")
    world.deliver()
    album.take(page, "address-changed")
    dana.refresh_from_db()
    stripe = world.shop.v1.customers.retrieve(dana.stripe_customer_id or "")
    assert (dana.email, world.account(dana)["email"], stripe.email) == (NEW, NEW, NEW)
    assert any("address" in one for one in world.mails("dana@example.com"))

    other = visit(width=1440)
    other.goto(f"{site.url}/onboarding/")
    other.get_by_role("link", name="Withdraw from contract here").click()
    other.get_by_label("Your account's email address").fill(NEW)
    other.get_by_role("button", name="Email me a code").click()
    prove_mailbox(other, "contract_code")
    other.get_by_role("button", name="Confirm", exact=True).click()
    album.take(other, "withdraw")
    other.get_by_role("button", name="Confirm withdrawal").click()
    expect(other.get_by_role("heading", name="We've received your withdrawal")).to_be_visible()
    album.take(other, "withdrawn")
    world.work()
    world.deliver()
    assert [one.amount for one in world.shop.v1.refunds.list({"charge": world.charge(dana)}).data] == [500]
    assert (world.stripe_state(dana)["status"], world.state(dana).access) == ("canceled", "canceled")
    assert world.state(dana).account is False
    reload(page)
    expect(LoginPage(page).title).to_be_visible()
    LoginPage(page).sign_in("dana", PASSWORD)
    expect(page.get_by_text("Your account is paused or closed.")).to_be_visible()
    world.assert_laws_hold()


def test_an_account_is_deleted(site: Site, visit: Visit, album: Album) -> None:
    world, dana, page = site.world, site.subscriber(), visit(width=390, height=844, dark=True)
    account, customer = dana.keycloak_id or "", dana.stripe_customer_id or ""
    site.log_in(page, "dana")
    open_account(page)
    page.get_by_role("link", name="Delete").click()
    heading(page, "Delete your account")
    album.take(page, "delete")
    page.get_by_label("Type your username, dana, to confirm").fill("dana")
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("heading", name="Your account is being deleted")).to_be_visible()
    album.take(page, "being-deleted")
    world.deliver()
    reload(page)
    expect(LoginPage(page).title).to_be_visible()
    LoginPage(page).sign_in("dana", PASSWORD)
    expect(page.get_by_text("The username or password is not right.")).to_be_visible()
    assert world.admin("GET", f"/users/{account}").status_code == 404
    assert [one.status for one in world.shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data] == [
        "canceled"
    ]
    assert not UserProfile.objects.filter(email="dana@example.com").exists()
    assert any("is deleted" in one for one in world.mails("dana@example.com"))
