"""How full instances are. Reads only; allocation.py has the rules of who may have a seat."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, F, IntegerField, Min, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Greatest

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.core.states import AccessState
from apps.instances.allocation import owed
from apps.instances.models import Instance, Seat, SeatWait

# A reservation outlives its Checkout session, so that a late answer still finds it.
RESERVATION_MARGIN = dt.timedelta(minutes=10)


@dataclass(frozen=True)
class Occupancy:
    """One instance: its caps, its counter and its live seats by state. `over` counts seats above `hard_cap`."""

    id: int
    slug: str
    name: str
    product_id: int
    product_slug: str
    product: str
    url: str
    soft_cap: int
    allocation_cap: int
    hard_cap: int
    allocated: int
    reserved: int
    assigned: int
    retained: int
    over: int
    over_cap_since: dt.datetime | None
    is_active: bool
    auto_allocate: bool
    draining: bool


def unpaid_reservations() -> QuerySet[Seat]:
    """Seats held for an open payment; invitations and debits that a bank has not answered are held for longer."""
    longest = _end_of_session() + RESERVATION_MARGIN + dt.timedelta(minutes=5)  # Stripe's clock is not ours
    return Seat.objects.filter(state=Seat.State.RESERVED, reserved_until__lte=longest)


def end_when_abandoned() -> dt.datetime:
    """A Checkout that ends before this has been open for longer than people need to pay."""
    return _end_of_session() - dt.timedelta(minutes=settings.CHECKOUT_ABANDONED_MINUTES)


def _end_of_session() -> dt.datetime:
    return clock.now() + dt.timedelta(minutes=settings.CHECKOUT_SESSION_MINUTES)


def has_room(product: Product) -> bool:
    """Whether a new customer would get a seat now. True for a product that needs none."""
    return have_room([product])[product.pk]


def have_room(products: Collection[Product]) -> dict[int, bool]:
    """`has_room` of several products by their ids, in one query."""
    needing = [product.pk for product in products if product.needs_instance]
    answer = dict.fromkeys((product.pk for product in products), True)
    if needing:
        unpaid = (
            unpaid_reservations().filter(product=OuterRef("pk"), instance__is_active=True).order_by().values("product")
        )
        held = unpaid.annotate(count=Count("pk")).values("count")
        over = (
            unpaid.filter(reserved_until__lte=end_when_abandoned() + RESERVATION_MARGIN)
            .annotate(count=Count("pk"))
            .values("count")
        )
        found = with_free_seats(Product.objects.filter(pk__in=needing)).annotate(
            held=Coalesce(Subquery(held), 0), over=Coalesce(Subquery(over), 0)
        )
        for pk, free, held_count, over_count in found.values_list("pk", "free", "held", "over"):
            # An unpaid payment ends when somebody else needs its seat: see onboarding/unpaid_seats.py.
            answer[pk] = free > 0 or over_count > 0 or held_count >= settings.CHECKOUT_RUSH
    return answer


def free_seats(product_ids: Collection[int]) -> dict[int, int]:
    """Seats for new customers by product id. One query."""
    found = with_free_seats(Product.objects.filter(pk__in=product_ids))
    return dict(found.values_list("pk", "free"))


def with_free_seats(products: QuerySet[Product]) -> QuerySet[Any]:
    """With `free`: seats for new customers, without those owed to subscribers who wait already."""
    free = (
        Instance.objects.filter(product=OuterRef("pk"), is_active=True, auto_allocate=True)
        .order_by()
        .values("product")
        .annotate(free=Sum(Greatest(F("allocation_cap") - F("allocated_seats"), 0)))
        .values("free")
    )
    waiting = (
        owed(SeatWait.objects.filter(product=OuterRef("pk")))
        .values("product")
        .annotate(count=Count("pk"))
        .values("count")
    )
    there, taken = (Coalesce(Subquery(one, output_field=IntegerField()), 0) for one in (free, waiting))
    return products.annotate(free=Greatest(there - taken, 0))


def products_with_seat(profile: UserProfile | None) -> list[int]:
    """The ids of the products of which this subscriber has a live seat, reserved ones included."""
    if profile is None:
        return []
    live = Seat.objects.filter(profile=profile).exclude(state=Seat.State.RELEASED)
    return list(live.values_list("product_id", flat=True))


def read_occupancy() -> list[Occupancy]:
    """Every instance with its occupancy, in the order of the catalog, in one query that reads no seat."""
    return [
        Occupancy(
            id=instance.pk,
            slug=instance.slug,
            name=instance.name,
            product_id=instance.product_id,
            product_slug=instance.product.slug,
            product=instance.product.name,
            url=instance.url,
            soft_cap=instance.soft_cap,
            allocation_cap=instance.allocation_cap,
            hard_cap=instance.hard_cap,
            allocated=instance.allocated_seats,
            reserved=instance.reserved,
            assigned=instance.assigned,
            retained=instance.retained,
            over=max(0, instance.allocated_seats - instance.hard_cap),
            over_cap_since=instance.over_cap_since,
            is_active=instance.is_active,
            auto_allocate=instance.auto_allocate,
            draining=instance.draining_since is not None,
        )
        for instance in Instance.objects.select_related("product")
    ]


COMING_FREE_DAYS = 30


def coming_free(seats: QuerySet[Seat]) -> QuerySet[Seat]:
    """Those of them that are kept for somebody who left, and are released within COMING_FREE_DAYS unless they return."""
    until = clock.now() + dt.timedelta(days=COMING_FREE_DAYS)
    kept = seats.filter(state=Seat.State.RETAINED, profile__final_expiry_at__lte=until)
    return kept.exclude(
        profile__access_state=AccessState.EXPIRED
    )  # as the index of final expiries has it; theirs are being released


def read_coming_free(most: int) -> dict[int, tuple[int, dt.datetime]]:
    """By instance id: how many, and when the first comes free; of the `most` that come free first. One query."""
    first = coming_free(Seat.objects.all()).order_by("profile__final_expiry_at", "pk")[:most]
    rows = Seat.objects.filter(pk__in=first.values("pk")).order_by().values("instance_id")
    found = rows.annotate(count=Count("pk"), first=Min("profile__final_expiry_at"))
    return {pk: (count, first) for pk, count, first in found.values_list("instance_id", "count", "first")}


LIVE = (Seat.State.RESERVED, Seat.State.ASSIGNED, Seat.State.RETAINED)


def count_seats(instances: QuerySet[Instance]) -> tuple[QuerySet[Any], Q]:
    """With `seats_<state>`, the live seats there are, and the condition that the counters say the same. One statement, so one moment."""
    counted: dict[str, Any] = {f"seats_{one}": Count("seats", filter=Q(seats__state=one)) for one in LIVE}
    same = Q(allocated_seats=sum((F(name) for name in counted), start=Value(0)))
    for one in LIVE:
        same &= Q(**{one.value: F(f"seats_{one}")})
    return instances.annotate(**counted), same


def find_miscounted() -> list[str]:
    """The instances whose counters do not say what their seats say."""
    counted, same = count_seats(Instance.objects.all())
    return list(counted.exclude(same).order_by("slug").values_list("slug", flat=True))
