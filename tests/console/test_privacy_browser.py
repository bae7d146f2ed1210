"""Privacy in a browser: a request is recorded, the person erased with a typed name, and the receipt is readable on small dark screens."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.accounts.models import UserProfile
from tests.console.conftest import fill
from tests.console.test_actions import held, leaving
from tests.console.test_timeline_browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
REASON = "They asked for it by letter."


def test_a_request_is_recorded_and_the_person_erased_with_a_receipt(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    made, client = fill(2), staff("admin")
    profile = leaving(made)
    subscriber = live_server.url + reverse("admin:accounts_userprofile_change", args=[profile.pk])
    page = open_page(browser, live_server.url, client, viewport={"width": 1440, "height": 1000})
    page.goto(f"{subscriber}?tab=privacy")
    page.get_by_role("button", name="Privacy").or_(page.locator("a", has_text="Privacy").first).first.click()
    page.get_by_role("link", name="Record privacy request").click()
    page.get_by_label("Asked for").select_option("erasure")
    page.get_by_label("How it came in").fill(REASON)
    page.screenshot(path=tmp_path / "record.png")
    page.get_by_role("button", name="Record privacy request").click()
    expect(page.get_by_text("has to be answered by")).to_be_visible()

    page.goto(live_server.url + reverse("admin:accounts_userprofile_erase", args=[profile.pk]))
    page.screenshot(path=tmp_path / "erase.png", full_page=True)
    page.get_by_label("Reason").fill(REASON)
    page.get_by_label("Type the username to confirm").fill("person-0")
    page.get_by_role("button", name="Erase personal data").click()
    expect(page.get_by_role("heading", name="Personal data erased")).to_be_visible()
    page.screenshot(path=tmp_path / "erased.png", full_page=True)
    page.get_by_role("link", name="Receipt to print").click()
    expect(page.get_by_role("heading", name="Receipt of an erasure")).to_be_visible()
    expect(page.get_by_text("Not complete yet")).to_be_visible()
    page.screenshot(path=tmp_path / "receipt.png", full_page=True)


def test_lists_and_documents_fit_a_small_dark_screen(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    made, client = fill(2), staff("admin")
    held(made)
    profile = UserProfile.objects.get(pk=made.profiles[0].pk)
    page = open_page(browser, live_server.url, client, viewport={"width": 390, "height": 844}, color_scheme="dark")
    places = {
        "requests": reverse("admin:accounts_privacyrequest_changelist"),
        "holds": reverse("admin:accounts_legalhold_changelist"),
        "tab": reverse("admin:accounts_userprofile_change", args=[profile.pk]) + "?tab=privacy",
        "copy": reverse("admin:accounts_userprofile_personal_data", args=[profile.pk]),
        "receipt": reverse("admin:accounts_userprofile_receipt", args=[profile.pk]),
    }
    for name, place in places.items():
        page.goto(live_server.url + place)
        assert page.evaluate(FITS), name
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    page.goto(live_server.url + places["copy"])
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_role("heading", name="Copy of your personal data")).to_be_visible()
    assert page.evaluate(FITS)
    page.screenshot(path=tmp_path / "printed.png")
