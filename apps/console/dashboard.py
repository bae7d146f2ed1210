"""The first page: the numbers that answer an operator's questions, kept for a few seconds; the menu shows two of them.

Promises: every page reads the counts in one query, the first page the rest in at most nine more, each bounded by an index;
pages only lay them out.
"""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.urls import reverse

from apps.console import timeline
from apps.console.bars import Bar
from apps.core import attention, clock
from apps.core.audit_actions import AuditAction
from apps.core.kept import Kept
from apps.core.models import AttentionItem, AuditEntry, Dependency, Job
from apps.core.states import AccessState, Tone
from apps.instances.capacity import read_occupancy
from apps.operations import gauges, safeguard
from apps.operations.models import SafeguardReview

KEPT_SECONDS = 5.0
SILENT_SECONDS = 90
QUIET = (AuditAction.PERSON_VIEWED, AuditAction.STAFF_LOGGED_IN)  # too often to be news
ROOMS = 8  # instances shown of each product, the fullest
MOST_COUNTED = 10_000  # jobs that are due: a sweep makes as many as there are subscribers
COUNTS = """
SELECT (SELECT count(*) FROM (SELECT FROM core_job WHERE {due} AND not_before <= %(now)s LIMIT {most}) due) AS due,
       (SELECT count(*) FROM core_job WHERE state = 'running') AS running,
       (SELECT count(*) FROM core_job WHERE state = 'blocked') AS blocked,
       (SELECT count(*) FROM core_job WHERE state = 'dead') AS dead,
       (SELECT min(not_before) FROM generate_series(0, 3) level, LATERAL (
            SELECT not_before FROM core_job WHERE {due} AND importance = level ORDER BY not_before LIMIT 1) first) AS due_since,
       (SELECT count(*) FROM billing_inboundevent WHERE state = 'received') AS events,
       (SELECT min(received_at) FROM billing_inboundevent WHERE state = 'received') AS events_since,
       (SELECT count(*) FROM instances_seatwait) AS waits,
       (SELECT min(since) FROM instances_seatwait) AS waits_since,
       (SELECT count(*) FROM notifications_notification WHERE state = 'failed') AS emails_failed,
       (SELECT count(*) FROM notifications_notification WHERE state = 'uncertain') AS emails_uncertain,
       (SELECT count(*) FROM accounts_userprofile WHERE pending_since IS NOT NULL) AS pending,
       (SELECT min(pending_since) FROM accounts_userprofile WHERE pending_since IS NOT NULL) AS pending_since,
       (SELECT extract(epoch FROM clock_timestamp() - max(at))::float FROM core_heartbeat WHERE name LIKE 'cluster%%') AS silent_seconds,
       (SELECT count(*) FROM core_dependency) AS down_count,
       EXISTS (SELECT FROM core_dependency WHERE name = 'restored') AS is_paused,
       (SELECT count(*) FROM operations_safeguardreview WHERE state = 'pending') AS review_count,
       (SELECT count(*) FROM core_attentionitem WHERE resolved_at IS NULL) AS attention_count,
       (SELECT count(*) FROM core_attentionitem WHERE resolved_at IS NULL AND cause = 'limit_reached') AS limits_reached,
       (SELECT coalesce(sum(reserved), 0) FROM instances_instance) AS held,
       (SELECT count(*) FROM operations_drift WHERE resolved_at IS NULL AND (ignored_until IS NULL OR ignored_until <= %(now)s)) AS drift_count,
       (SELECT count(*) FROM (SELECT FROM onboarding_waitlistentry WHERE state = 'waiting' AND confirmed_at IS NOT NULL LIMIT {most}) waiting)
        AS waitlist_count,
       (SELECT count(*) FROM (SELECT DISTINCT ON (law) state FROM core_lawcheck ORDER BY law, id DESC) last WHERE state = 'violated')
        AS laws_violated,
       (SELECT coalesce(json_agg(json_build_array(id, name) ORDER BY position, id), '[]') FROM catalog_product) AS products_by_name,
       (SELECT coalesce(json_agg(json_build_array(i.id, i.name) ORDER BY p.position, i.slug), '[]')
        FROM instances_instance i JOIN catalog_product p ON p.id = i.product_id) AS instances_by_name
""".format(due="state = 'queued' AND NOT waits_for_lane", most=MOST_COUNTED)  # noqa: S608


