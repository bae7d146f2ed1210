"""What subscribers do on their own, in a browser without JavaScript: by the links and forms that the pages have, to its end."""

import pytest

from apps.accounts.models import UserProfile
from tests.dashboard.test_address import NEW, addresses, code_in, mail_to
from tests.dashboard.test_data import browser_of, erased
from tests.plain_browser import PlainBrowser
from tests.storefront.test_recovery import canceled, code, pay
from tests.world import World

HOME = "/dashboard/"


def at_home(profile: UserProfile) -> PlainBrowser:
    """The dashboard, in the browser of somebody who has logged in just now."""
    browser = PlainBrowser(browser_of(profile))
    browser.open(HOME)
    return browser


def test_a_plan_is_changed_canceled_and_kept(world: World) -> None:
    dana = world.subscriber("dana")
    browser = at_home(dana)
    browser.follow("Change plan or storage")
    browser.press("See what it costs", plan="plus")
    browser.press("Change plan and pay")
    assert "Your plan has changed." in browser.text
    world.deliver()
    assert [one["price"]["id"] for one in world.stripe_state(dana)["items"]["data"]] == [world.price("plus")]
    browser.open(HOME)
    browser.follow("Cancel subscription")
    browser.press("Cancel my subscription", feedback="unused")
    assert "Your subscription ends on" in browser.text
    world.deliver()
    stripe = world.stripe_state(dana)
    assert (stripe["cancel_at_period_end"], stripe["cancellation_details"]["feedback"]) == (True, "unused")
    browser.open(HOME)
    browser.follow("Keep my subscription")
    browser.press("Keep my subscription")
    assert world.stripe_state(dana)["cancel_at"] is None


def test_an_address_is_changed_and_the_account_deleted(world: World) -> None:
    dana = world.subscriber("dana")
    browser = at_home(dana)
    browser.follow("Your account")
    browser.follow("Change address")
    browser.press("Email me a code", email=NEW)
    browser.press("Confirm", code=code_in(mail_to(world, NEW)))
    assert NEW in browser.text
    assert NEW in addresses(world, dana)
    browser.follow("Delete my account")
    browser.press("Delete my account", username="dana")
    assert "Your account is being deleted" in browser.text
    world.deliver()
    assert erased(dana)


def test_who_canceled_pays_and_gets_back_in(world: World) -> None:
    dana = canceled(world)
    browser = PlainBrowser()
    browser.open("/recovery/")
    browser.press("Email me a code", email=dana.email)
    browser.press("Confirm", code=code())
    assert "Welcome back" in browser.text
    browser.press("Order and pay")
    pay(world, browser.left_to)
    world.deliver()
    assert world.state(dana).access == "active"
    browser.open("/recovery/")
    browser.press("Email me a link to set a new password")
    assert "We've emailed you a link" in browser.text


@pytest.mark.parametrize("pressed", ["pay", "password"])
def test_a_button_of_the_recovery_needs_a_confirmed_mailbox(db: None, pressed: str) -> None:
    browser = PlainBrowser()
    browser.open("/recovery/")
    token = browser.page.forms[0].filled["csrfmiddlewaretoken"][0]
    answer = browser.client.post("/recovery/", {"account": pressed, "csrfmiddlewaretoken": token}, follow=True)
    assert "Your session has ended" in answer.content.decode()
