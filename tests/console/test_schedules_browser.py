"""Schedules and workers in a browser: readable, and no sideways scroll of the page on a small dark screen."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.core import clock
from apps.core.models import Job
from tests.console.conftest import fill
from tests.console.test_timeline_browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.long
def test_schedules_and_stuck_jobs_fit_a_small_dark_screen(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    world, now = fill(3), clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_heartbeat VALUES ('worker@desk:1', clock_timestamp()), ('cluster@desk:1', clock_timestamp())"
        )
    Job.objects.create(
        kind="reconcile",
        key=str(world.profiles[0].pk),
        lane="x",
        state="running",
        not_before=now,
        created_at=now,
        started_at=now,
    )
    client = staff("operator")
    page = open_page(browser, live_server.url, client, viewport={"width": 1440, "height": 1000})
    page.goto(live_server.url + reverse("admin:schedules"))
    expect(page.get_by_role("heading", name="Workers", exact=True)).to_be_visible()
    page.screenshot(path=tmp_path / "schedules.png")
    page.get_by_role("link", name="Jobs").first.click()
    expect(page.locator("#result_list tbody tr")).to_have_count(3)
    page.get_by_label("Select all on this page").check()
    page.get_by_role("link", name="Retry selected").click()
    expect(page.get_by_text("3 jobs will run again")).to_be_visible()
    page.screenshot(path=tmp_path / "jobs.png")
    for name, address in (("schedules", "admin:schedules"), ("jobs", "admin:core_job_changelist")):
        small = open_page(browser, live_server.url, client, viewport={"width": 390, "height": 844}, color_scheme="dark")
        small.goto(live_server.url + reverse(address))
        assert small.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
        small.screenshot(path=tmp_path / f"{name}-small.png")
