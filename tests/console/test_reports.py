"""The reports on money: numbers written by hand from a small world, totals that are the sum of their rows, lists with exactly so many."""

import csv
import html
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing.change_requests import ChangeRequest
from apps.billing.churn import Why
from apps.billing.models import Subscription
from apps.billing.payment_changes import cancel_at_period_end, cancel_now
from apps.catalog.models import Product, ProductPrice
from apps.core import clock
from apps.core.models import AuditEntry
from apps.operations import daily_figures, report_figures
from apps.operations.models import DailyFigure, ReportFigure
from tests.console.conftest import DAY
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
Tables = dict[str, dict[str, tuple[str, ...]]]


def read(client: Client, name: str, **asked: str) -> Tables:
    """The tables of a report by title, their rows by name."""
    answer = client.get(reverse(f"admin:report_{name}"), asked)
    assert answer.status_code == 200
    text = answer.content.decode()
    found: Tables = {}
    for table in answer.context["report"].tables:
        assert f">{table.title}</h2>" in text
        found[table.title] = {line.name: tuple(cell.text for cell in line.cells) for line in table.lines}
        for line in table.lines:
            assert f">{html.escape(line.name)}</th>" in text
            assert all(cell.text in html.unescape(text) for cell in line.cells)
    return found


def in_dollars(world: World, slug: str) -> None:
    """From now on the product is sold in another currency."""
    product = Product.objects.get(slug=slug)
    ProductPrice.objects.filter(product=product).update(is_active=False)
    price = world.shop.price(amount=700, product=product.stripe_product_id or "")
    ProductPrice.objects.create(
        product=product, stripe_price_id=price, interval="month", unit_amount=700, currency="usd"
    )


def pay_with_coupon(world: World, profile: UserProfile, **coupon: Any) -> None:
    """Their subscription begins again, with a discount."""
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    made: Any = world.shop.v1.coupons.create(coupon)  # type: ignore[arg-type]
    method = world.shop.v1.payment_methods.list({"customer": profile.stripe_customer_id or ""}).data[0].id
    wish: Any = {"default_payment_method": method, "discounts": [{"coupon": made.id}]}
    world.shop.subscribe(profile.stripe_customer_id or "", world.price("personal"), **wish)


def test_revenue_is_what_was_paid_by_product_less_what_went_back(town: World, staff: Staff) -> None:
    dana, emil = town.subscriber("dana", personal=1, storage_100=2), town.subscriber("emil", plus=1)
    fred, hana = town.subscriber("fred"), town.subscriber("hana")
    pay_with_coupon(town, hana, percent_off=50, duration="once")
    town.shop.v1.refunds.create({"charge": town.charge(emil), "amount": 300})
    town.shop.v1.refunds.create({"charge": town.charge(dana), "amount": 101})  # of two products: 63.125 and 37.875
    made = town.shop.control("dispute", charge=town.charge(fred))
    town.shop.control("close_dispute", dispute=made["id"], status="lost")
    in_dollars(town, "personal")
    town.subscriber("gina")
    town.deliver()
    report_figures.record()
    tables = read(staff("viewer"), "revenue")
    assert tables == {
        "EUR by product": {
            "100 GB more": ("€3", "€0.38", "€0", "€2.62"),
            "Personal": ("€17.50", "€0.63", "€5", "€11.87"),
            "Plus": ("€9", "€3", "€0", "€6"),
            "Total": ("€29.50", "€4.01", "€5", "€20.49"),
        },
        "USD by product": {"Personal": ("$7", "$0", "$0", "$7"), "Total": ("$7", "$0", "$0", "$7")},
    }


