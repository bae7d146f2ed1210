"""The business day by day, for charts: how many pay, what comes in a month, who came and who left, and the seats taken.

Promises: one row for each day, figure and currency or product, and none about a person. Days that are missing are filled in from
what the facts still say, at most DAYS back and at today's prices; a day that has been over at a later night never changes.
"""

import datetime as dt
from collections.abc import Collection

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import connection
from django.db.models import Max, Min, QuerySet

from apps.core import clock, jobs, retention
from apps.core.models import Job
from apps.core.states import SubscriptionStatus, values_where
from apps.operations.models import DailyFigure

KIND, DAY = "record_daily_figures", 86_400
DAYS = 90
Name = DailyFigure.Name
# A seat counts where it is now, on days that are filled in also before it was moved. What was before the first day is added up on it.
# A subscription counts from the end of its trial to its end, in days of UTC: each day is the sum of all changes before its end.
RECORD = """
WITH days AS (SELECT day::date FROM generate_series(%(first)s::date, %(last)s::date, interval '1 day') day),
paid AS (
    SELECT (greatest(stripe_created_at, trial_end) AT TIME ZONE 'UTC')::date AS came, (ended_at AT TIME ZONE 'UTC')::date AS went,
        currency, coalesce(monthly_amount, 0) AS amount
    FROM billing_subscription WHERE status = ANY(%(paid)s) AND (ended_at IS NULL OR ended_at > greatest(stripe_created_at, trial_end))
), changes AS (
    SELECT came AS day, currency, count(*) AS came, 0 AS went, sum(amount) AS amount FROM paid GROUP BY 1, 2
    UNION ALL SELECT went, currency, 0, count(*), -sum(amount) FROM paid WHERE went IS NOT NULL GROUP BY 1, 2
), sat AS (
    SELECT p.slug AS product, i.slug AS instance, greatest((s.created_at AT TIME ZONE 'UTC')::date, %(first)s) AS came,
        (s.released_at AT TIME ZONE 'UTC')::date AS went
    FROM instances_seat s JOIN catalog_product p ON p.id = s.product_id JOIN instances_instance i ON i.id = s.instance_id
    WHERE s.released_at IS NULL OR (s.released_at AT TIME ZONE 'UTC')::date >= %(first)s
), moves AS (
    SELECT product, instance, came AS day, count(*) AS seats FROM sat GROUP BY 1, 2, 3
    UNION ALL SELECT product, instance, went, -count(*) FROM sat WHERE went IS NOT NULL GROUP BY 1, 2, 3
)
INSERT INTO operations_dailyfigure (day, name, about, value)
SELECT day, 'subscribers', '', coalesce((SELECT sum(c.came - c.went) FROM changes c WHERE c.day <= days.day), 0) FROM days
UNION ALL SELECT day, 'new', '', coalesce((SELECT sum(c.came) FROM changes c WHERE c.day = days.day), 0) FROM days
UNION ALL SELECT day, 'lost', '', coalesce((SELECT sum(c.went) FROM changes c WHERE c.day = days.day), 0) FROM days
UNION ALL SELECT days.day, 'revenue', c.currency, sum(c.amount) FROM days JOIN changes c ON c.day <= days.day
    WHERE c.currency <> '' GROUP BY 1, 3
UNION ALL SELECT days.day, 'seats', m.product, sum(m.seats) FROM days JOIN moves m ON m.day <= days.day GROUP BY 1, 3
UNION ALL SELECT days.day, 'instance', m.instance, sum(m.seats) FROM days JOIN moves m ON m.day <= days.day GROUP BY 1, 3
ON CONFLICT (day, name, about) DO UPDATE SET value = excluded.value
"""


def register() -> None:
    """The nightly job, and how long the rows are kept."""
    jobs.register(KIND, record, label="Record the daily figures", every=DAY, importance=Job.Importance.SWEEP)
    retention.register("daily_figures", lambda before: retention.delete_in_batches(older(before)), older)


def older(before: dt.datetime) -> QuerySet[DailyFigure]:
    """Of days before then."""
    return DailyFigure.objects.filter(day__lt=before.date())


def record(_key: str = "") -> None:
    """The job: every day since the last one that was recorded, which is done again because it was not over."""
    today = clock.now().date()
    first = today - dt.timedelta(days=DAYS - 1)
    known = DailyFigure.objects.filter(day__lte=today).aggregate(last=Max("day"))["last"]
    _fill(max(first, known or first), today)


def fill_in(first: dt.date) -> None:
    """The days from `first` to the first one that was recorded: what the facts still say of them, which may be less than there was."""
    known = DailyFigure.objects.aggregate(first=Min("day"))["first"]
    last = known - dt.timedelta(days=1) if known else clock.now().date()
    _fill(first, last)


def _fill(first: dt.date, last: dt.date) -> None:
    earned = [*values_where(SubscriptionStatus, lambda one: one.earns), SubscriptionStatus.CANCELED.value]
    with connection.cursor() as cursor:
        cursor.execute(RECORD, {"first": first, "last": last, "paid": earned})


type Series = dict[dt.date, int]
TODAYS = (Name.SUBSCRIBERS, Name.REVENUE, Name.SEATS)


def read_series(*, names: Collection[str] = TODAYS, days: int = DAYS) -> dict[tuple[str, str], Series]:
    """Of the last days these figures, each by its name and what it is about. One query, one row for each figure."""
    since = clock.now().date() - dt.timedelta(days=days - 1)
    rows = DailyFigure.objects.filter(day__gte=since, name__in=names).order_by().values("name", "about")
    found = rows.annotate(days=ArrayAgg("day", order_by="day"), values=ArrayAgg("value", order_by="day"))
    series = found.values_list("name", "about", "days", "values")
    return {(name, about): dict(zip(at, values, strict=True)) for name, about, at, values in series}


def read_day(name: DailyFigure.Name, day: dt.date, about: str = "") -> int | None:
    """One figure of one day; None when that night was missed, or is too long ago."""
    return DailyFigure.objects.filter(day=day, name=name, about=about).values_list("value", flat=True).first()
