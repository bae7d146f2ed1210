"""The figures of each day: taken from the facts, filled in where nights are missing, and never changed once a day is over."""

import datetime as dt

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from apps.catalog.models import Product
from apps.core import clock
from apps.instances.models import Instance, Seat
from apps.operations import daily_figures
from apps.operations.models import DailyFigure
from apps.sandbox.populate import house
from tests.world import World

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def subscription(
    name: str, status: str, *, made: int, ended: int | None = None, trial: int | None = None, **fields: object
) -> None:
    """Days ago it was made, ended, and its trial was over."""
    ago = lambda days: None if days is None else clock.now() - days * DAY  # noqa: E731
    Subscription.objects.create(
        stripe_id=f"sub_{name}", customer_id=f"cus_{name}", status=status, stripe_created_at=ago(made), ended_at=ago(ended), trial_end=ago(trial),
        fetched_at=clock.now(), **{"monthly_amount": 1000, "currency": "eur"} | fields,
    )  # fmt: skip


def figure(name: str, *, ago: int, about: str = "") -> int | None:
    day = (clock.now() - ago * DAY).date()
    return DailyFigure.objects.filter(name=name, about=about, day=day).values_list("value", flat=True).first()


def test_past_days_are_filled_in_from_what_the_facts_say() -> None:
    subscription("old", "active", made=400)
    subscription("late", "past_due", made=40, monthly_amount=500)
    subscription("gone", "canceled", made=60, ended=20)
    subscription("abroad", "active", made=10, monthly_amount=700, currency="usd")
    subscription("trial", "trialing", made=5, trial=-5)
    subscription("tried", "active", made=30, trial=15)
    subscription("left", "canceled", made=30, ended=25, trial=16)  # in its trial: it never paid
    subscription("never", "incomplete_expired", made=3)
    daily_figures.record()
    assert [figure("subscribers", ago=days) for days in (89, 60, 40, 20, 15, 0)] == [1, 2, 3, 2, 3, 4]
    assert [figure("revenue", about="eur", ago=days) for days in (89, 50, 30, 0)] == [1000, 2000, 2500, 2500]
    assert [figure("revenue", about="usd", ago=days) for days in (11, 10)] == [None, 700]
    assert [figure("new", ago=days) for days in (60, 15, 14)] == [1, 1, 0]
    assert [figure("lost", ago=days) for days in (25, 20)] == [0, 1]
    assert figure("subscribers", ago=90) is None


def test_the_populated_demo_has_thirteen_months_before_which_nothing_is_changed() -> None:
    subscription("old", "active", made=390)
    subscription("gone", "canceled", made=200, ended=120)
    daily_figures.record()
    kept = list(DailyFigure.objects.order_by("pk").values())
    for _ in range(2):
        house.fill_in_figures(clock.now())
    assert [figure("subscribers", ago=days) for days in (396, 390, 200, 120, 90, 89)] == [0, 1, 2, 1, 1, 1]
    assert (figure("new", ago=390), figure("lost", ago=120), figure("subscribers", ago=397)) == (1, 1, None)
    assert list(DailyFigure.objects.filter(pk__in=[one["id"] for one in kept]).order_by("pk").values()) == kept


def test_seats_count_from_the_day_they_were_taken_to_the_day_they_were_released() -> None:
    cloud = Product.objects.create(slug="cloud", name="Cloud", is_app=True, needs_instance=True)
    group = Group.objects.create(name="/frontdesk/cloud-1")
    instance = Instance.objects.create(
        slug="cloud-1", name="Cloud 1", product=cloud, url="https://c.example", soft_cap=3, allocation_cap=4, hard_cap=5, group=group
    )  # fmt: skip
    for number, (taken, released) in enumerate([(30, None), (20, 10)]):
        user = User.objects.create(username=f"p{number}")
        person = UserProfile.objects.create(user=user, email=f"p{number}@example.org", created_at=clock.now())
        ended = (
            {"state": "released", "released_at": clock.now() - released * DAY} if released else {"state": "assigned"}
        )
        then = clock.now() - taken * DAY
        Seat.objects.create(profile=person, product=cloud, instance=instance, created_at=then, changed_at=then, **ended)
    daily_figures.record()
    assert [figure("seats", about="cloud", ago=days) for days in (31, 30, 20, 10, 0)] == [None, 1, 2, 1, 1]


def test_a_day_that_was_over_stays_as_it_was_and_a_missed_night_is_filled_in(world: World) -> None:
    subscription("old", "active", made=400)
    daily_figures.record()
    world.pass_time(days=3)
    Subscription.objects.update(monthly_amount=9000)
    DailyFigure.objects.filter(name="subscribers", day=(clock.now() - 5 * DAY).date()).update(value=77)
    daily_figures.record()
    assert [figure("revenue", about="eur", ago=days) for days in (4, 3, 2, 1, 0)] == [1000, 9000, 9000, 9000, 9000]
    assert figure("subscribers", ago=5) == 77
    count = DailyFigure.objects.count()
    daily_figures.record()
    assert DailyFigure.objects.count() == count


def test_an_empty_house_has_figures_too_and_each_only_once() -> None:
    daily_figures.record()
    assert (figure("subscribers", ago=0), figure("new", ago=89)) == (0, 0)
    with pytest.raises(IntegrityError), transaction.atomic():
        DailyFigure.objects.create(day=clock.now().date(), name="new", value=1)


def test_a_payment_writes_what_the_subscriber_pays_in_a_month(world: World) -> None:
    monthly, yearly = world.subscriber("dana"), world.subscriber("erik", interval="year")
    for person, interval in ((monthly, "month"), (yearly, "year")):
        person.refresh_from_db()
        row = Subscription.objects.get(customer_id=person.stripe_customer_id)
        total = sum(item.unit_amount * item.quantity for item in row.items.all() if item.unit_amount)
        assert row.items.first().interval == interval  # type: ignore[union-attr]
        assert person.monthly_amount == row.monthly_amount == round(total / (12 if interval == "year" else 1))
        assert person.monthly_currency == row.currency == "eur"
