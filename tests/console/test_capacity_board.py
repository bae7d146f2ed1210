"""The capacity board: true numbers with their lists, dates with a span, and what a new instance would change."""

import datetime as dt
import html
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.console import dashboard
from apps.console.capacity_board import read_board
from apps.core import clock
from apps.instances.models import Instance, Seat, SeatWait
from apps.onboarding.models import WaitlistEntry
from apps.operations import daily_figures
from apps.operations.models import DailyFigure
from tests.console.conftest import World, _instance

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
NUMBER = re.compile(r'data-rows="(\d+)" href="([^"]+)"')
Staff = Callable[..., Client]


def page(client: Client, **asked: Any) -> str:
    dashboard.forget()
    return " ".join(html.unescape(client.get(reverse("admin:capacity_board"), asked).content.decode()).split())


def people(world: World, count: int, *, instance: Instance, state: str, **fields: Any) -> None:
    """So many more seats of a state on an instance, and its counters with them."""
    now = clock.now()
    for _ in range(count):
        user = User.objects.create(username=f"guest-{User.objects.count()}")
        profile = UserProfile.objects.create(user=user, email=f"{user}@example.com", created_at=now, **fields)
        ends = {"reserved_until": now + DAY} if state == "reserved" else {}
        Seat.objects.create(
            profile=profile, product=world.cloud, instance=instance, state=state, created_at=now, changed_at=now, **ends
        )
    counted = {one: instance.seats.filter(state=one).count() for one in ("reserved", "assigned", "retained")}
    Instance.objects.filter(pk=instance.pk).update(allocated_seats=sum(counted.values()), **counted)


def full(world: World) -> None:
    """No seat is free for new subscribers."""
    for one in Instance.objects.filter(product=world.cloud):
        taken = one.allocated_seats
        Instance.objects.filter(pk=one.pk).update(soft_cap=max(0, taken - 1), allocation_cap=taken, hard_cap=taken + 9)


@pytest.fixture
def busy(world: World) -> World:
    """Every number of the board is more than 0."""
    now, (first, second, *_) = clock.now(), world.instances
    people(world, 2, instance=first, state="reserved")
    people(world, 3, instance=first, state="retained", final_expiry_at=now + 9 * DAY, access_state="canceled")
    people(world, 1, instance=second, state="retained", final_expiry_at=now + 40 * DAY, access_state="canceled")
    people(world, 1, instance=second, state="retained", access_state="on_hold")
    SeatWait.objects.all().delete()
    for profile in world.profiles[:2]:
        SeatWait.objects.create(profile=profile, product=world.cloud, since=now)
    WaitlistEntry.objects.update(confirmed_at=now)
    for product in (world.plan, None):
        WaitlistEntry.objects.create(email="more@example.com", product=product, created_at=now, confirmed_at=now)
    return world


def test_each_number_opens_a_list_with_exactly_that_many_rows(busy: World, staff: Staff) -> None:
    client = staff("viewer")
    numbers = [(int(rows), url) for rows, url in NUMBER.findall(page(client))]
    assert len({url for _, url in numbers}) == len(numbers) > 15
    for rows, url in numbers:
        answer = client.get(urlsplit(url).path, dict(parse_qsl(urlsplit(url).query)))
        assert answer.context["cl"].result_count == rows, url
    assert {rows for rows, _ in numbers} > {1, 2, 3, 5}


def test_retained_seats_say_when_they_come_free(busy: World, staff: Staff) -> None:
    text, first = page(staff("viewer")), clock.now() + 9 * DAY
    assert f'3 within 30 days</a> <span class="fd-quiet">first {first.day} {first:%b %Y}' in text
    listed = staff("viewer").get(reverse("admin:instances_seat_changelist"), {"view": "coming_free"})
    assert {seat.profile.access_state for seat in listed.context["cl"].result_list} == {"canceled"}


def test_growth_and_dates_come_from_the_nights_and_end_with_today(world: World, staff: Staff) -> None:
    today = clock.now().date()
    assert page(staff("viewer")).count("too few days to say") == 3 * (1 + len(world.instances))
    for ago in range(1, 31):
        DailyFigure.objects.create(day=today - ago * DAY, name="seats", about="cloud", value=33 - ago)
    board = read_board().find(world.cloud.pk)
    assert board is not None
    assert board.taken == 3
    people(world, 30, instance=world.instances[0], state="assigned")
    board = read_board().find(world.cloud.pk)
    assert board is not None
    assert (board.taken, board.free, board.forecast.growth_text) == (33, 147, "+30")
    assert board.forecast.full.on == today + 147 * DAY
    shown = staff("viewer").get(reverse("admin:index")).content.decode()
    day = today + 147 * DAY
    assert f"full about {day.day} {day:%b %Y} at the pace of 30 days" in shown


