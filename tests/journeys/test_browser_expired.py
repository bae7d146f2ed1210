"""A session that has run out: whatever button is pressed then, the person is back at its page with a sentence, and nothing was done."""

import re

import pytest
from playwright.sync_api import Locator, expect

from apps.catalog.models import Product
from apps.core.models import AuditEntry
from apps.dashboard.own import LOGGED_OUT
from tests.journeys.site import Site, end_session, site, visit
from tests.journeys.stack import Album, Visit

__all__ = ["site", "visit"]
pytestmark = [pytest.mark.browser, pytest.mark.long]
PAGES = (
    "", "plan/", "plan/preview/?plan=personal&interval=month", "plan/cancel/", "account/", "account/address/", "account/data/",
    "account/delete/", "people/", "sessions/",
)  # fmt: skip
BUTTONS = {
    "billing/", "reset-password/", "plan/change/", "plan/cancel/confirm/", "account/name/", "account/address/", "account/data/ask/",
    "account/delete/confirm/", "people/invite/", "sessions/end-all/",
}  # fmt: skip


def press(form: Locator) -> None:
    """Fill in a form and send it."""
    for field in form.locator("input:visible:not([type=checkbox]):not([type=radio])").all():
        field.fill("erin@example.com")
    form.locator("button[type=submit], button:not([type])").last.click()


def test_a_subscriber_is_told_at_every_button(site: Site, visit: Visit, album: Album) -> None:
    world = site.world
    Product.objects.filter(slug="plus").update(people=3)
    dana, page = site.subscriber("dana", plus=1), visit(width=390, height=844)
    site.log_in(page, "dana")
    before = world.state(dana), world.mails(), AuditEntry.objects.exclude(action__contains="log").count()
    pressed: set[str] = set()
    for path in PAGES:
        address = f"/dashboard/{path}"
        site.log_in(page, "dana", address)
        forms = page.locator("main form[method=post]")
        actions = [one.get_attribute("action") or "" for one in forms.all()]
        for number, action in enumerate(actions):
            if action in pressed or action.endswith("sessions/end/"):
                continue
            pressed.add(action)
            site.log_in(page, "dana", address)
            end_session(page)
            press(forms.nth(number))
            expect(page.locator("main, .messages").get_by_text(LOGGED_OUT)).to_be_visible()
            album.take(page, re.sub(r"\W+", "-", action))
    assert pressed == {f"/dashboard/{one}" for one in BUTTONS}
    world.work()
    assert (world.state(dana), world.mails(), AuditEntry.objects.exclude(action__contains="log").count()) == before
