"""An approval in a browser: support asks by the dialog, an operator reads the request and approves it by keyboard."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.access.models import AccessOverride
from apps.billing.models import Subscription
from apps.core import clock
from apps.operations.models import ApprovalRequest
from tests.console.conftest import fill
from tests.console.test_timeline_browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.long
def test_support_asks_for_more_grace_and_an_operator_gives_it(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    row = fill(1).profiles[0]
    ApprovalRequest.objects.all().delete()
    AccessOverride.objects.all().delete()
    Subscription.objects.update(status="past_due", past_due_since=clock.now())
    page = open_page(browser, live_server.url, staff("support"), viewport={"width": 1440, "height": 1000})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(live_server.url + reverse("admin:accounts_userprofile_change", args=[row.pk]))
    page.get_by_role("button", name="Override").click()
    page.get_by_role("link", name="Extend grace period").click()
    page.get_by_label("60 more days").check()
    page.get_by_label("Reason").fill("She is in hospital until spring")
    page.screenshot(path=tmp_path / "dialog.png", full_page=True)
    page.get_by_role("button", name="Extend grace period").click()
    expect(page.get_by_text("another person has to decide")).to_be_visible()
    page.screenshot(path=tmp_path / "asked.png", full_page=True)

    page = open_page(
        browser, live_server.url, staff("operator"), viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(live_server.url + reverse("admin:operations_approvalrequest_changelist"))
    page.screenshot(path=tmp_path / "list-small.png", full_page=True)
    request = ApprovalRequest.objects.get()
    page.goto(live_server.url + reverse("admin:operations_approvalrequest_change", args=[request.pk]))
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.screenshot(path=tmp_path / "request-small.png", full_page=True)
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("link", name="Approve").click()
    page.get_by_label("Reason").fill("I have read her letter")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.screenshot(path=tmp_path / "approve-small.png", full_page=True)
    page.get_by_role("button", name="Approve").press("Enter")
    expect(page.get_by_text("operator-ada approved it on")).to_be_visible()
    assert AccessOverride.objects.get().created_by == "staff:support-ada"
    page.goto(live_server.url + reverse("admin:roles"))
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.screenshot(path=tmp_path / "roles-small.png", full_page=True)
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.screenshot(path=tmp_path / "roles.png", full_page=True)
    page.screenshot(path=tmp_path / "approved.png", full_page=True)
    assert complaints == []
