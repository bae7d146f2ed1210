"""The inbox in a browser: a group is previewed and retried from its card, and the page fits a small dark screen."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.console import dashboard
from apps.core.models import AttentionItem, Job
from apps.notifications.models import Notification
from apps.operations.models import Drift
from tests.console.conftest import fill
from tests.console.test_inbox import busy
from tests.console.test_timeline_browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.long
def test_a_group_is_previewed_and_retried_and_one_is_snoozed(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    world = fill(3)
    for model in (Job, Drift, Notification):
        model.objects.all().delete()
    busy(world)
    client = staff("operator")
    page = open_page(browser, live_server.url, client, viewport={"width": 1440, "height": 1000})
    page.goto(live_server.url + reverse("admin:inbox"))
    expect(page.locator(".fd-problem")).to_have_count(5)
    page.screenshot(path=tmp_path / "inbox.png", full_page=True)
    page.get_by_role("link", name="Retry the group: Stuck: Email: Welcome").click()
    expect(page.get_by_text("4 jobs will run again")).to_be_visible()
    page.screenshot(path=tmp_path / "inbox-retry.png")
    page.get_by_label("Reason").fill("The group is there again")
    page.get_by_role("button", name="Retry the group").click()
    expect(page.get_by_text("4 jobs run again.")).to_be_visible()
    assert Job.objects.filter(state="queued").count() == 4
    page.get_by_role("link", name="Snooze: A payment is disputed").click()
    page.get_by_label("Until").fill("2999-01-01")
    page.get_by_label("Reason").fill("The bank decides in January")
    page.get_by_role("button", name="Snooze").click()
    expect(page.get_by_role("link", name="Snoozed 2")).to_be_visible()
    assert AttentionItem.objects.exclude(snoozed_until=None).count() == 2
    page.get_by_role("link", name="Snoozed 2").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    page.screenshot(path=tmp_path / "inbox-items.png", full_page=True)

    dashboard.forget()
    for scheme in ("dark", "light"):
        small = open_page(browser, live_server.url, client, viewport={"width": 390, "height": 844}, color_scheme=scheme)
        small.goto(live_server.url + reverse("admin:inbox"))
        assert small.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        small.screenshot(path=tmp_path / f"inbox-small-{scheme}.png", full_page=True)