def test_an_instance_grows_by_its_own_nights(world: World) -> None:
    first, second, _ = world.instances
    for ago, seat in enumerate(Seat.objects.filter(instance=first)):
        Seat.objects.filter(pk=seat.pk).update(created_at=clock.now() - (ago + 20) * DAY)
    daily_figures.record()
    found = {
        about: value for (_, about), one in daily_figures.read_series(names=["instance"]).items() for value in [one]
    }
    assert set(found) == {one.slug for one in world.instances}
    assert len(found[first.slug]) == 21
    assert len(found[second.slug]) == 1
    board = read_board().find(world.cloud.pk)
    assert board is not None
    growth = {room.at.slug: room.forecast.growth_text for room in board.rooms}
    assert growth[first.slug] == "0"
    assert growth[second.slug] == "too few days to say"


def test_what_is_out_of_the_ordinary_is_said_in_words(world: World, staff: Staff) -> None:
    first, second, third = world.instances
    people(world, 9, instance=first, state="assigned")
    Instance.objects.filter(pk=first.pk).update(soft_cap=3, allocation_cap=5, hard_cap=8, over_cap_since=clock.now())
    Instance.objects.filter(pk=second.pk).update(soft_cap=0, allocation_cap=1)
    Instance.objects.filter(pk=third.pk).update(auto_allocate=False)
    Product.objects.create(slug="mail", name="Mail", is_app=True, needs_instance=True)
    text = page(staff("viewer"))
    for words in ("2 over the hard cap", ">full<", ">closed<", "No instance yet: nobody can get a seat."):
        assert words in text


def test_a_new_instance_serves_who_paid_first_and_then_the_waitlist(busy: World, staff: Staff) -> None:
    full(busy)
    text = page(staff("support"), product=busy.cloud.pk, seats=4)
    assert "2 of 2 who paid and wait get a seat at once: <a" in text
    assert "person-0</a>" in text
    assert "2 of 4 on the waitlist could be invited; now 0." in text
    assert "Cloud: up to 2 of 3, in the order in which they joined." in text
    assert "Family: all 1, in the order in which they joined." in text
    assert "1 of 2 who paid and wait gets a seat at once" in page(staff("support"), product=busy.cloud.pk, seats=1)


def test_a_full_product_that_they_need_too_is_named(busy: World, staff: Staff) -> None:
    full(busy)
    mail = Product.objects.create(slug="mail", name="Mail", is_app=True, needs_instance=True)
    busy.plan.includes.add(mail)
    text = page(staff("viewer"), product=busy.cloud.pk, seats=9)
    assert "3 of 4 on the waitlist could be invited; now 0." in text
    assert "Family: nobody (Mail, which they need too, has no more room)." in text


def test_the_new_date_is_said_beside_the_old(busy: World, staff: Staff) -> None:
    today = clock.now().date()
    board = read_board().find(busy.cloud.pk)
    assert board is not None
    for ago in range(1, 31):
        DailyFigure.objects.create(
            day=today - ago * DAY, name="seats", about="cloud", value=board.taken + 60 - 2 * ago - 60
        )
    full(busy)
    text, day = page(staff("viewer"), product=busy.cloud.pk, seats=42), today + 20 * DAY
    assert f"Full: <b>now</b> without it, <b>in 20 days, {day.day} {day:%b %Y}</b> with it" in text
    assert "<b>in 18 days, " in text


@pytest.mark.parametrize(
    "asked", [{"seats": "0"}, {"seats": "many"}, {"seats": "1000001"}, {"product": "nix"}, {"product": "999999"}]
)
def test_what_makes_no_sense_is_refused_and_the_board_still_shown(
    world: World, staff: Staff, asked: dict[str, str]
) -> None:
    text = page(staff("viewer"), **{"product": str(world.cloud.pk), "seats": "5"} | asked)
    assert 'role="alert"' in text
    assert "what-if-answer" not in text
    assert "Cloud 0" in text


def test_the_form_of_a_new_instance_shows_the_same(busy: World, staff: Staff) -> None:
    full(busy)
    client = staff("admin")
    assert reverse("admin:capacity_what_if") in client.get(reverse("admin:instances_instance_add")).content.decode()
    assert reverse("admin:capacity_what_if") not in (
        client.get(reverse("admin:instances_instance_change", args=[busy.instances[0].pk])).content.decode()
    )
    asked = {"product": str(busy.cloud.pk), "allocation_cap": "4"}
    answer = " ".join(client.get(reverse("admin:capacity_what_if"), asked).content.decode().split())
    assert "2 of 2 who paid and wait get a seat at once" in answer
    empty = client.get(reverse("admin:capacity_what_if"), {"product": "", "allocation_cap": ""}).content.decode()
    assert "Choose a product and an allocation cap" in empty


def test_a_hundred_instances_cost_what_three_do(world: World) -> None:
    costs = []
    for more in (0, 100):
        for index in range(10, 10 + more):
            _instance(world.cloud, index)
        dashboard.forget()
        with CaptureQueriesContext(connection) as queries:
            board = read_board()
        costs.append(len(queries))
    assert costs == [4, 4]
    found = board.find(world.cloud.pk)
    assert found is not None
    assert (found.count, len(found.rooms)) == (103, 50)
    assert Group.objects.count() > 100
