"""The first page: the numbers that answer an operator's questions, read at once and kept for a few seconds.

Promises: one function reads them, with at most ten queries, each bounded by an index; pages only lay them out.
"""

import datetime as dt
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Count
from django.http import HttpRequest

from apps.accounts.models import UserProfile
from apps.console import tiles, timeline
from apps.console.bars import Bar
from apps.core import clock
from apps.core.models import AuditEntry, Job
from apps.core.states import LABELS
from apps.instances.capacity import read_occupancy
from apps.operations import safeguard

COUNTED = (
    "queued", "running", "blocked", "dead", "due_since", "events", "events_since", "waits", "waits_since",
    "mails_failed", "mails_uncertain", "pending", "pending_since", "silent_seconds",
    "down", "losses",
)  # fmt: skip
KEPT_SECONDS = 5.0
SILENT_SECONDS = 90
ROOMS = 8  # instances shown of each product, the fullest
COUNTS = """
SELECT (SELECT count(*) FROM core_job WHERE state = 'queued'),
       (SELECT count(*) FROM core_job WHERE state = 'running'),
       (SELECT count(*) FROM core_job WHERE state = 'blocked'),
       (SELECT count(*) FROM core_job WHERE state = 'dead'),
       (SELECT min(not_before) FROM core_job WHERE state = 'queued'),
       (SELECT count(*) FROM billing_inboundevent WHERE state = 'received'),
       (SELECT min(received_at) FROM billing_inboundevent WHERE state = 'received'),
       (SELECT count(*) FROM instances_seatwait),
       (SELECT min(since) FROM instances_seatwait),
       (SELECT count(*) FROM notifications_notification WHERE state = 'failed'),
       (SELECT count(*) FROM notifications_notification WHERE state = 'uncertain'),
       (SELECT count(*) FROM accounts_userprofile WHERE pending_since IS NOT NULL),
       (SELECT min(pending_since) FROM accounts_userprofile WHERE pending_since IS NOT NULL),
       (SELECT extract(epoch FROM clock_timestamp() - at)::float FROM core_heartbeat WHERE name = 'cluster'),
       (SELECT json_agg(json_build_object('name', name, 'down_since', down_since, 'reason', reason))::text FROM core_dependency),
       (SELECT json_agg(json_build_object('id', id, 'sweep', sweep, 'losing', cardinality(profile_ids), 'with_access', with_access,
               'opened_at', opened_at))::text FROM operations_safeguardreview WHERE state = 'pending')
"""


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

    state: str
    label: str
    count: int
    share: int


@dataclass(frozen=True)
class Down:
    """A system that does not answer."""

    name: str
    down_since: dt.datetime
    reason: str


@dataclass(frozen=True)
class Loss:
    """A sweep that the mass guard has stopped, and what it would do."""

    id: int
    sweep: str
    losing: int
    with_access: int
    opened_at: dt.datetime


@dataclass(frozen=True)
class Numbers:
    """All that the first page shows."""

    at: dt.datetime
    queued: int
    running: int
    blocked: int
    dead: int
    due_since: dt.datetime | None
    events: int
    events_since: dt.datetime | None
    waits: int
    waits_since: dt.datetime | None
    mails_failed: int
    mails_uncertain: int
    pending: int
    pending_since: dt.datetime | None
    silent_seconds: float | None
    people: tuple[People, ...] = ()
    products: tuple[ProductRoom, ...] = ()
    down: tuple[Down, ...] = ()
    losses: tuple[Loss, ...] = ()
    stuck_jobs: tuple[Job, ...] = ()
    recent: tuple[AuditEntry, ...] = field(default=(), repr=False)

    @property
    def stuck(self) -> int:
        """Jobs that go nowhere without an operator."""
        return self.blocked + self.dead

    @property
    def late_seconds(self) -> int:
        """How long the job has waited that has been due longest; 0 when none is due."""
        return max(0, int((self.at - self.due_since).total_seconds())) if self.due_since else 0

    @property
    def worker_silent(self) -> bool:
        """No worker has given a sign of life for a while, or ever."""
        return self.silent_seconds is None or self.silent_seconds > SILENT_SECONDS

    @property
    def total_people(self) -> int:
        return sum(people.count for people in self.people)


@dataclass
class _Kept:
    """What was read last; each web process keeps its own."""

    numbers: Numbers | None = None
    at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept = _Kept()


def numbers() -> Numbers:
    """The numbers, at most KEPT_SECONDS old."""
    with _kept.lock:
        if _kept.numbers is None or time.monotonic() - _kept.at > KEPT_SECONDS:
            _kept.numbers, _kept.at = read(), time.monotonic()
        return _kept.numbers


def forget() -> None:
    """Read again next time: somebody has just changed something here."""
    _kept.numbers = None


def read() -> Numbers:
    """Read everything, in six queries."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS)
        counts = dict(zip(COUNTED, cursor.fetchone(), strict=True))
    down = [
        Down(row["name"], dt.datetime.fromisoformat(row["down_since"]), row["reason"])
        for row in json.loads(counts["down"] or "[]")
    ]
    losses = [
        Loss(
            **row
            | {"opened_at": dt.datetime.fromisoformat(row["opened_at"]), "sweep": safeguard.sweep_label(row["sweep"])}
        )
        for row in json.loads(counts["losses"] or "[]")
    ]
    stuck = Job.objects.filter(state__in=[Job.State.BLOCKED, Job.State.DEAD]).order_by("-id")
    return Numbers(
        at=clock.now(),
        **counts | {"down": tuple(sorted(down, key=lambda one: one.down_since)), "losses": tuple(losses)},
        people=_people(),
        products=_products(),
        stuck_jobs=tuple(stuck[:6]),
        recent=tuple(timeline.with_names(AuditEntry.objects.order_by("-id")[:8])),
    )


def _people() -> tuple[People, ...]:
    counted = dict(UserProfile.objects.order_by().values_list("access_state").annotate(Count("id")))
    total = sum(counted.values()) or 1
    return tuple(
        People(
            state.value,
            label,
            counted.get(state.value, 0),
            round(100 * counted.get(state.value, 0) / total),
        )
        for state, label in LABELS.items()
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


def context(_request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    found = numbers()
    return given | {"numbers": found, "tiles": tiles.tiles(found), "title": "Dashboard"}
