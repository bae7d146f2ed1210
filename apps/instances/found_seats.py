"""Seats that people have before we know them, written as they were found: a part of allocation.py for customers who are imported.

Promises: a seat and its instance's counters change in one statement; instances are locked in the order of their ids, the audit entries
come last; no cap is asked, since these seats are taken already.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from apps.core import audit, clock
from apps.core.audit_actions import AuditAction
from apps.instances import statements
from apps.instances.models import Instance, Seat


@dataclass(frozen=True)
class FoundSeat:
    """A seat that somebody has already, somewhere we did not know of. `in_use`: else it waits without access."""

    profile_id: int
    product_id: int
    instance_id: int
    in_use: bool

    @property
    def state(self) -> Seat.State:
        return Seat.State.ASSIGNED if self.in_use else Seat.State.RETAINED


@transaction.atomic
def occupy(found: Collection[FoundSeat], *, actor: str, reason: str) -> None:
    """Write seats as they were found, also above every cap: of people who were just made, and have none here."""
    if not found:
        return
    locked = Instance.objects.select_for_update().filter(pk__in={one.instance_id for one in found}).order_by("pk")
    slugs = {row.pk: row.slug for row in locked}
    columns: dict[str, Any] = {
        "profiles": [one.profile_id for one in found], "products": [one.product_id for one in found],
        "instances": [one.instance_id for one in found], "states": [one.state.value for one in found], "now": clock.now(),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(statements.OCCUPY, columns)
    for instance_id, state in sorted({(one.instance_id, one.state) for one in found}):
        people = [one.profile_id for one in found if (one.instance_id, one.state) == (instance_id, state)]
        after = {"state": state.value, "instance": slugs[instance_id]}
        audit.record_many(
            kind="profile",
            ids=people,
            action=AuditAction(f"seat_{state.value}"),
            actor=actor,
            reason=reason,
            after=after,
        )
