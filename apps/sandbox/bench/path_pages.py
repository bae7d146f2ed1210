"""The console's pages with many subscribers beside 10,000: queries, and Postgres' CPU in alternation."""

from collections.abc import Callable
from functools import partial

from django.contrib.auth.models import User
from django.test import Client

from apps.console import dashboard
from apps.console.menu_counts import COUNTED
from apps.sandbox.bench import databases
from apps.sandbox.bench.counters import counting
from apps.sandbox.bench.goals import Figure
from apps.sandbox.bench.measure import compare, repeat, spread

FEW = 10_000
PAGES = {
    "first page": "/admin/",
    "subscribers": "/admin/accounts/userprofile/",
    "subscribers, active": "/admin/accounts/userprofile/?access_state__exact=active",
    "subscribers, search": "/admin/accounts/userprofile/?q=dana.abel1081",  # one of them at every size
    "jobs": "/admin/core/job/",
    "events": "/admin/billing/inboundevent/",
    "timeline": "/admin/core/auditentry/",
    "seats": "/admin/instances/seat/",
    "instances": "/admin/instances/instance/",
    "emails": "/admin/notifications/notification/",
    "signups": "/admin/accounts/signup/",
    "board": "/admin/capacity/",
    "inbox": "/admin/inbox/",
    "waiting for a seat": "/admin/instances/seatwait/",
    "waitlist": "/admin/onboarding/waitlistentry/",
    "seat plans": "/admin/operations/seatplan/",
    "revenue": "/admin/reports/revenue/?period=12_months",
    "recovered payments": "/admin/reports/recovered/?period=12_months",
    "coupons": "/admin/reports/coupons/?period=12_months",
    "outages": "/admin/core/outage/",
    "laws": "/admin/core/lawcheck/",
    "privacy requests": "/admin/accounts/privacyrequest/",
    "legal holds": "/admin/accounts/legalhold/",
}


class Page:
    """A page, asked by staff in one of the databases."""

    def __init__(self, database: str) -> None:
        self.database, self.client = database, Client(headers={"host": "127.0.0.1"})
        databases.use(database)
        user, _ = User.objects.get_or_create(username="bench.admin", is_staff=True, is_superuser=True)
        self.client.force_login(user)

    def get(self, url: str) -> None:
        """Ask once; LookupError unless the page is there. Only the first page reads its numbers, which are kept for seconds.

        How many subscribers there are is kept for a minute, and not read.
        """
        if url == PAGES["first page"]:
            COUNTED.forget()
            dashboard.NUMBERS.forget()
        answer = self.client.get(url)
        if answer.status_code != 200:
            raise LookupError(f"{url} answered {answer.status_code}")

    def prepare(self, url: str, count: int) -> Callable[[], None]:
        """For measure.compare."""
        databases.use(self.database)
        self.get(url)
        return repeat(self.get, [url] * count)


def measure(*, rows: int) -> list[Figure]:
    """Of each page: queries with `rows` subscribers, and Postgres' CPU there divided by that with 10,000."""
    few, many = (Page(databases.make(size)) for size in (FEW, rows))
    figures = []
    try:
        for name, url in PAGES.items():
            databases.use(many.database)
            many.get(url)
            with counting() as counts:
                many.get(url)
            figures.append(Figure("pages", name, spread([float(counts.queries)]), "queries"))
            works = {"few": partial(few.prepare, url), "many": partial(many.prepare, url)}
            ratios = compare(works, rounds=7, seconds=0.15)["many"]
            figures.append(Figure("pages", f"{name}, Postgres CPU at {rows:,} / at {FEW:,}", ratios["postgres"]))
    finally:
        databases.use(databases.first())
    return figures
