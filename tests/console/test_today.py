"""The first page: each of its numbers opens a list with exactly that many rows, and it says what it cannot know."""

import datetime as dt
import html
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent, Subscription, UserSubscriptionItem
from apps.console import charts, dashboard
from apps.core import clock
from apps.core.models import AttentionItem, Job
from apps.instances.models import Instance, Seat, SeatWait
from apps.operations import daily_figures, gauges
from apps.operations.models import DailyFigure, Drift, SafeguardReview
from tests.console.conftest import World, _bare

pytestmark = pytest.mark.django_db

Staff = Callable[..., Client]
DAY = dt.timedelta(days=1)
NUMBER = re.compile(r'data-rows="(\d+)" href="([^"]+)"')


def month_start() -> dt.datetime:
    return clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def person(
    name: str,
    status: str = "active",
    state: str = "active",
    *,
    subscription: dict[str, Any] | None = None,
    **fields: Any,
) -> UserProfile:
    """A subscriber with one subscription, which is old unless it says so."""
    user = User.objects.create(
        username=name, first_name=name.capitalize(), last_name="Abel", email=f"{name}@example.org"
    )
    fields = (
        {"monthly_amount": 1200, "monthly_currency": "eur"} | fields if status in {"active", "past_due"} else fields
    )
    profile = UserProfile.objects.create(
        user=user, email=user.email, stripe_customer_id=f"cus_{name}", stripe_subscription_id=f"sub_{name}", subscription_status=status,
        access_state=state, created_at=clock.now(), synced_at=clock.now(), **fields,
    )  # fmt: skip
    Subscription.objects.create(**{
        "stripe_id": f"sub_{name}", "customer_id": f"cus_{name}", "status": status, "stripe_created_at": month_start() - 90 * DAY,
        "current_period_end": clock.now() + 20 * DAY, "fetched_at": clock.now(), "monthly_amount": 1200, "currency": "eur",
    } | (subscription or {}))  # fmt: skip
    return profile


def invoice(name: str, **data: Any) -> None:
    _bare("Invoice", name, {"id": name, "object": "invoice", "currency": "eur", **data})


@pytest.fixture
def busy(world: World) -> World:
    return make_busy(world)


def make_busy(world: World) -> World:
    """A house in which every number of the page is more than 0, and different from what is beside it."""
    now = clock.now()
    person("late", "past_due", "grace")
    person("trial", "trialing", subscription={"trial_end": now + 3 * DAY, "current_period_end": now + 3 * DAY})
    person("later", "trialing", subscription={"trial_end": now + 9 * DAY})
    person("renews", subscription={"current_period_end": now + 2 * DAY})
    person("leaves", subscription={"current_period_end": now + 2 * DAY, "cancel_at": now + 2 * DAY})
    person("fresh", subscription={"stripe_created_at": month_start() + dt.timedelta(seconds=1)})
    person("converted", subscription={"trial_end": month_start() + dt.timedelta(seconds=2)})
    person("gone", "canceled", "canceled", subscription={"ended_at": month_start() + dt.timedelta(seconds=3)})
    person("long", "canceled", "canceled", subscription={"ended_at": month_start() - 5 * DAY})
    person("waits", "active", "none", pending_since=now - DAY)
    person("usd", monthly_amount=500, monthly_currency="usd")
    stuck = person("stuck", pending_since=now)
    Job.objects.create(kind="reconcile", key=str(stuck.pk), lane="x", state="blocked", not_before=now, created_at=now)
    for cause in ("doctor", "dispute", "dispute"):
        AttentionItem.objects.create(
            cause=cause, key=f"{cause}{AttentionItem.objects.count()}", sentence="!", first_at=now, last_at=now
        )
    Drift.objects.filter(pk=Drift.objects.order_by("pk")[0].pk).update(ignored_until=now + DAY)
    invoice("in_1", status="open", amount_due=2000, amount_remaining=1500)
    invoice("in_2", status="open", amount_due=900, amount_remaining=None)
    invoice("in_3", status="paid", amount_due=5000, amount_remaining=0)
    SeatWait.objects.order_by("pk")[0].delete()
    for index, seat in enumerate(Seat.objects.order_by("pk")[:2]):
        Seat.objects.filter(pk=seat.pk).update(state="reserved", reserved_until=now + DAY)
        Instance.objects.filter(pk=seat.instance_id).update(reserved=1, assigned=index)
    SafeguardReview.objects.create(sweep="sync_run", state="pending", opened_at=now, seen_at=now)
    InboundEvent.objects.filter(stripe_event_id="evt_0000").update(state="handled", handled_at=now)
    dashboard.forget()
    return world


