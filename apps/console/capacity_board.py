"""The capacity board: seats against the three caps, what comes free and when, who waits, and when each product is full.

Promises: four queries whatever the number of instances, from counted rows; only the dates on which retained seats come free are
read from the seats, the COUNT_LIMIT that come free first, and kept for half a minute. A number that is linked has a list with exactly
that many rows; what is counted up to COUNT_LIMIT says that there are more.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import OuterRef, Q, QuerySet

from apps.catalog.models import Product
from apps.console.bars import Bar
from apps.console.saved_views import COUNT_LIMIT
from apps.core import clock
from apps.core.counting import CountUpTo
from apps.core.kept import Kept
from apps.core.states import Tone
from apps.instances.allocation import owed
from apps.instances.capacity import Occupancy, read_coming_free, read_occupancy
from apps.instances.models import SeatWait
from apps.onboarding.waitlist import line_of
from apps.operations import daily_figures, outlook
from apps.operations.daily_figures import Name, Series
from apps.operations.outlook import Growth, Outlook, foresee, measure_growth

ROOMS = 50  # instances shown of each product, the fullest
COMING_FREE = Kept(lambda: read_coming_free(COUNT_LIMIT), seconds=30)


@dataclass(frozen=True)
class Forecast:
    """How seats grew, and when the soft cap and the allocation cap are reached at that pace."""

    growth: Growth | None
    soft: Outlook
    full: Outlook

    @property
    def growth_text(self) -> str:
        return self.growth.text if self.growth else "too few days to say"


@dataclass(frozen=True)
class InstanceBoard:
    """An instance. `freed`: retained seats that come free soon, and when the first does."""

    at: Occupancy
    bar: Bar
    forecast: Forecast
    freed: int
    freed_first: dt.datetime | None

    @property
    def is_open(self) -> bool:
        return self.at.is_active and self.at.auto_allocate

    @property
    def flags(self) -> list[tuple[str, Tone]]:
        """What is out of the ordinary, in words: no colour says it alone."""
        found = [("not in use", Tone.BAD)] if not self.at.is_active else []
        if self.at.is_active and not self.at.auto_allocate:
            found.append(("draining", Tone.BUSY) if self.at.draining else ("closed", Tone.CALM))
        if self.at.over:
            found.append((f"{self.at.over:,} over the hard cap", Tone.BAD))
        elif label := self.bar.label:
            found.append((label, Tone(self.bar.tone)))
        return found


@dataclass(frozen=True)
class WaitlistLine:
    """How many wait for a product on offer, and the products they need a seat on."""

    id: int
    name: str
    count: int
    needs: frozenset[int]


@dataclass(frozen=True)
class ProductBoard:
    """A product, its instances (the fullest in `rooms`), and who waits. `free` and the forecast are of the open instances."""

    id: int
    name: str
    rooms: tuple[InstanceBoard, ...]
    count: int
    taken: int
    soft_cap: int
    allocation_cap: int
    hard_cap: int
    reserved: int
    retained: int
    freed: int
    freed_first: dt.datetime | None
    free: int
    forecast: Forecast
    waits: int  # have paid and have no seat
    owed: int  # those of them who get the next seats
    lines: tuple[WaitlistLine, ...]


@dataclass(frozen=True)
class Board:
    """All products and instances together."""

    at: dt.datetime
    products: tuple[ProductBoard, ...]
    general: int  # on the waitlist for any product
    more_freed: bool  # than were counted: those that come free first
    method: str = field(default=outlook.METHOD)

    def find(self, product_id: int) -> ProductBoard | None:
        return next((one for one in self.products if one.id == product_id), None)


@dataclass(frozen=True)
class Demand:
    """A product, who waits for a seat on it, and who waits on the waitlist to buy it."""

    id: int
    slug: str
    name: str
    needs_instance: bool
    apps: list[int]  # what it includes and needs a seat on
    waits: int
    owed: int
    line: int
    general: int


def read_board() -> Board:
    """Four queries, of which one is kept."""
    now = clock.now()
    series = daily_figures.read_series(names=(Name.SEATS, Name.INSTANCE), days=outlook.DAYS + 1)
    freed = COMING_FREE.get()
    demands, rooms = _read_demands(), _read_rooms(series, freed, now.date())
    lines = [
        WaitlistLine(one.id, one.name, one.line, frozenset([*one.apps, *([one.id] if one.needs_instance else [])]))
        for one in demands
        if one.line
    ]
    return Board(
        at=now,
        products=tuple(
            _product(one, rooms.get(one.id, []), series, tuple(line for line in lines if one.id in line.needs), now.date())
            for one in demands
            if one.needs_instance or one.id in rooms
        ),
        general=demands[0].general if demands else 0,
        more_freed=sum(count for count, _ in freed.values()) >= COUNT_LIMIT,
    )  # fmt: skip


def _read_rooms(
    series: Mapping[tuple[str, str], Series], freed: Mapping[int, tuple[int, dt.datetime]], today: dt.date
) -> dict[int, list[InstanceBoard]]:
    """The instances by product."""
    found: dict[int, list[InstanceBoard]] = {}
    for one in read_occupancy():
        count, first = freed.get(one.id, (0, None))
        bar, growth = Bar.of(one), _grow(series.get((Name.INSTANCE, one.slug), {}), one.allocated, today)
        room = InstanceBoard(one, bar, _forecast(growth, one.soft_cap - bar.taken, bar.free, today), count, first)
        found.setdefault(one.product_id, []).append(room)
    return found


def _grow(series: Series, taken: int, today: dt.date) -> Growth | None:
    """The nights know nothing of today: the days end with what is taken now."""
    return measure_growth({**series, today: taken}, today=today)


def _forecast(growth: Growth | None, below_soft: int, free: int, today: dt.date) -> Forecast:
    return Forecast(growth, foresee(growth, free=below_soft, today=today), foresee(growth, free=free, today=today))


def _product(
    demand: Demand,
    rooms: list[InstanceBoard],
    series: Mapping[tuple[str, str], Series],
    lines: tuple[WaitlistLine, ...],
    today: dt.date,
) -> ProductBoard:
    taken = sum(room.bar.taken for room in rooms)
    free = sum(room.bar.free for room in rooms if room.is_open)
    below_soft = sum(max(0, room.at.soft_cap - room.bar.taken) for room in rooms if room.is_open)
    growth = _grow(series.get((Name.SEATS, demand.slug), {}), taken, today)
    return ProductBoard(
        id=demand.id, name=demand.name, count=len(rooms), taken=taken, free=free, lines=lines,
        rooms=tuple(sorted(rooms, key=lambda room: (not room.is_open, -room.bar.percent, room.at.name))[:ROOMS]),
        soft_cap=sum(room.at.soft_cap for room in rooms),
        allocation_cap=sum(room.at.allocation_cap for room in rooms),
        hard_cap=sum(room.at.hard_cap for room in rooms),
        reserved=sum(room.at.reserved for room in rooms),
        retained=sum(room.at.retained for room in rooms),
        freed=sum(room.freed for room in rooms),
        freed_first=min((room.freed_first for room in rooms if room.freed_first), default=None),
        forecast=_forecast(growth, below_soft, free, today), waits=demand.waits, owed=demand.owed,
    )  # fmt: skip


def _read_demands() -> list[Demand]:
    """Every product with who waits for it, in the order of the catalog, and with each how many wait for any, up to COUNT_LIMIT. One query."""

    def count(rows: QuerySet[Any]) -> CountUpTo:
        return CountUpTo(rows, COUNT_LIMIT)

    waits = SeatWait.objects.filter(product=OuterRef("pk"))
    rows = Product.objects.order_by("position", "pk").annotate(
        waits=count(waits),
        owed=count(owed(waits)),
        line=count(line_of(OuterRef("pk"))),
        general=count(line_of(0)),
        apps=ArrayAgg("includes", filter=Q(includes__needs_instance=True), default=[]),
    )
    names = ("pk", "slug", "name", "needs_instance", "apps", "waits", "owed", "line", "general")
    return [Demand(*row) for row in rows.values_list(*names)]