@dataclass(frozen=True)
class Room:
    """An instance and how full it is."""

    id: int
    name: str
    open: bool
    bar: Bar


@dataclass(frozen=True)
class ProductRoom:
    """A product and its fullest instances; `count` and `free` are of all of them, `free` of the open ones."""

    name: str
    rooms: tuple[Room, ...]
    count: int
    free: int


@dataclass(frozen=True)
class People:
    """How many subscribers are in one state; `share` is per cent of all."""

    state: AccessState
    count: int
    share: int


@dataclass(frozen=True)
class Counts:
    """How many of what, and since when; and the names by which lists are filtered."""

    at: dt.datetime
    due: int
    is_paused: bool
    running: int
    blocked: int
    dead: int
    due_since: dt.datetime | None
    events: int
    events_since: dt.datetime | None
    waits: int
    waits_since: dt.datetime | None
    emails_failed: int
    emails_uncertain: int
    pending: int
    pending_since: dt.datetime | None
    silent_seconds: float | None
    down_count: int
    review_count: int
    attention_count: int
    limits_reached: int
    held: int
    drift_count: int
    waitlist_count: int
    laws_violated: int
    products_by_name: list[tuple[int, str]]
    instances_by_name: list[tuple[int, str]]

    @property
    def stuck(self) -> int:
        """Jobs that go nowhere without an operator."""
        return self.blocked + self.dead

    @property
    def emails_undelivered(self) -> int:
        """Not sent, or nobody knows."""
        return self.emails_failed + self.emails_uncertain

    @property
    def late_seconds(self) -> int:
        """How long the job has waited that has been due longest; 0 when none is due."""
        return max(0, int((self.at - self.due_since).total_seconds())) if self.due_since else 0

    @property
    def worker_silent(self) -> bool:
        """No worker has given a sign of life for a while, or ever."""
        return self.silent_seconds is None or self.silent_seconds > SILENT_SECONDS


@dataclass(frozen=True)
class Numbers(Counts):
    """All that the first page shows."""

    people: tuple[People, ...] = ()
    products: tuple[ProductRoom, ...] = ()
    down: tuple[Dependency, ...] = ()
    reviews: tuple[SafeguardReview, ...] = ()
    attention: tuple[AttentionItem, ...] = ()
    stuck_jobs: tuple[Job, ...] = ()
    recent: tuple[AuditEntry, ...] = field(default=(), repr=False)

    @property
    def total_people(self) -> int:
        return sum(people.count for people in self.people)


