"""A sign-up with everything that comes in between: a reload at each step, a second tab, a second device, a session that runs out."""

import re

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import UserProfile
from apps.core.models import RateLimit
from tests.journeys.site import (
    Site,
    becomes_ready,
    end_session,
    fill_account,
    fill_card,
    heading,
    payment,
    prove_mailbox,
    site,
    to_account,
    visit,
)
from tests.journeys.stack import Album, Visit, reload
from tests.storefront.visitor import SESSION

__all__ = ["site", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.long]


def order(page: Page, price: str) -> None:
    page.get_by_role("button", name=f"Order and pay {price}").click()


def test_reloads_a_second_tab_and_a_second_device(site: Site, visit: Visit, album: Album) -> None:
    site.refusing.add(SESSION)
    world, page = site.world, visit(width=390, height=844)
    page.goto(f"{site.url}/onboarding/")
    page.get_by_label("What's your first name?").fill("Dana")
    page.get_by_role("button", name="Choose a plan").click()
    reload(page)
    heading(page, "Choose your plan")
    page.locator("label.plan", has_text="Personal").click()
    page.get_by_role("button", name="Continue").click()
    reload(page)
    heading(page, "Need more storage?")
    page.get_by_role("button", name="Continue").click()
    reload(page)
    page.get_by_role("textbox", name="Email address").fill("dana@example.com")
    page.get_by_role("button", name="Email me a code").click()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    reload(page)
    prove_mailbox(page)
    page.get_by_label("Username").fill("dana")
    expect(page.get_by_text("This username is available.")).to_be_visible()
    page.get_by_label("I accept the terms").check()
    reload(page)
    expect(page.get_by_label("Username")).to_have_value("dana")

    tab = page.context.new_page()
    tab.goto(f"{site.url}/onboarding/plan/")
    tab.locator("label.plan", has_text="Plus").click()
    tab.get_by_role("button", name="Continue").click()
    heading(tab, "Need more storage?")
    order(page, "€5 a month")
    expect(page.get_by_role("alert").filter(has_text="has just changed")).to_be_visible()
    album.take(page, "order-changed")
    order(page, "€9 a month")
    payment(page)
    reload(page)
    order(page, "€9 a month")
    phone = payment(page)

    RateLimit.objects.all().delete()  # a minute later
    laptop = visit(width=1440)
    to_account(laptop, site)
    fill_account(laptop)
    order(laptop, "€5 a month")
    form = payment(laptop)
    fill_card(phone)
    phone.get_by_role("button", name="Pay €9.00").click()
    expect(phone.get_by_text("nothing was charged")).to_be_visible()  # it goes on at the laptop
    album.take(page, "goes-on-elsewhere")
    fill_card(form)
    form.get_by_role("button", name="Pay €5.00").click()
    dana = becomes_ready(laptop, site)
    reload(laptop)
    heading(laptop, "Your account is ready, Dana")
    found = world.shop.v1.subscriptions.list({"customer": dana.stripe_customer_id or "", "status": "all"}).data
    assert [one.status for one in found] == ["active"]
    assert (world.state(dana).access, world.state(dana).items) == ("active", ((world.price("personal"), 1),))
    reload(page)  # the phone learns of it when it goes on
    page.get_by_label("I accept the terms").check()
    order(page, "€9 a month")
    expect(page.get_by_role("alert").filter(has_text="There's already an account")).to_be_visible()
    album.take(page, "phone-afterwards")
    world.assert_laws_hold()


def test_a_session_that_runs_out(site: Site, visit: Visit, album: Album) -> None:
    """At each button there is a sentence and a way to go on, and nothing was made."""
    site.refusing |= {SESSION, "/recovery/checkout-session/", "/recovery/state/"}
    page = visit(width=390, height=844)
    ended = page.get_by_text("Your sign-up has ended because nothing happened for a while. Please start again.")

    def to_storage() -> None:
        page.goto(f"{site.url}/onboarding/plan/")
        page.locator("label.plan", has_text="Personal").click()
        page.get_by_role("button", name="Continue").click()
        heading(page, "Need more storage?")

    to_storage()
    end_session(page)
    page.get_by_role("button", name="Continue").click()
    expect(ended).to_be_visible()
    album.take(page, "storage")
    to_account(page, site)
    page.get_by_role("textbox", name="Email address").fill("dana@example.com")
    end_session(page)
    page.get_by_role("button", name="Email me a code").click()
    expect(ended).to_be_visible()
    to_account(page, site)
    fill_account(page)
    end_session(page)
    order(page, "€5 a month")
    expect(page.get_by_role("alert").filter(has_text="Your sign-up has ended.")).to_be_visible()
    album.take(page, "order")
    page.get_by_role("link", name="Start again").click()
    heading(page, re.compile("Welcome"))
    assert not UserProfile.objects.exists()

    erin = site.subscriber("erin")
    site.world.shop.v1.subscriptions.cancel(erin.stripe_subscription_id or "")
    site.world.deliver()
    site.recover(page, erin.email)
    heading(page, "Welcome back")
    end_session(page)
    order(page, "€5 a month")
    expect(page.get_by_role("alert").filter(has_text="Your session has ended.")).to_be_visible()
    album.take(page, "recovery")
    page.get_by_role("link", name="Ask for a new code").click()
    heading(page, "Get back into your account")
    assert site.world.stripe_state(erin)["status"] == "canceled"