def test_what_no_product_is_known_of_is_other_and_months_stand_beside_each_other(town: World, staff: Staff) -> None:
    today = clock.now().date()
    before = today.replace(day=1) - DAY
    for day, about, amount in ((today, "", 100), (today, "gone_product", 200), (before, "personal", 250)):
        ReportFigure.objects.create(day=day, name="paid", about=about, currency="eur", count=1, amount=amount)
    ReportFigure.objects.create(day=before, name="refunded", about="", currency="eur", count=1, amount=30)
    client = staff("viewer")
    by_month = read(client, "revenue", period="12_months")["EUR kept by month"]
    assert list(by_month.values())[-3:] == [
        ("€0", "€2.50", "-€0.30", "€2.20"),
        ("€2", "€0", "€1", "€3"),
        ("€2", "€2.50", "€0.70", "€5.20"),
    ]
    assert len(by_month) == 13
    own = {"period": "own", "first": f"{before}", "last": f"{before}"}
    assert read(client, "revenue", **own)["EUR by product"]["Total"] == ("€2.50", "€0.30", "€0", "€2.20")
    assert read(client, "revenue", period="last_month") == {
        "EUR by product": read(client, "revenue", **own)["EUR by product"]
    }


def test_a_late_payment_is_recovered_at_its_attempt_and_a_first_payment_is_never_late(
    town: World, staff: Staff
) -> None:
    dana, emil = town.subscriber("dana"), town.subscriber("emil", plus=1)
    for person in (dana, emil):
        town.shop.control("payments", customer=person.stripe_customer_id, mode="fail")
    town.pass_time(days=32)
    town.deliver()
    town.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    town.pass_time(days=3)
    town.deliver()
    assert (town.state(dana).access, town.state(emil).access) == ("active", "suspended")
    report_figures.record()
    since = f"{(clock.now() - 40 * DAY).date()}"
    (table,) = read(staff("viewer"), "recovered", period="own", first=since, last=f"{clock.now().date()}").values()
    assert {name: cells[:3] for name, cells in table.items()} == {
        "Recovered": ("1", "50 %", "€5"),
        "Attempt 2": ("1", "50 %", "€5"),
        "Not paid": ("1", "50 %", "€9"),
        "All late payments": ("2", "100 %", "€14"),
    }
    assert re.fullmatch(r"\d\.\d days", table["Attempt 2"][3])
    nobody = town.shop.subscribe(
        dana.stripe_customer_id or "", town.price("personal"), payment_behavior="allow_incomplete",
        default_payment_method=town.shop.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": dana.stripe_customer_id or ""}).id,
    )  # fmt: skip
    assert nobody["status"] == "incomplete"
    town.deliver()
    report_figures.refresh()
    assert ReportFigure.objects.filter(name="late").count() == 2


def test_an_open_dispute_that_is_lost_weeks_later_is_found_by_the_night(town: World) -> None:
    dana = town.subscriber("dana")
    made = town.shop.control("dispute", charge=town.charge(dana))
    town.deliver()
    report_figures.record()
    assert not ReportFigure.objects.filter(name="lost").exists()
    opened = clock.now().date()
    town.pass_time(days=25)
    town.shop.control("close_dispute", dispute=made["id"], status="lost")
    town.deliver()
    report_figures.refresh()
    assert not ReportFigure.objects.filter(name="lost").exists()
    report_figures.record()
    assert list(ReportFigure.objects.filter(name="lost").values_list("day", "about", "amount")) == [
        (opened, "personal", 500)
    ]
    count = ReportFigure.objects.count()
    report_figures.record()
    assert ReportFigure.objects.count() == count


def test_a_day_whose_details_are_gone_stays_as_it_was_counted(town: World, settings: Any) -> None:
    town.subscriber("dana")
    report_figures.record()
    counted = list(ReportFigure.objects.filter(name="paid").values_list("about", "amount"))
    assert counted == [("personal", 500)]
    town.pass_time(days=20)
    connection.cursor().execute("UPDATE djstripe_invoice SET stripe_data = stripe_data - 'lines' - 'payments'")
    connection.cursor().execute("UPDATE djstripe_charge SET stripe_data = stripe_data - 'livemode'")
    report_figures.record()
    assert (
        list(ReportFigure.objects.filter(name="paid", day__lt=clock.now().date() - DAY).values_list("about", "amount"))
        == counted
    )


# --- churn ------------------------------------------------------------------------------------------------------------


