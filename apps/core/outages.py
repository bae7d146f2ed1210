"""The history of outages: when each system did not answer, and what waited for it.

Promises: an outage begins and ends with the row of core/dependencies.py, in the same transaction; of each system one is open;
one that comes and goes within minutes is one outage, with the most jobs of each kind that waited.
"""

import datetime as dt
from collections.abc import Sequence

from django.db.models import Count

from apps.core import clock
from apps.core.models import Job, Outage

JOINED_WITHIN = dt.timedelta(minutes=5)  # of answers: a system that comes and goes has one outage


def begin(peer: str, reason: str) -> None:
    """Note that a system stopped answering; nothing if that is known. One that had just answered again goes on with its last outage."""
    last = Outage.objects.filter(peer=peer).order_by("-pk").first()
    if last and last.ended_at and last.ended_at > clock.now() - JOINED_WITHIN:
        Outage.objects.filter(pk=last.pk).update(ended_at=None)
        return
    row = Outage(peer=peer, began_at=clock.now(), reason=reason[:300])
    Outage.objects.bulk_create([row], ignore_conflicts=True)


def end(peers: Sequence[str]) -> None:
    """Note that they answer again, with what waited; before what was parked is released."""
    for row in Outage.objects.filter(peer__in=peers, ended_at=None):
        waited = count_waiting(row.peer)
        most = {kind: max(waited.get(kind, 0), row.waited.get(kind, 0)) for kind in {**row.waited, **waited}}
        over = max(clock.now(), row.began_at)
        Outage.objects.filter(pk=row.pk, ended_at=None).update(ended_at=over, waited=most)


def count_waiting(peer: str) -> dict[str, int]:
    """How many jobs of each kind wait for the system now."""
    parked = Job.objects.filter(state=Job.State.QUEUED, parked_on=peer)
    return dict(parked.order_by("kind").values_list("kind").annotate(count=Count("pk")))
