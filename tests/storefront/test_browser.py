"""The sign-up in a browser: before Stripe's script has come, and on a phone. (The whole way: tests/journeys.)"""

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from apps.storefront import views
from tests.storefront.visitor import PAGES, Visitor
from tests.world import World


@pytest.fixture
def site(transactional_db: None, world: World, live_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The site's address, with the sandbox in Stripe's place."""
    settings.BASE_URL = live_server.url
    settings.STRIPE_JS_URL = f"{world.url}/stripe/js/stripe.js"
    for directive in views.STRIPE_CSP:
        monkeypatch.setitem(views.STRIPE_CSP, directive, [world.url])
    return str(live_server.url)


@pytest.mark.browser
def test_the_page_works_before_stripes_script_has_come(page: Page, site: str, settings: Any) -> None:
    """The mailbox is proven already, as for those who were invited: what is typed at once is not lost."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/stripe/js/stripe.js", hold)
    key = Visitor().proven().client.session.session_key or ""
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": site}])
    page.goto(f"{site}{PAGES['checkout']}", wait_until="commit")
    page.get_by_label("Username").fill("dana")
    expect(page.get_by_text("This username is available.")).to_be_visible()
    page.get_by_label("I accept the terms").check()
    page.get_by_role("button", name="Order and pay").click()
    assert held, "the page does not ask for Stripe's script"
    held[0].continue_()
    form = page.frame_locator("#payment-frame iframe")
    expect(form.get_by_role("button", name="Pay €")).to_be_visible()


@pytest.mark.browser
@pytest.mark.long
def test_on_a_phone_the_total_follows_the_choice_and_stands_above_the_order_button(
    page: Page, site: str, settings: Any
) -> None:
    key = Visitor().proven().client.session.session_key or ""
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": site}])
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site}{PAGES['plan']}")
    bar, said = page.locator(".order-bar-total"), page.locator("#order-live")
    expect(bar).to_be_in_viewport()
    expect(said).to_have_text("")
    page.get_by_text("Yearly", exact=True).click()
    page.locator(".plan", has_text="Plus").click()
    expect(bar).to_contain_text("€90 a year")
    expect(said).to_have_text("Your order: €90 a year. Due today: €90.")
    bar.click()
    expect(page.locator("#order")).to_be_in_viewport()
    page.route("**/onboarding/plan/?*", lambda route: route.abort())
    page.locator(".plan", has_text="Personal").click()
    expect(page.locator("#order-failed")).to_be_visible()
    expect(page.locator("[data-total]")).to_be_hidden()

    page.goto(f"{site}{PAGES['addons']}")
    page.get_by_role("button", name="Add one: 100 GB more").click()
    expect(bar).to_contain_text("€6.50 a month")
    page.get_by_role("button", name="Continue").click()
    total, button = page.locator("[data-total]:visible"), page.get_by_role("button", name="Order and pay €6.50 a month")
    expect(total).to_have_count(1)
    above, below = total.bounding_box(), button.bounding_box()
    assert above is not None
    assert below is not None
    assert 0 < below["y"] - above["y"] < 500
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
