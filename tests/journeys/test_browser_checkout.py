"""The ways to pay at sign-up, by clicking through Stripe's page: a coupon, 3-D Secure, a company's tax id, bank debit, trials."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import UserProfile
from tests.journeys.site import (
    Site,
    becomes_ready,
    fill_account,
    fill_card,
    heading,
    payment,
    site,
    to_account,
    visit,
)
from tests.journeys.stack import Album, Visit, reload
from tests.sandbox.stripe_fixture import ASKS, DECLINED

__all__ = ["site", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.long]
DAYS = 14


def order(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Order")).click()


def charges(site: Site, profile: UserProfile) -> list[int]:
    """What was taken, the newest first."""
    listed = site.world.shop.v1.charges.list({"customer": profile.stripe_customer_id or ""}).data
    return [one.amount for one in listed if one.paid]


def subscription_card(site: Site, page: Page, profile: UserProfile) -> Any:
    site.set_password(page, profile.email)
    site.log_in(page, profile.user.username)
    return page.get_by_role("region", name="Your subscription")


def test_a_coupon_and_a_bank_that_asks(site: Site, visit: Visit, album: Album, settings: Any) -> None:
    settings.STRIPE_PROMOTION_CODES = True
    world, page = site.world, visit(width=1440)
    coupon = world.shop.v1.coupons.create({"percent_off": 40, "duration": "forever"}).id
    world.shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, "code": "SPRING40"})
    to_account(page, site)
    fill_account(page)
    order(page)
    form = payment(page)
    form.get_by_label("Promotion code").fill("SUMMER")
    form.get_by_role("button", name="Apply").click()
    expect(form.get_by_role("alert")).to_have_text("This code is invalid.")
    form.get_by_label("Promotion code").fill("spring40")
    form.get_by_role("button", name="Apply").click()
    expect(form.get_by_role("row", name="Discount")).to_contain_text("2.00")
    album.take(page, "coupon")
    fill_card(form, DECLINED)
    form.get_by_role("button", name="Pay €3.00").click()
    expect(form.get_by_role("alert")).to_contain_text("declined")
    fill_card(form, ASKS)
    form.get_by_role("button", name="Pay €3.00").click()
    form.get_by_role("button", name="Fail authentication").click()
    expect(form.get_by_role("alert")).to_contain_text("unable to authenticate")
    form.get_by_role("button", name="Pay €3.00").click()
    expect(form.get_by_role("heading", name="Your bank asks")).to_be_visible()
    album.take(page, "bank-asks")
    form.get_by_role("button", name="Complete authentication").click()
    dana = becomes_ready(page, site)
    album.take(page, "ready")
    assert charges(site, dana) == [300]
    assert world.state(dana).access == "active"
    card = subscription_card(site, page, dana)
    expect(card.locator(".summary-total", has_text="Next charge")).to_contain_text("€3")
    album.take(page, "dashboard")
    world.assert_laws_hold()


def test_a_company_gives_its_tax_id(site: Site, visit: Visit, album: Album, settings: Any) -> None:
    settings.STRIPE_AUTOMATIC_TAX = settings.STRIPE_TAX_IDS = True
    world, page = site.world, visit(width=390, height=844)
    world.shop.control("edit", kind="price", id=world.price("personal"), fields={"tax_behavior": "exclusive"})
    to_account(page, site)
    fill_account(page)
    album.take(page, "account")
    order(page)
    form = payment(page)
    form.get_by_label("Country").select_option("DE")
    form.get_by_label("Tax id of a company").fill("DE123456789")
    form.get_by_role("button", name="Apply").click()
    expect(form.get_by_role("row", name="Tax")).to_contain_text("0.95")
    album.take(page, "tax")
    fill_card(form)
    form.get_by_role("button", name="Pay €5.95").click()
    dana = becomes_ready(page, site)
    album.take(page, "ready")
    (invoice,) = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or ""}).data
    assert [(one.type, one.value) for one in invoice.customer_tax_ids or []] == [("eu_vat", "DE123456789")]
    assert (invoice.amount_paid, charges(site, dana)) == (595, [595])
    card = subscription_card(site, page, dana)
    expect(card).to_contain_text("including €0.95 tax")
    album.take(page, "dashboard")
    page.get_by_role("link", name="Invoices").first.click()
    page.get_by_role("link", name=re.compile("^View invoice")).click()
    expect(page.get_by_text("Invoice paid")).to_be_visible()
    album.take(page, "invoice")
    world.assert_laws_hold()


def test_a_bank_debit_opens_the_apps_when_the_bank_has_paid(site: Site, visit: Visit, album: Album) -> None:
    world, page = site.world, visit(width=390, height=844, dark=True)
    to_account(page, site, plan="Plus")
    fill_account(page)
    order(page)
    payment(page).get_by_role("button", name=re.compile("bank debit")).click()
    page.wait_for_url("**/onboarding/success/**")
    world.deliver()
    world.pass_time(seconds=61)
    heading(page, "Thank you, Dana. Now it's your bank's turn.")  # the page has found out by itself
    album.take(page, "bank-is-asked")
    assert UserProfile.objects.get(user__username="dana").access_state == "none"
    world.pass_time(days=5)
    world.deliver()
    reload(page)
    dana = becomes_ready(page, site)
    album.take(page, "ready")
    assert charges(site, dana) == [900]
    assert world.state(dana).seats == (("nextcloud", "assigned"), ("vaultwarden", "assigned"))
    world.assert_laws_hold()


def test_a_trial_with_a_card_is_charged_when_it_ends(site: Site, visit: Visit, album: Album, settings: Any) -> None:
    settings.STRIPE_TRIAL_DAYS = DAYS
    world, page = site.world, visit(width=390, height=844, dark=True)
    to_account(page, site)
    expect(page.get_by_text("Cancel in your account before").first).to_be_visible()
    fill_account(page)
    album.take(page, "account")
    order(page)
    form = payment(page)
    expect(form.get_by_text("Free until")).to_be_visible()
    fill_card(form)
    album.take(page, "payment")
    form.get_by_role("button", name="Start trial").click()
    dana = becomes_ready(page, site)
    album.take(page, "ready")
    assert (world.stripe_state(dana)["status"], charges(site, dana)) == ("trialing", [])
    card = subscription_card(site, page, dana)
    expect(card).to_contain_text("€5")
    album.take(page, "dashboard")
    world.pass_time(days=DAYS, seconds=4000)
    world.deliver()
    assert (world.stripe_state(dana)["status"], charges(site, dana)) == ("active", [500])
    assert (world.state(dana).access, world.state(dana).account) == ("active", True)


def test_a_trial_without_a_card_goes_on_with_one_that_is_added(
    site: Site, visit: Visit, album: Album, settings: Any
) -> None:
    settings.STRIPE_TRIAL_DAYS, settings.STRIPE_TRIAL_CARD = DAYS, False
    world, page = site.world, visit(width=390, height=844)
    to_account(page, site)
    expect(page.get_by_text("You don't need a card now.").first).to_be_visible()
    fill_account(page)
    order(page)
    form = payment(page)
    expect(form.get_by_label("Card number")).to_have_count(0)
    form.get_by_role("button", name="Start trial").click()
    dana = becomes_ready(page, site)
    expect(page.get_by_text("If you want to go on, add a card")).to_be_visible()
    album.take(page, "ready")
    card = subscription_card(site, page, dana)
    expect(card.get_by_text("Trial ends on")).to_be_visible()
    expect(card.get_by_text("If you haven't added a card by then, your apps close.")).to_be_visible()
    expect(card.get_by_text("Next charge")).to_have_count(0)
    album.take(page, "dashboard")
    world.pass_time(days=DAYS - 6.9)
    world.deliver()
    reminder = site.mail(dana.email, "trial")["text"]
    assert "add a card before then" in reminder
    assert "continues automatically" not in reminder
    site.log_in(page, "dana")
    page.get_by_role("button", name="Add a card").click()
    fill_card(page)
    page.get_by_role("button", name="Save the new card").click()
    world.deliver()
    page.get_by_role("link", name="Back").click()
    expect(card.get_by_text("Next charge")).to_be_visible()
    album.take(page, "card-added")
    world.pass_time(days=8)
    world.deliver()
    assert (world.stripe_state(dana)["status"], charges(site, dana)) == ("active", [500])
    assert (world.state(dana).access, world.state(dana).account) == ("active", True)
