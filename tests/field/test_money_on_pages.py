"""What pages say about money: what was paid for the period and is left, and until when nothing is collected."""

import re
from collections.abc import Callable
from typing import Any

from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.core import clock
from apps.core.dates import day
from tests.console import desk
from tests.world import World

DAY = 86_400


def dashboard(profile: UserProfile) -> str:
    client = Client()
    client.force_login(profile.user)
    return re.sub(r"<[^>]+>", "", client.get(reverse("dashboard")).content.decode())


def pause(world: World, profile: UserProfile, **more: Any) -> None:
    wish: Any = {"pause_collection": {"behavior": "void"} | more}
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", wish)
    world.deliver()


def test_staff_read_what_is_left_of_what_was_paid(world: World, staff: Callable[[str], Client]) -> None:
    dana, eve = world.subscriber("dana", interval="year"), world.subscriber("eve")
    world.shop.control("refund", charge=world.charge(dana), amount=1250)
    world.deliver()
    assert "Paid for this period: €50, returned: €12.50, left: €37.50" in desk.page_of(staff("support"), dana)
    assert "Paid for this period: €5, returned: €0, left: €5" in desk.page_of(staff("support"), eve)
    assert "Collection is paused" not in desk.page_of(staff("support"), eve)


def test_nothing_is_said_of_money_before_it_is_known(world: World, staff: Callable[[str], Client]) -> None:
    dana = world.subscriber("dana")
    Subscription.objects.update(paid_for_period=None, left_of_period=None)
    assert "Paid for this period" not in desk.page_of(staff("support"), dana)


def test_everybody_reads_until_when_billing_is_paused(world: World, staff: Callable[[str], Client]) -> None:
    """Case 22: the next charge during the pause is none."""
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    assert "Next charge" in dashboard(dana)
    pause(world, dana, resumes_at=clock.timestamp() + 70 * DAY)
    dana.refresh_from_db()
    until = day(Subscription.objects.get(stripe_id=dana.stripe_subscription_id).pause_ends_at)
    page = dashboard(dana)
    assert f"Billing is paused until {until}." in page
    assert f"Your subscription is active. Billing is paused until {until}." in page
    assert "Next charge" not in page
    assert f"Collection is paused until {until}" in desk.page_of(staff("support"), dana)
    assert "Billing is paused" not in dashboard(eve)


def test_a_pause_that_ends_before_the_next_charge_hides_nothing(world: World) -> None:
    dana = world.subscriber("dana")
    pause(world, dana, resumes_at=clock.timestamp() + 5 * DAY)
    assert "Next charge" in dashboard(dana)
    world.pass_time(days=6)
    world.deliver()
    world.sweep()
    dana.refresh_from_db()
    assert "Billing is paused" not in dashboard(dana)


def test_a_pause_without_an_end_says_for_now(world: World, staff: Callable[[str], Client]) -> None:
    dana = world.subscriber("dana")
    pause(world, dana)
    dana.refresh_from_db()
    assert "Billing is paused. You won't be charged for now." in dashboard(dana)
    assert "Collection is paused until somebody resumes it at Stripe" in desk.page_of(staff("support"), dana)