def leave(name: str, *, ago: int = 1, amount: int = 500, now: str = "canceled", **fields: Any) -> None:
    """A subscriber whose subscription ended so many days ago."""
    user = User.objects.create(username=name)
    UserProfile.objects.create(
        user=user, email=f"{name}@example.com", stripe_customer_id=f"cus_{name}", subscription_status=now, created_at=clock.now()
    )  # fmt: skip
    Subscription.objects.create(
        stripe_id=f"sub_{name}", customer_id=f"cus_{name}", status="canceled", ended_at=clock.now() - ago * DAY, fetched_at=clock.now(),
        **{"monthly_amount": amount, "currency": "eur", "stripe_created_at": clock.now() - 90 * DAY} | fields,
    )  # fmt: skip


def some_leave() -> None:
    asked = {"cancellation_reason": "cancellation_requested"}
    leave("ann", cancellation_feedback="too_expensive", **asked)
    leave("bob", cancellation_feedback="too_expensive", currency="usd", **asked)
    leave("cat", **asked)
    leave("dan", cancellation_reason="payment_failed", amount=900)
    leave("eve", cancellation_reason="payment_disputed")
    leave("fay", money_returned="refunded", **asked)
    leave("gus", cancellation_reason="staff")
    leave("hal")
    leave("ivy", trial_end=clock.now() + DAY, **asked)
    leave("new", stripe_created_at=clock.now() - 3 * DAY, **asked)
    leave("back", now="active", **asked)
    leave("old", ago=60, **asked)


def test_churn_says_why_and_each_number_opens_exactly_these_subscribers(staff: Staff) -> None:
    some_leave()
    first, last = (clock.now() - 4 * DAY).date(), clock.now().date()
    DailyFigure.objects.create(day=first - DAY, name="subscribers", value=200)
    client = staff("viewer")
    asked = {"period": "own", "first": f"{first}", "last": f"{last}"}
    (table,) = read(client, "churn", **asked).values()
    assert table == {
        "Canceled by the subscriber": ("4", "€15 + $5"),
        "Too expensive": ("2", "€5 + $5"),
        "Said nothing": ("2", "€10"),
        "Payment failed": ("1", "€9"),
        "Refunded or disputed": ("2", "€10"),
        "Canceled by staff": ("1", "€5"),
        "Left in the trial": ("1", "–"),
        "Expired, or no reason given": ("1", "€5"),
        "Total": ("10", "€44 + $5"),
    }
    report = client.get(reverse("admin:report_churn"), asked).context["report"]
    assert dict(report.facts) == {
        "Paying at the start": "200",
        "Of them left": "8",
        "Share of those who were there at the start": "4.0 %",
    }
    names = {}
    for line in report.tables[0].lines:
        (cell, _) = line.cells
        rows = client.get(cell.url).context["cl"]
        assert rows.result_count == cell.rows, line.name
        names[line.name] = {row.user.username for row in rows.result_list}
    assert (names["Said nothing"], names["Refunded or disputed"]) == ({"cat", "new"}, {"eve", "fay"})
    assert {one.label for one in Why} < set(names)


def test_this_month_of_churn_is_what_today_says(staff: Staff) -> None:
    some_leave()
    client = staff("viewer")
    lost = client.get(reverse("admin:index")).context["numbers"].views["lost"]
    total = read(client, "churn").get("Why subscribers left", {}).get("Total", ("0",))[0]
    assert f"{lost}" == total


@pytest.mark.parametrize(
    "asked",
    ["x", "2026-13-01..2026-11-30", "2026-11-01", "2026-11-01..2026-11-30:why:said:more", "0001-01-01..9999-12-31"],
)
def test_a_list_of_leavers_that_is_asked_for_wrongly_shows_nobody_as_the_answer(asked: str, staff: Staff) -> None:
    address = reverse("admin:accounts_userprofile_changelist")
    answer = staff("viewer").get(address, {"left": asked})
    assert answer.status_code == 302
    assert answer["Location"].endswith("?e=1")


def test_a_cancellation_by_staff_and_one_by_the_subscriber_are_told_apart(town: World) -> None:
    dana, emil, fred = town.subscriber("dana"), town.subscriber("emil", plus=1), town.subscriber("fred")
    ask = lambda one: ChangeRequest(one, f"key-{one.pk}", "staff:ada", "They asked for it.")  # noqa: E731
    cancel_now(ask(dana), subscription_id=dana.stripe_subscription_id or "")
    cancel_at_period_end(ask(emil), subscription_id=emil.stripe_subscription_id or "")
    said: Any = {"cancellation_details": {"feedback": "unused"}}
    town.shop.v1.subscriptions.cancel(fred.stripe_subscription_id or "", said)
    town.deliver()
    found = Subscription.objects.values_list("customer_id", "cancellation_reason", "cancellation_feedback")
    assert set(found) == {
        (dana.stripe_customer_id, "staff", ""),
        (emil.stripe_customer_id, "staff", ""),
        (fred.stripe_customer_id, "cancellation_requested", "unused"),
    }


