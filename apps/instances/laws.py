"""The law of the counters of instances."""

from typing import Any

from django.db.models import F, Q

from apps.core import laws
from apps.core.laws import Checked, Law, LawSeverity, Scope
from apps.instances import capacity
from apps.instances.models import Instance, Seat


def register() -> None:
    """Add it."""
    laws.register(
        Law(
            "L8",
            "Counters say what seats there are",
            "Each instance counts exactly its live seats, in all and by state, and has no more than its hard cap, unless a cap was"
            " lowered below them.",
            LawSeverity.URGENT,
            check_counters,
        )
    )


def check_counters(scope: Scope) -> Checked:
    """L8. One statement, so one moment."""
    fits = Q(allocated_seats__lte=F("hard_cap")) | Q(over_cap_since__isnull=False)
    looked_at = Instance.objects.all()
    if scope.subscriber_id is not None:
        looked_at = looked_at.filter(pk__in=Seat.objects.filter(profile=scope.subscriber_id).values("instance"))
    counted, same = capacity.count_seats(looked_at)
    return laws.judge(looked_at, counted.exclude(same & fits).order_by("pk"), kind="instance", words=_words)


def _words(row: Any) -> str:
    seats = [getattr(row, f"seats_{one}") for one in capacity.LIVE]
    says = [getattr(row, one.value) for one in capacity.LIVE]
    if sum(seats) == row.allocated_seats and seats == says:
        return f"{row.slug} has {row.allocated_seats} seats and a hard cap of {row.hard_cap}."
    return (
        f"{row.slug} counts {row.allocated_seats} seats ({', '.join(map(str, says))} reserved, assigned, retained); there are"
        f" {sum(seats)} ({', '.join(map(str, seats))})."
    )
