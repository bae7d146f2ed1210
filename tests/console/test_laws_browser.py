"""The page of the laws in a browser: it follows a check that staff asked for, and fits the screen."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from apps.core import jobs, law_checks, laws
from apps.core.models import LawCheck
from apps.instances.models import Instance
from tests.console.conftest import World, fill
from tests.console.test_timeline_browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def is_within_its_width(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.long
def test_the_page_follows_a_check_and_leads_to_what_breaks_a_law(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    made: World = fill(3)
    Instance.objects.filter(pk=made.seats[0].instance_id).update(allocated_seats=7)
    LawCheck.objects.all().delete()
    client = staff("operator")
    law_checks.check_now(actor="staff:ada", reason="a test")
    page = open_page(browser, live_server.url, client, viewport={"width": 1280, "height": 1000})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(live_server.url + reverse("admin:core_lawcheck_changelist"))
    expect(page.get_by_role("status").filter(has_text=f"0 of {len(laws.all_laws())} laws are checked")).to_be_visible()
    jobs.drain()
    expect(page.get_by_text("Not checked yet")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="Last violated")).to_be_in_viewport()
    page.screenshot(path=tmp_path / "laws.png", full_page=True)
    page.get_by_role("link", name=re.compile("violations? of L8")).click()
    expect(page.get_by_text("counts 7 seats")).to_be_visible()

    small = open_page(browser, live_server.url, client, viewport={"width": 390, "height": 844}, color_scheme="dark")
    small.goto(live_server.url + reverse("admin:core_lawcheck_changelist"))
    expect(small.get_by_role("heading", name="What always holds")).to_be_visible()
    assert is_within_its_width(small)
    cells = "[...document.querySelectorAll('#laws td')].every(one => one.getBoundingClientRect().right <= innerWidth)"
    assert small.evaluate(cells), "every cell is seen without scrolling to the side"
    small.screenshot(path=tmp_path / "laws-small.png", full_page=True)
    assert complaints == []