def test_each_number_opens_a_list_with_exactly_that_many_rows(busy: World, staff: Staff) -> None:
    client = staff("admin")
    text = client.get(reverse("admin:index")).content.decode()
    numbers = [(int(rows), html.unescape(url)) for rows, url in NUMBER.findall(text)]
    assert len({url for _, url in numbers}) > 25
    for rows, url in numbers:
        answer = client.get(urlsplit(url).path, dict(parse_qsl(urlsplit(url).query)))
        assert answer.status_code == 200, url
        assert answer.context["cl"].result_count == rows, url
    found = {view: rows for rows, url in numbers for view in [dict(parse_qsl(urlsplit(url).query)).get("view")] if view}
    assert found == {
        "paying": 8, "new": 5, "lost": 1, "waiting": 1, "trials_ending": 1, "renewing": 1, "open": 2, "undelivered": 3, "violated": 1,
        "syncing": 2, "stuck": 4,
    }  # fmt: skip


def test_money_is_summed_in_each_currency_and_a_year_is_twelve_months(busy: World, staff: Staff) -> None:
    text = staff("support").get(reverse("admin:index")).content.decode()
    assert "€84 + $5" in text  # seven at 12 euro a month
    assert "€24" in text  # what is open: 15 and 9
    assert "2 open invoices" in text
    assert "Longest wait: " in text
    assert "waits</a>" in text


def test_staff_without_a_role_see_no_names_of_subscribers_in_the_head_of_people(busy: World, staff: Staff) -> None:
    client = staff("viewer")
    User.objects.get(username="viewer-ada").groups.clear()
    assert "Longest wait" not in client.get(reverse("admin:index")).content.decode()


def test_a_new_installation_is_calm_and_says_what_will_be_there(staff: Staff) -> None:
    text = staff("admin").get(reverse("admin:index")).content.decode()
    assert "Nobody has paid yet" in text
    assert "No instances yet" in text
    assert "Needs attention</h2>" not in text
    assert {int(rows) for rows, _ in NUMBER.findall(text)} == {0}


def test_the_charts_are_told_in_words_and_end_with_the_present(staff: Staff) -> None:
    person("old")
    person("fresh", subscription={"stripe_created_at": clock.now() - 2 * DAY})
    daily_figures.record()
    person("since_the_night")
    dashboard.forget()
    text = html.unescape(staff("viewer").get(reverse("admin:index")).content.decode())
    assert "Paying subscribers: 1 89 days ago, 3 today; at most 3, at least 1." in text
    assert "Revenue in EUR: €12 89 days ago, €36 today; at most €36, at least €12." in text
    assert '"data": [12.0, ' in text


def test_a_missed_night_has_the_number_of_the_night_before() -> None:
    today = clock.now().date()
    DailyFigure.objects.create(day=today - 3 * DAY, name="subscribers", value=7)
    people, _money = charts.draw(daily_figures.read_series(), today)
    assert people.lines[0].values[-5:] == (0, 7, 7, 7, 7)


def test_a_flag_in_the_list_says_what_its_filter_finds(busy: World, staff: Staff) -> None:
    client, address = staff("viewer"), reverse("admin:accounts_userprofile_changelist")
    UserProfile.objects.filter(user__username="late").update(email_problem="bounced", email_problem_at=clock.now())
    shown = {one.key: set() for one in dashboard.VIEWS if one.tone}
    for row in client.get(address).context["cl"].result_list:
        for flag in row.flags:
            shown[flag.key].add(row.pk)
    filtered = {key: {row.pk for row in client.get(address, {"view": key}).context["cl"].result_list} for key in shown}
    assert shown == filtered
    assert {key: len(found) for key, found in shown.items()} == {
        "no_seat": 2,
        "stuck": 1,
        "override": 3,
        "drift": 2,
        "bounced": 1,
    }


def test_the_filters_look_into_what_a_subscriber_pays_for_and_where_they_sit(busy: World, staff: Staff) -> None:
    client, address = staff("viewer"), reverse("admin:accounts_userprofile_changelist")
    UserSubscriptionItem.objects.filter(stripe_item_id="si_0001").update(interval="year")
    UserProfile.objects.filter(user__username="late").update(
        next_change_at=clock.now() + 3 * DAY, created_at=clock.now() - 100 * DAY
    )
    asked = {
        ("product", busy.plan.pk): 3, ("instance", busy.instances[1].pk): 1, ("interval", "year"): 1, ("next", 7): 1, ("next", 1): 0,
        ("joined", 7): 14, ("joined", 365): 15,
    }  # fmt: skip
    assert {one: client.get(address, dict([one])).context["cl"].result_count for one in asked} == asked
    for wrong in ({"product": "x"}, {"interval": "decade"}, {"view": "nobody"}):
        assert client.get(address, wrong).status_code == 302


def test_the_totals_are_those_of_the_metrics(busy: World) -> None:
    gauges.TOTALS.forget()
    assert dict(gauges.sum_revenue()) == {"eur": 8400, "usd": 500}
    assert sum(count for _, count in gauges.count_people()) == UserProfile.objects.count() == 15
    assert apps.get_model("djstripe", "Invoice").objects.filter(stripe_data__status="open").count() == 2
