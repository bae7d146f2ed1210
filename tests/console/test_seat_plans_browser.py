"""Draining an instance in a browser, from its page to the person who says yes; the pages fit a small dark screen."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from apps.core import clock
from apps.core.models import Outage
from apps.instances.models import Instance, Seat
from apps.operations import seat_plan_job
from apps.operations.models import SeatMove, SeatPlan
from tests.console.conftest import fill
from tests.console.test_timeline_browser import open_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SMALL: Any = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}


@pytest.mark.long
def test_an_instance_is_drained_and_who_says_yes_is_moved(
    browser: Browser, live_server: Any, staff: Callable[..., Client], tmp_path: Any
) -> None:
    world = fill(6)
    SeatPlan.objects.filter(state="open").update(state="ended", ended_at=clock.now())
    old = world.instances[0]
    for one in world.instances[4:]:
        Instance.objects.filter(pk=one.pk).update(is_active=False)
    for seat in Seat.objects.filter(instance__in=world.instances[4:]):
        Seat.objects.filter(pk=seat.pk).update(instance=old)
    Instance.objects.filter(pk=old.pk).update(allocated_seats=3, assigned=3)
    client = staff("admin")
    page = open_page(browser, live_server.url, client, viewport={"width": 1440, "height": 1000})
    page.goto(live_server.url + reverse("admin:instances_instance_change", args=[old.pk]))
    page.get_by_role("link", name="Drain").first.click()
    expect(page.get_by_text("people are asked whether they move")).to_be_visible()
    page.screenshot(path=tmp_path / "drain.png")
    page.get_by_label("Type how many people would be asked").fill("3")
    page.get_by_label("Reason").fill("The old server is noisy")
    page.get_by_role("button", name="Drain").click()
    expect(page.get_by_text("0 of 3 moved.")).to_be_visible()
    plan = SeatPlan.objects.get(state="open")
    seat_plan_job.run(str(plan.pk))

    person = Client()
    person.force_login(world.profiles[0].user)
    theirs = open_page(browser, live_server.url, person, **SMALL)
    theirs.goto(live_server.url + reverse("dashboard"))
    theirs.get_by_role("link", name="Read and answer").click()
    expect(theirs.get_by_text("Your data doesn't move along.")).to_be_visible()
    theirs.screenshot(path=tmp_path / "question-small.png", full_page=True)
    theirs.get_by_role("button", name="Yes, move me").click()
    expect(theirs.get_by_text("You said yes")).to_be_visible()
    wide = open_page(browser, live_server.url, person, viewport={"width": 1440, "height": 1000})
    wide.goto(live_server.url + reverse("own-moves"))
    wide.screenshot(path=tmp_path / "question.png", full_page=True)

    declined = plan.moves.order_by("pk").last()
    assert declined is not None
    page.goto(live_server.url + reverse("admin:operations_seatmove_change", args=[declined.pk]))
    page.get_by_role("link", name="Record answer").first.click()
    page.get_by_label("They say").select_option("no")
    page.get_by_label("Reason").fill("She told us by phone")
    page.screenshot(path=tmp_path / "answer.png")
    page.get_by_role("button", name="Record answer").click()
    expect(page.get_by_text("declined").first).to_be_visible()
    seat_plan_job.run(str(plan.pk))
    states = plan.moves.order_by("pk").values_list("state", flat=True)
    assert list(states) == [SeatMove.State.MOVED, SeatMove.State.ASKED, SeatMove.State.DECLINED]
    page.goto(live_server.url + reverse("admin:operations_seatplan_change", args=[plan.pk]))
    expect(page.get_by_text("1 of 3 moved.")).to_be_visible()
    page.screenshot(path=tmp_path / "plan.png", full_page=True)

    addresses = {
        "plan": reverse("admin:operations_seatplan_change", args=[plan.pk]),
        "moves": reverse("admin:operations_seatmove_changelist"), "board": reverse("admin:capacity_board"),
        "outages": reverse("admin:core_outage_changelist"), "outage": reverse("admin:core_outage_change", args=[Outage.objects.earliest("pk").pk]),
    }  # fmt: skip
    for name, address in addresses.items():
        page.goto(live_server.url + address)
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        small = open_page(browser, live_server.url, client, **SMALL)
        small.goto(live_server.url + address)
        small.screenshot(path=tmp_path / f"{name}-small.png", full_page=True)
        assert small.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
