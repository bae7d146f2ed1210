"""The money of each day for the console's reports, so that a report over years reads some thousand small rows, and no payment.

Promises: a row for each day, figure, product (or attempt) and currency, and none about a person. Days that may still change (a debit
on its way, an open dispute, a late payment) are counted again each night, today and yesterday each hour; older ones never change,
because Stripe's details of them are not kept. Days before the first night have what can still be told from what is kept.
"""

import datetime as dt
from collections.abc import Callable, Collection

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet

from apps.billing import money_figures
from apps.core import clock, jobs, retention
from apps.core.job_outcomes import PERIODIC
from apps.core.models import Job
from apps.operations.models import ReportFigure

NIGHTLY, HOURLY = "record_report_figures", "refresh_report_figures"
HOUR, DAY = 3_600, 86_400
FILLED = 366  # days that are filled in at first
SPARE = 5  # days before the details of a payment go, from which on its day is left as it is
Name = ReportFigure.Name
Measure = Callable[..., list[money_figures.DayFigure]]
# How to count each figure, and for how many days what it says may still change; None: for as long as the details are there.
FIGURES: dict[Name, tuple[Measure, int | None]] = {
    Name.PAID: (money_figures.sum_paid, 14),
    Name.REFUNDED: (money_figures.sum_refunded, 14),
    Name.LOST: (money_figures.sum_lost, None),
    Name.LATE: (money_figures.sum_late, None),
    Name.DISCOUNT: (money_figures.sum_discounts, None),
}


def register() -> None:
    """The jobs, and how long the rows are kept."""
    for kind, handler, label, every in (
        (NIGHTLY, record, "Record the figures of the reports", DAY),
        (HOURLY, refresh, "Refresh today's figures of the reports", HOUR),
    ):
        jobs.register(kind, handler, label=label, every=every, importance=Job.Importance.SWEEP)
    retention.register("report_figures", lambda before: retention.delete_in_batches(older(before)), older)


def older(before: dt.datetime) -> QuerySet[ReportFigure]:
    """Of days before then."""
    return ReportFigure.objects.filter(day__lt=before.date())


def record(_key: str = "") -> None:
    """The nightly job: the days of each figure that may have changed, and those that are missing."""
    today = clock.now().date()
    detailed = settings.RETENTION["stripe_details"] - SPARE
    for name, (_, open_days) in FIGURES.items():
        known = ReportFigure.objects.filter(name=name).aggregate(last=Max("day"))["last"]
        missing = known + dt.timedelta(days=1) if known else today - dt.timedelta(days=FILLED)
        _count_again(name, min(missing, today - dt.timedelta(days=open_days or detailed)), today)


def refresh(_key: str = "") -> None:
    """The hourly job: what has come in since."""
    today = clock.now().date()
    for name in FIGURES:
        _count_again(name, today - dt.timedelta(days=1), today)


def _count_again(name: Name, first: dt.date, last: dt.date) -> None:
    measure, _ = FIGURES[name]
    detailed = (last - first).days <= settings.RETENTION["stripe_details"] - SPARE
    found = measure(first, last, detailed=detailed)
    rows = [ReportFigure(name=name, **vars(one)) for one in found]
    with transaction.atomic():
        ReportFigure.objects.filter(name=name, day__gte=first, day__lte=last).delete()
        ReportFigure.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["day", "name", "about", "currency"], update_fields=["count", "amount", "seconds"]
        )  # fmt: skip


def read(names: Collection[Name], first: dt.date, last: dt.date) -> list[ReportFigure]:
    """The days of these figures. One query, by the index that keeps them apart."""
    return list(ReportFigure.objects.filter(name__in=names, day__gte=first, day__lte=last).order_by("day", "about"))


def counted_at() -> dt.datetime | None:
    """When the figures were last counted."""
    done = Job.objects.filter(kind__in=(NIGHTLY, HOURLY), key=PERIODIC, state=Job.State.DONE)
    return done.order_by("-id").values_list("finished_at", flat=True).first()
