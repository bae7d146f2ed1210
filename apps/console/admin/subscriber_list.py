"""The list of the subscribers: what a page of it reads beside the rows, and the filters that look into other tables."""

import datetime as dt
import re
from typing import Any, override

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from django.db.models.functions import JSONArray
from django.http import HttpRequest

from apps.accounts.models import UserProfile
from apps.billing.coupons import narrow_to_users
from apps.billing.models import UserSubscriptionItem
from apps.console import report_coupons
from apps.console.base import ConsoleList
from apps.console.filters import DropdownOf, LinkedFilter, PeopleOfProblem
from apps.console.menu_counts import COUNTED
from apps.console.report_churn import ASKED, PARAMETER, narrow_left
from apps.console.subscriber_views import FLAGS, flags_of_rows, month_start
from apps.core import clock
from apps.instances.models import Seat

Rows = QuerySet[Any]
LIVE = (Seat.State.RESERVED, Seat.State.ASSIGNED, Seat.State.RETAINED)


class SubscriberList(ConsoleList):
    """With what each pays for, where each has a seat, and what is unusual about each."""

    @override
    def get_results(self, request: HttpRequest) -> None:
        """One more query, for the page's rows only."""
        super().get_results(request)
        add_details(self.result_list)


def add_details(people: list[Any]) -> None:
    """Give these subscribers `lines`, `seated_on` and `flags`; one query."""
    lines = UserSubscriptionItem.objects.filter(profile=OuterRef("pk")).order_by("pk")
    seats = Seat.objects.filter(profile=OuterRef("pk")).exclude(state=Seat.State.RELEASED).order_by("pk")
    names = JSONArray("quantity", "product__name", "stripe_price_id")
    shown: Any = UserProfile.objects.filter(pk__in=[row.pk for row in people])
    found = shown.values_list(
        "pk",
        ArraySubquery(lines.values_list(names)),
        ArraySubquery(seats.values("instance__slug")),
        *flags_of_rows().values(),
    )
    shows = {pk: (paid, slugs, has) for pk, paid, slugs, *has in found}
    for row in people:
        row.lines, row.seated_on, has = shows.get(row.pk, ((), (), []))
        row.flags = [one for one, holds in zip(FLAGS, has, strict=False) if holds]


class PaysForFilter(DropdownOf):
    """Who pays for a product."""

    title = "product"
    parameter_name = "product"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in COUNTED.get().products_by_name]

    @override
    def narrow(self, rows: Rows, value: str) -> Rows:
        return rows.filter(pk__in=UserSubscriptionItem.objects.filter(product=int(value)).values("profile"))


class SitsOnFilter(DropdownOf):
    """Who has a seat on an instance."""

    title = "instance"
    parameter_name = "instance"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in COUNTED.get().instances_by_name]

    @override
    def narrow(self, rows: Rows, value: str) -> Rows:
        return rows.filter(pk__in=Seat.objects.filter(instance=int(value), state__in=LIVE).values("profile"))


class IntervalFilter(DropdownOf):
    """How often they pay."""

    title = "billing interval"
    parameter_name = "interval"
    options = (("month", "Monthly"), ("year", "Yearly"))

    @override
    def narrow(self, rows: Rows, value: str) -> Rows:
        return rows.filter(pk__in=UserSubscriptionItem.objects.filter(interval=value).values("profile"))


class NextDateFilter(DropdownOf):
    """Of whom something changes soon."""

    title = "next date"
    parameter_name = "next"
    options = (("1", "Within a day"), ("7", "Within 7 days"), ("30", "Within 30 days"))

    @override
    def narrow(self, rows: Rows, value: str) -> Rows:
        now = clock.now()
        return rows.filter(next_change_at__gt=now, next_change_at__lte=now + dt.timedelta(days=int(value)))


class JoinedFilter(DropdownOf):
    """Since when they are subscribers."""

    title = "date joined"
    parameter_name = "joined"
    options = (("7", "Last 7 days"), ("month", "This month"), ("30", "Last 30 days"), ("365", "Last year"))

    @override
    def narrow(self, rows: Rows, value: str) -> Rows:
        since = month_start() if value == "month" else clock.now() - dt.timedelta(days=int(value))
        return rows.filter(created_at__gte=since)


class LeftFilter(LinkedFilter):
    """Who left in a time, and why, as the report on churn links here."""

    title, parameter_name, pattern = "part of a report", PARAMETER, ASKED

    @override
    def narrow(self, rows: Rows, name: str) -> Rows:
        found = narrow_left(rows, name)
        if found is None:
            raise IncorrectLookupParameters
        return found


class CouponFilter(LinkedFilter):
    """Who uses a coupon now, as the report on coupons links here."""

    title, parameter_name, pattern = "coupon", report_coupons.PARAMETER, re.compile("[1-9][0-9]{0,17}")

    @override
    def narrow(self, rows: Rows, name: str) -> Rows:
        return narrow_to_users(rows, int(name))


SUBSCRIBER_FILTERS = (
    PaysForFilter,
    SitsOnFilter,
    IntervalFilter,
    NextDateFilter,
    JoinedFilter,
    PeopleOfProblem,
    LeftFilter,
    CouponFilter,
)
