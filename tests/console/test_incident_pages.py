"""Incident mode in the console: every page says that it is on, and the number held back opens the list with exactly them."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.access.models import AccessFreeze, HeldBackLoss
from apps.billing.models import Subscription
from apps.console import dashboard
from apps.console.navigation import list_url
from apps.core import clock
from tests.console.conftest import World, fill
from tests.console.test_timeline_browser import open_page

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
FROZEN = "Incident mode: billing takes no access"
LIST, HELD = "admin:access_accessfreeze_changelist", "admin:access_heldbackloss_changelist"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    dashboard.forget()


def begin(**changes: Any) -> AccessFreeze:
    now = clock.now()
    values = {
        "begun_at": now,
        "begun_by": "staff:ada",
        "until": now + dt.timedelta(hours=24),
        "reason": "Stripe reports wrong failures",
    }
    freeze = AccessFreeze.objects.create(**values | changes)
    dashboard.forget()
    return freeze


def test_every_page_says_so_to_everybody_of_staff_and_costs_no_query_more(world: World, staff: Staff) -> None:
    freeze, client = begin(), staff("viewer")
    pages = [reverse("admin:index"), *(list_url(model) for model in admin.site._registry)]
    pages += [reverse("admin:accounts_userprofile_change", args=[world.profiles[0].pk])]
    for page in pages:
        text = client.get(page).content.decode()
        assert text.count(FROZEN) == 1, page
    for told in ("by ada: ", "Stripe reports wrong failures", f"{freeze.until:%H:%M}", "3 held back"):
        assert told in text
    assert client.get(reverse(HELD)).context["cl"].result_count == HeldBackLoss.objects.count() == 3

    AccessFreeze.objects.filter(pk=freeze.pk).update(ended_at=clock.now())
    dashboard.forget()
    assert "Incident mode is over." in client.get(pages[0]).content.decode()
    HeldBackLoss.objects.all().delete()
    dashboard.forget()
    assert "Incident mode" not in client.get(pages[0]).content.decode().replace("Incident mode</", "")


def test_the_subscribers_page_says_what_is_held_back_and_until_when(world: World, staff: Staff) -> None:
    row = world.profiles[0]
    Subscription.objects.filter(customer_id=row.stripe_customer_id).update(status="unpaid")
    row.overrides.update(lifted_at=clock.now())
    freeze = begin()
    text = staff("support").get(reverse("admin:accounts_userprofile_change", args=[row.pk])).content.decode()
    assert "billing demands “Suspended”" in text
    assert f'Held back until <time datetime="{freeze.until.isoformat()}"' in text
    assert "Held back by incident mode until then" in text  # of what happens next


def test_a_wrong_end_or_number_is_refused_in_the_dialog(world: World, staff: Staff) -> None:
    client, why = staff("admin"), {"_form_submitted": "on", "reason": "payments fail everywhere"}
    for hours in ("0", "73", "x", ""):
        client.post(reverse("admin:access_accessfreeze_begin"), why | {"until": hours}, headers={"HX-Request": "true"})
    assert not AccessFreeze.objects.filter(ended_at=None).exists()
    freeze = begin()
    end = reverse("admin:access_accessfreeze_end", args=[freeze.pk])
    answer = client.post(end, why | {"confirmation": "2"}, headers={"HX-Request": "true"})
    assert "3 are held back now. Please check again." in answer.content.decode()
    assert AccessFreeze.in_force(clock.now()).exists()


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_an_admin_begins_and_ends_it_and_it_fits_a_small_dark_screen(
    browser: Browser, live_server: Any, staff: Staff, tmp_path: Path
) -> None:
    client = staff("admin")
    fill(3)
    AccessFreeze.objects.all().delete()
    dashboard.forget()
    page = open_page(browser, live_server.url, client, viewport={"width": 1440, "height": 900})
    page.goto(live_server.url + reverse(LIST))
    page.get_by_role("link", name="Begin incident mode").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Nobody loses access")).to_be_visible()
    expect(dialog.locator(":focus")).to_have_count(1)
    page.screenshot(path=tmp_path / "begin.png")
    dialog.get_by_label("Reason").fill("Stripe reports payments as failed that were not.")
    dialog.get_by_role("button", name="Begin incident mode").click()
    expect(page.get_by_text(FROZEN)).to_be_visible()
    page.screenshot(path=tmp_path / "incident.png", full_page=True)
    page.get_by_role("link", name="3 held back").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(3)
    page.screenshot(path=tmp_path / "held.png", full_page=True)
    for scheme in ("dark", "light"):
        for name, address in (("held", reverse(HELD)), ("list", reverse(LIST)), ("today", reverse("admin:index"))):
            small = open_page(
                browser, live_server.url, client, viewport={"width": 390, "height": 844}, color_scheme=scheme
            )
            small.goto(live_server.url + address)
            assert small.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
            small.screenshot(path=tmp_path / f"{name}-{scheme}.png", full_page=True)
            small.close()
    page.get_by_role("link", name="End or prolong").click()
    page.get_by_role("link", name="End incident mode").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(":focus")).to_have_count(1)  # else what is typed may go where the focus jumps to
    dialog.get_by_label("Reason").fill("Stripe has put it right.")
    dialog.get_by_label("Type how many").fill("3")
    page.screenshot(path=tmp_path / "end.png")
    dialog.get_by_role("button", name="End incident mode").click()
    expect(page.get_by_text("Incident mode is over.").first).to_be_visible()