def read_counts() -> Counts:
    """One query."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"now": clock.now()})
        counted = dict(zip((column.name for column in cursor.description), cursor.fetchone(), strict=True))
    return Counts(at=clock.now(), **counted)


def read() -> Numbers:
    """Six queries when nothing is wrong, one more for each kind of thing that is; the counts and people are kept ones."""
    counts = COUNTED.get()
    reviews = safeguard.list_reviews().filter(state=SafeguardReview.State.PENDING).order_by("pk")
    stuck = Job.objects.filter(state__in=[Job.State.BLOCKED, Job.State.DEAD]).order_by("-id")
    return Numbers(
        **vars(counts),
        people=_people(),
        products=_products(),
        down=tuple(Dependency.objects.order_by("down_since") if counts.down_count else ()),
        reviews=tuple(reviews if counts.review_count else ()),
        attention=tuple(attention.open_items()[:6] if counts.attention_count else ()),
        stuck_jobs=tuple(stuck[:6]),
        recent=tuple(timeline.with_names(AuditEntry.objects.exclude(action__in=QUIET).order_by("-id")[:8])),
    )


COUNTED = Kept(read_counts, seconds=KEPT_SECONDS)
NUMBERS = Kept(read, seconds=KEPT_SECONDS)


def forget() -> None:
    """Read again next time: somebody has just changed something here."""
    for kept in (COUNTED, NUMBERS, gauges.PEOPLE):
        kept.forget()


def _people() -> tuple[People, ...]:
    counted: dict[str, int] = {state: count for state, count in gauges.PEOPLE.get()}  # noqa: C416
    total = sum(counted.values()) or 1
    return tuple(
        People(
            state,
            counted.get(state.value, 0),
            round(100 * counted.get(state.value, 0) / total),
        )
        for state in AccessState
    )


def _products() -> tuple[ProductRoom, ...]:
    by_product: dict[str, list[Room]] = {}
    for one in read_occupancy():
        room = Room(one.id, one.name, one.is_active and one.auto_allocate, Bar.of(one))
        by_product.setdefault(one.product, []).append(room)
    return tuple(_product(name, rooms) for name, rooms in by_product.items())


def _product(name: str, rooms: list[Room]) -> ProductRoom:
    fullest = sorted(rooms, key=lambda room: (-room.bar.percent, room.name))[:ROOMS]
    return ProductRoom(name, tuple(fullest), len(rooms), sum(room.bar.free for room in rooms if room.open))


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One question at the top of the page: how many, since when, where to look. `alarm` is its colour unless it is 0."""

    title: str
    icon: str
    count: int
    words: str
    model: str
    query: str = ""
    since: dt.datetime | None = None
    alarm: Tone = Tone.BAD

    @property
    def url(self) -> str:
        """The list that answers it."""
        return reverse(f"admin:{self.model}_changelist") + (f"?{self.query}" if self.query else "")

    @property
    def tone(self) -> Tone:
        return self.alarm if self.count else Tone.GOOD

    @property
    def note(self) -> str:
        return self.words if self.count else "None"


def list_tiles(found: Numbers) -> list[Tile]:
    """The questions; they do not move, so that a glance finds them."""
    late = Tone.BAD if found.late_seconds > 120 else Tone.BUSY
    worst_job = "blocked" if found.blocked else "dead"
    worst_email = "failed" if found.emails_failed else "uncertain"
    return [
        Tile(
            title="Stuck jobs", icon="front_hand", count=found.stuck, model="core_job",
            query=f"state__exact={worst_job}", words=f"{found.blocked} need a decision, {found.dead} gave up",
        ),
        Tile(
            title="Waiting for a seat", icon="airline_seat_recline_extra", count=found.waits, model="instances_seatwait",
            words="Paid, no seat", since=found.waits_since,
        ),
        Tile(
            title="Held, not paid", icon="hourglass_top", count=found.held, model="instances_seat",
            query="state__exact=reserved", words="Seats of payments and invitations", alarm=Tone.CALM,
        ),
        Tile(
            title="Limits reached", icon="speed", count=found.limits_reached, model="core_attentionitem", alarm=Tone.WARN,
            words="Unusually many of something",
        ),
        Tile(
            title="Emails not delivered", icon="unsubscribe", count=found.emails_failed + found.emails_uncertain,
            model="notifications_notification", query=f"state__exact={worst_email}", alarm=Tone.WARN,
            words=f"{found.emails_failed} not sent, {found.emails_uncertain} possibly sent",
        ),
        Tile(
            title="Events waiting", icon="inbox", count=found.events, model="billing_inboundevent",
            query="state__exact=received", words="Received, not processed", since=found.events_since, alarm=late,
        ),
        Tile(
            title="Syncs in progress", icon="sync", count=found.pending, model="accounts_userprofile",
            words="Subscribers not yet up to date", since=found.pending_since, alarm=late,
        ),
    ]  # fmt: skip


def context(_request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    found = NUMBERS.get()
    return given | {"numbers": found, "tiles": list_tiles(found), "title": "Today"}
