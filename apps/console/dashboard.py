"""The numbers of the first page, kept for a few seconds; today.py lays them out.

Promises: at most eight queries, each bounded by an index or kept for a minute; a number and the list behind it are one definition.
"""

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet
from django.http import HttpRequest

from apps.accounts.models import UserProfile
from apps.billing.models import InboundEvent
from apps.billing.stripe_objects import sum_open_invoices
from apps.console import timeline, today
from apps.console.bars import Bar
from apps.console.capacity_board import COMING_FREE
from apps.console.charts import Chart, draw
from apps.console.menu_counts import COUNTED, KEPT_SECONDS, Counts
from apps.console.saved_views import COUNT_LIMIT
from apps.console.subscriber_views import VIEWS
from apps.core.audit_actions import QUIET
from apps.core.job_outcomes import PERIODIC
from apps.core.kept import Kept
from apps.core.masking import USERNAME, mask
from apps.core.models import AuditEntry, Dependency, Job
from apps.core.states import AccessState
from apps.instances.capacity import read_occupancy
from apps.instances.models import SeatWait
from apps.onboarding.invitations import CONVERSIONS
from apps.operations import daily_figures, gauges, safeguard
from apps.operations.daily_figures import Name, Series
from apps.operations.models import SafeguardReview
from apps.operations.outlook import Outlook, foresee, measure_growth

ROOMS = 5  # instances shown of each product, the fullest
NEEDED = (
    "paying",
    "new",
    "lost",
    "trial",
    "trials_ending",
    "renewing",
    "waiting",
    "no_seat",
    "stuck",
    "syncing",
    "late",
)


@dataclass(frozen=True)
class Room:
    """An instance and how full it is."""

    id: int
    name: str
    open: bool
    bar: Bar


@dataclass(frozen=True)
class ProductRoom:
    """A product and its fullest instances; `count` and `free` are of all of them, `free` of the open ones.

    `full`: when that runs out at the pace of the last weeks.
    """

    id: int
    name: str
    rooms: tuple[Room, ...]
    count: int
    free: int
    full: Outlook


@dataclass(frozen=True)
class People:
    """How many subscribers are in one state; `share` is per cent of all."""

    state: AccessState
    count: int
    share: int


@dataclass(frozen=True)
class Waiter:
    """Who has waited longest for access, and since when."""

    pk: int
    name: str
    since: dt.datetime


@dataclass(frozen=True)
class Numbers(Counts):
    """All that the first page shows. `views`: how many rows each saved view of the subscribers has."""

    people: tuple[People, ...] = ()
    views: dict[str, int] = field(default_factory=dict)
    revenue: tuple[tuple[str, int], ...] = ()  # currency, minor units a month
    owed: tuple[tuple[str, int, int], ...] = ()  # currency, minor units, open invoices
    runs: dict[str, dt.datetime] = field(default_factory=dict)  # kind of job, when it last ended
    told_at: dt.datetime | None = None  # when Stripe's webhook was heard last
    longest: Waiter | None = None
    products: tuple[ProductRoom, ...] = ()
    charts: tuple[Chart, ...] = ()
    down: tuple[Dependency, ...] = ()
    reviews: tuple[SafeguardReview, ...] = ()
    recent: tuple[AuditEntry, ...] = field(default=(), repr=False)

    @property
    def total_people(self) -> int:
        return sum(people.count for people in self.people)


def read() -> Numbers:
    """Six queries when nothing is wrong, one more for each kind of thing that is; the menu's counts and the totals are kept ones."""
    counts, series = COUNTED.get(), daily_figures.read_series()
    totals, questions = _totals(), _questions()
    _end_with_the_present(series, counts.at.date(), totals, questions)
    reviews = safeguard.list_reviews().filter(state=SafeguardReview.State.PENDING).order_by("pk")
    return Numbers(
        **vars(counts),
        **totals,
        **questions,
        products=_products(series, counts.at.date()),
        charts=draw(series, counts.at.date()),
        down=tuple(Dependency.objects.order_by("down_since") if counts.down_count else ()),
        reviews=tuple(reviews if counts.review_count else ()),
        recent=tuple(timeline.with_names(AuditEntry.objects.exclude(action__in=QUIET).order_by("-id")[:6])),
    )


NUMBERS = Kept(read, seconds=KEPT_SECONDS)


def forget() -> None:
    """Read again next time: somebody has just changed something here."""
    for kept in (COUNTED, NUMBERS, gauges.TOTALS, COMING_FREE, CONVERSIONS):
        kept.forget()


