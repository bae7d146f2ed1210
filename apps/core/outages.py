"""The history of outages: when each system did not answer, and what waited for it.

Promises: an outage begins and ends with the row of core/dependencies.py, in the same transaction; of each system one is open.
"""

from collections.abc import Sequence

from django.db.models import Count

from apps.core import clock
from apps.core.models import Job, Outage


def begin(peer: str, reason: str) -> None:
    """Note that a system stopped answering; nothing if that is known."""
    row = Outage(peer=peer, began_at=clock.now(), reason=reason[:300])
    Outage.objects.bulk_create([row], ignore_conflicts=True)


def end(peers: Sequence[str]) -> None:
    """Note that they answer again, with what waited; before what was parked is released."""
    for row in Outage.objects.filter(peer__in=peers, ended_at=None):
        Outage.objects.filter(pk=row.pk, ended_at=None).update(
            ended_at=max(clock.now(), row.began_at), waited=count_waiting(row.peer)
        )


def count_waiting(peer: str) -> dict[str, int]:
    """How many jobs of each kind wait for the system now."""
    parked = Job.objects.filter(state=Job.State.QUEUED, parked_on=peer)
    return dict(parked.order_by("kind").values_list("kind").annotate(count=Count("pk")))
