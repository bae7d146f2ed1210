"""Notices that the database was restored, by a file that is not in it: RESTORE_MARKER_FILE.

Each minute the worker adds one to a count in the database, commits, and then writes the count to the file. So the file never
has more than the database, whatever crashes or however the clock is set; if it has, the database is an older one:

| what happened | the file against the database | what follows |
|---|---|---|
| nothing; a crash between the two writes; another host's file | the same database, not more | nothing |
| a dump, a copy of the volume or a point in time was restored | the same database, more | a check begins |
| a database from before there was a marker, or another one | another database | a check begins |
| the first start | no file, and the count was never written | the file is made |
| the file was lost or cannot be read | no file | the file is made, and staff are asked |

A backup of less than a minute ago may go unnoticed. Beside it, in a file of the same name that ends in `.erased`, are the ids
of erased people at Keycloak and Stripe, so that a backup from before does not bring them back.
"""

import datetime as dt
import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction

from apps.core import attention, clock, jobs, restores
from apps.core.attention import Cause
from apps.core.audit_actions import AuditAction
from apps.core.models import AuditEntry, RestoreMarker

log = structlog.get_logger(__name__)

KIND = "advance_restore_marker"
MINUTE = 60
LATE_COMMITS = 1_000  # entries get their number before they are committed: so many are read once more
LOST = (
    "The restore marker is gone or cannot be read, so nobody would have noticed a restored database. A new one is written. If the"
    " database was restored, start `manage.py after_restore --start --reason …`; if not, close this item."
)
UNWRITABLE = (
    "The restore marker cannot be written, so a restored database would not be noticed. Check RESTORE_MARKER_FILE."
)


@dataclass(frozen=True)
class _Marker:
    """What the file holds: which database, how far it was, the last entry of the audit trail, and when."""

    database: str
    count: int
    entries: int
    at: str


def register() -> None:
    """The job of each minute."""
    jobs.register(KIND, advance, label="Advance the restore marker", every=MINUTE)


def check() -> None:
    """Compare the file with the database, and begin a check when the file is ahead. One query when all is well."""
    if not settings.RESTORE_MARKER_FILE:
        return
    marker = _read()
    row = RestoreMarker.objects.order_by("-count").first()
    if marker and _evidence(marker, row):
        _begin(marker)


def advance(_key: str = "") -> None:
    """The job: compare, count one up, then write the file and the list of erased people."""
    if not settings.RESTORE_MARKER_FILE:
        return
    check()
    marker = _read()
    with transaction.atomic():
        row = _locked_row()
        if marker is None and row.count:
            attention.report(Cause.RESTORED, "marker_lost", LOST)
        row.count, row.at = row.count + 1, clock.now()
        row.save(update_fields=["count", "at"])
    last = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    try:
        _note_erased(marker.entries if marker else 0)
        _write(_Marker(str(row.database), row.count, last, row.at.isoformat()))
    except OSError as error:
        log.warning("restore_marker_unwritable", error=error.strerror)
        attention.report(Cause.RESTORED, "marker_unwritable", UNWRITABLE)
    else:
        attention.resolve(Cause.RESTORED, "marker_unwritable", why="It was written.")


def is_written() -> bool:
    """Whether the file is there and is this database's."""
    marker = _read() if settings.RESTORE_MARKER_FILE else None
    return marker is not None and RestoreMarker.objects.filter(database=marker.database).exists()


def read_erased() -> frozenset[str]:
    """The ids at Keycloak and Stripe of the people who were erased, ever."""
    try:
        lines = _erased_file().read_text().split()
    except OSError:
        return frozenset()
    return frozenset(lines)


def _evidence(marker: _Marker, row: RestoreMarker | None) -> str:
    if row is None or str(row.database) != marker.database:
        return "The restore marker was written by another database than this one."
    if marker.count > row.count:
        return f"The restore marker is {marker.count - row.count} minutes of work ahead of the database: it is an older one."
    return ""


@transaction.atomic
def _begin(marker: _Marker) -> None:
    """Begin a check, and take the file's count, so that this restore is noticed once; two workers may come here."""
    had = RestoreMarker.objects.order_by("-count").first()
    row = _locked_row()
    evidence = _evidence(marker, row)
    if not evidence:
        return
    lost = (row.at, dt.datetime.fromisoformat(marker.at)) if had and str(row.database) == marker.database else None
    restores.begin(evidence, lost=lost, last_entry=marker.entries)
    row.count = max(row.count, marker.count)
    row.save(update_fields=["count"])
    if str(row.database) != marker.database:
        RestoreMarker.objects.filter(pk=row.pk).update(database=uuid.UUID(marker.database))


def _locked_row() -> RestoreMarker:
    """The one row, made when there is none."""
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE core_restoremarker IN SHARE ROW EXCLUSIVE MODE")
    found = RestoreMarker.objects.order_by("-count").first()
    return found or RestoreMarker.objects.create(at=clock.now())


def _read() -> _Marker | None:
    try:
        found: Any = json.loads(Path(settings.RESTORE_MARKER_FILE).read_text())
        marker = _Marker(
            str(uuid.UUID(str(found["database"]))), int(found["count"]), int(found["entries"]), str(found["at"])
        )
        dt.datetime.fromisoformat(marker.at)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return marker


def _write(marker: _Marker) -> None:
    """In one move, so that a crash leaves the old one or the new one."""
    file = Path(settings.RESTORE_MARKER_FILE)
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(json.dumps(asdict(marker)))
    fresh.replace(file)


def _erased_file() -> Path:
    file = Path(settings.RESTORE_MARKER_FILE)
    return file.with_name(f"{file.name}.erased")


def _note_erased(after: int) -> None:
    """Add who was erased since; the list only grows, and is not in the backup."""
    receipts = AuditEntry.objects.filter(pk__gt=after - LATE_COMMITS, action=AuditAction.PERSON_ERASED)
    ids = [one for after in receipts.values_list("after", flat=True) for one in after["systems"].values() if one]
    fresh = sorted(set(ids) - read_erased()) if ids else []
    if fresh:
        with _erased_file().open("a") as file:
            file.writelines(f"{one}\n" for one in fresh)
