"""The timeline in a browser: moments in the reader's time zone, filters by keyboard, and no sideways scroll on a small dark screen."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from apps.core import audit
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry
from tests.console.conftest import fill

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def open_page(browser: Browser, site: str, client: Client, **options: Any) -> Page:
    context = browser.new_context(timezone_id="America/New_York", **options)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": site}])
    return context.new_page()


def test_the_timeline_reads_in_the_readers_time_zone_and_by_keyboard(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    made, client = fill(1), staff("viewer")
    profile = made.profiles[0]
    audit.record(subject=profile.subject, action=AuditAction.LOGGED_IN, actor=audit.CUSTOMER)
    at = AuditEntry.objects.get(action=AuditAction.LOGGED_IN).at
    page = open_page(browser, live_server.url, client, viewport={"width": 1280, "height": 1000})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(live_server.url + reverse("admin:accounts_userprofile_timeline", args=[profile.pk]))
    line = page.get_by_role("listitem").filter(has_text="Logged in")
    moment, foot = line.locator("time"), page.locator("footer")
    expect(foot).to_contain_text("Times are in UTC.")  # until the browser has said where it is
    page.reload()
    expect(foot).to_contain_text("Times are in America/New_York.")
    expect(moment).to_have_text(f"{at.astimezone(ZoneInfo('America/New_York')):%-d %b %Y, %H:%M}")
    expect(line.locator(".fd-ago")).to_have_text("(now)")
    assert (moment.get_attribute("title") or "").endswith(f"{at:%H:%M:%S} UTC")
    page.screenshot(path=tmp_path / "timeline.png", full_page=True)
    foot.get_by_role("button", name="Show them in UTC").click()
    expect(foot).to_contain_text("Times are in UTC.")
    expect(moment).to_have_text(f"{at:%-d %b %Y, %H:%M}")

    page.get_by_role("combobox", name="What").focus()
    page.get_by_role("combobox", name="What").select_option("logins")
    page.get_by_role("searchbox", name="Id").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".fd-entry-action")).to_have_count(1)
    page.get_by_role("searchbox", name="Id").fill("evt_none")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing like that in this timeline.")).to_be_visible()

    small = open_page(browser, live_server.url, client, viewport={"width": 390, "height": 844}, color_scheme="dark")
    small.goto(live_server.url + reverse("admin:accounts_userprofile_timeline", args=[profile.pk]))
    expect(small.locator(".fd-entry-action").first).to_be_visible()
    assert small.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    small.screenshot(path=tmp_path / "timeline-small.png", full_page=True)
    assert complaints == []