def read_together(counted: dict[str, QuerySet[Any]], listed: dict[str, QuerySet[Any]]) -> dict[str, Any]:
    """In one statement how many rows the ones have, up to COUNT_LIMIT, and of the others the rows."""
    parts: list[str] = []
    values: list[Any] = []
    for rows, template in [
        *((rows.order_by().values("pk")[:COUNT_LIMIT], "SELECT count(*) FROM ({}) one") for rows in counted.values()),
        *((rows, "SELECT coalesce(json_agg(one), '[]') FROM ({}) one") for rows in listed.values()),
    ]:
        sql, given = rows.query.sql_with_params()
        parts.append(f"({template.format(sql)})")
        values += given
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", values)
        return dict(zip((*counted, *listed), cursor.fetchone(), strict=True))


def _questions() -> dict[str, Any]:
    """What is counted and summed now."""
    views = {view.key: view for view in VIEWS}
    people = UserProfile.objects.all()
    waits = views["waiting"].narrow(people).order_by("pending_since")
    ended = Job.objects.filter(key=PERIODIC, state=Job.State.DONE).order_by("-id").values("finished_at")
    found = read_together(
        {key: views[key].narrow(people) for key in NEEDED},
        {
            "owed": sum_open_invoices(most=COUNT_LIMIT),
            "for_sync": waits.values("pk", name=F("user__username"), since=F("pending_since"))[:1],
            "for_seat": SeatWait.objects.order_by("since", "pk").values(
                "since", pk=F("profile_id"), name=F("profile__user__username")
            )[:1],
            "told": InboundEvent.objects.filter(source="webhook").order_by("-id").values("received_at")[:1],
            **{kind: ended.filter(kind=kind)[:1] for kind in today.RUNS},
        },
    )
    waiters = [
        Waiter(one["pk"], mask(USERNAME, one["name"]), _moment(one["since"]))
        for one in (*found["for_sync"], *found["for_seat"])
    ]
    return {
        "views": {key: found[key] for key in NEEDED},
        "owed": tuple((one["currency_code"] or "", int(one["amount"] or 0), one["count"]) for one in found["owed"]),
        "runs": {kind: _moment(found[kind][0]["finished_at"]) for kind in today.RUNS if found[kind]},
        "told_at": _moment(found["told"][0]["received_at"]) if found["told"] else None,
        "longest": min(waiters, key=lambda one: one.since, default=None),
    }  # fmt: skip


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _totals() -> dict[str, Any]:
    """People by state and revenue by currency."""
    people, money = Counter[str](), Counter[str]()
    for state, currency, count, amount in gauges.TOTALS.get():
        people[state] += count
        money[currency] += int(amount)
    total = people.total() or 1
    return {
        "people": tuple(People(one, people[one.value], round(100 * people[one.value] / total)) for one in AccessState),
        "revenue": tuple((currency, amount) for currency, amount in money.most_common() if amount),
    }


def _end_with_the_present(
    series: dict[tuple[str, str], Series], day: dt.date, totals: dict[str, Any], questions: dict[str, Any]
) -> None:
    """The night's figures know nothing of today: the lines end with what the numbers beside them say."""
    if questions["views"]["paying"] < COUNT_LIMIT:
        series.setdefault((Name.SUBSCRIBERS, ""), {})[day] = questions["views"]["paying"]
    now = dict(totals["revenue"])
    for currency in {*now, *(about for name, about in series if name == Name.REVENUE)}:
        series.setdefault((Name.REVENUE, currency), {})[day] = now.get(currency, 0)


def _products(series: dict[tuple[str, str], Series], day: dt.date) -> tuple[ProductRoom, ...]:
    by_product: dict[tuple[int, str, str], list[Room]] = {}
    for one in read_occupancy():
        room = Room(one.id, one.name, one.is_active and one.auto_allocate, Bar.of(one))
        by_product.setdefault((one.product_id, one.product_slug, one.product), []).append(room)
    return tuple(
        _product(pk, name, rooms, series.get((Name.SEATS, slug), {}), day)
        for (pk, slug, name), rooms in by_product.items()
    )


def _product(pk: int, name: str, rooms: list[Room], taken: Series, day: dt.date) -> ProductRoom:
    fullest = sorted(rooms, key=lambda room: (-room.bar.percent, room.name))[:ROOMS]
    free = sum(room.bar.free for room in rooms if room.open)
    growth = measure_growth(taken | {day: sum(room.bar.taken for room in rooms)}, today=day)
    return ProductRoom(pk, name, tuple(fullest), len(rooms), free, foresee(growth, free=free, today=day))


def context(request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    found = NUMBERS.get()
    shown = {"numbers": found, "rows": today.lay_out(found), "title": "Today"}
    return given | shown | {"may_see_people": request.user.has_perm("accounts.view_userprofile")}