# --- the pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["revenue", "churn", "recovered", "coupons"])
def test_an_empty_report_says_so_and_how_it_is_counted(name: str, staff: Staff) -> None:
    text = staff("viewer").get(reverse(f"admin:report_{name}")).content.decode()
    assert 'class="fd-empty"' in text
    assert "How this is counted" in text
    assert "Export as CSV" not in text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"period": "own"}, "Choose the first and the last day."),
        ({"period": "own", "first": "2026-02-02", "last": "2026-02-01"}, "The last day is before the first."),
        ({"period": "own", "first": "2020-02-02", "last": "2026-02-01"}, "A report covers two years at most."),
        ({"period": "own", "first": "9999-12-31", "last": "9999-12-31"}, "Choose days up to today."),
        ({"period": "own", "first": "x", "last": "2026-02-01"}, "Enter a valid date."),
        ({"period": "decade"}, "Select a valid choice."),
    ],
)
def test_a_period_that_is_none_is_told_and_shows_this_month(asked: dict[str, str], said: str, staff: Staff) -> None:
    answer = staff("viewer").get(reverse("admin:report_revenue"), asked)
    assert answer.status_code == 200
    assert said in html.unescape(answer.content.decode())
    assert answer.context["period"].first == clock.now().date().replace(day=1)


def test_a_report_is_a_file_for_those_who_may_export_and_in_the_audit_log(staff: Staff) -> None:
    day = clock.now().date()
    ReportFigure.objects.create(day=day, name="paid", about="", currency="eur", count=1, amount=1250)
    ReportFigure.objects.create(day=day, name="refunded", about="", currency="eur", count=1, amount=2000)
    address = reverse("admin:report_revenue_export")
    client = staff("operator")
    assert f'href="{address}?period=this_month"' in client.get(reverse("admin:report_revenue")).content.decode()
    assert "It names nobody." in client.get(f"{address}?period=this_month").content.decode()
    answer = client.post(f"{address}?period=this_month", {"reason": "The accountant asked for it."})
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert row == {
        "Currency": "EUR", "Month": f"{day:%Y-%m}", "Product": "Other", "Paid": "12.50", "Refunded": "20.00", "Lost in disputes": "0.00",
        "Kept": "-7.50",
    }  # fmt: skip
    entry = AuditEntry.objects.get(action="list_exported")
    assert entry.after == {"rows": 1, "report": "revenue", "from": f"{day.replace(day=1)}", "to": f"{day}"}
    assert client.post(f"{address}?period=own", {"reason": "The accountant asked for it."}).status_code == 302
    assert AuditEntry.objects.filter(action="list_exported").count() == 1
    viewer = staff("viewer")
    assert (viewer.get(address).status_code, viewer.post(address, {"reason": "I want to see it."}).status_code) == (
        403,
        403,
    )
    assert "Export as CSV" not in viewer.get(reverse("admin:report_revenue")).content.decode()


@pytest.mark.parametrize("name", ["revenue", "churn", "recovered", "coupons"])
def test_a_year_costs_as_many_queries_as_a_month(name: str, staff: Staff) -> None:
    some_leave()
    day = clock.now().date()
    ReportFigure.objects.bulk_create(
        ReportFigure(day=day - ago * DAY, name=figure, about=about, currency="eur", count=1, amount=ago)
        for ago in range(300)
        for about in ("a", "b", "1", "2", "")
        for figure in ("paid", "late", "discount")
    )
    daily_figures.record()
    client, asked = staff("viewer"), []
    for period in ("this_month", "12_months"):
        client.get(reverse(f"admin:report_{name}"), {"period": period})
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse(f"admin:report_{name}"), {"period": period})
        asked.append(len(captured))
    assert asked[0] == asked[1] <= 8
