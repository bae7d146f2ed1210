"""The history of outages: when each system did not answer, and what waited for it.

Promises: an outage begins and ends with the row of core/dependencies.py, in the same transaction; of each system one is open;
one that comes and goes within minutes is one outage, with the most jobs of each kind that waited. That of the database is written
down once it is over, by each worker that noticed it, as one.
"""

import datetime as dt
from collections.abc import Sequence

from django.db import DatabaseError, connection, transaction
from django.db.models import Count

from apps.core import clock
from apps.core.locks import LockClass, lock_until_commit
from apps.core.models import Job, Outage

JOINED_WITHIN = dt.timedelta(minutes=5)  # of answers: a system that comes and goes has one outage
DATABASE, NO_CONNECTION = "postgres", "A worker could make no connection."


def begin(peer: str, reason: str) -> None:
    """Note that a system stopped answering; nothing if that is known. One that had just answered again goes on with its last outage."""
    last = Outage.objects.filter(peer=peer).order_by("-pk").first()
    if last and last.ended_at and last.ended_at > clock.now() - JOINED_WITHIN:
        Outage.objects.filter(pk=last.pk).update(ended_at=None)
        return
    row = Outage(peer=peer, began_at=clock.now(), reason=reason[:300])
    Outage.objects.bulk_create([row], ignore_conflicts=True)


@transaction.atomic
def note_past(peer: str, began_at: dt.datetime, reason: str) -> None:
    """Note an outage that has just ended and could not be noted while it lasted; joined with what others have noted of it."""
    lock_until_commit(LockClass.OUTAGES, peer)
    now = clock.now()
    last = Outage.objects.filter(peer=peer, ended_at__gt=began_at - JOINED_WITHIN).order_by("-pk").first()
    if last is None:
        Outage.objects.create(peer=peer, began_at=began_at, ended_at=max(now, began_at), reason=reason[:300])
    elif last.ended_at is not None:
        known = Outage.objects.filter(pk=last.pk)
        known.update(began_at=min(last.began_at, began_at), ended_at=max(last.ended_at, now))


class DatabaseWatch:
    """What a process notices of an outage of the database, until it can write it down."""

    def __init__(self) -> None:
        self.lost_at: dt.datetime | None = None

    def note_failure(self) -> None:
        """A statement failed. It is an outage where no new connection can be made either."""
        connection.close()
        try:
            connection.ensure_connection()
        except DatabaseError:
            self.lost_at = self.lost_at or clock.now()

    def note_success(self) -> None:
        """A statement worked: what was an outage is over."""
        if self.lost_at is not None:
            note_past(DATABASE, self.lost_at, NO_CONNECTION)
            self.lost_at = None


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
