"""What is known of backups and restore drills, and what staff are told of them.

config/backup/frontdesk-backup records each backup here, and `manage.py restore_drill` each drill; every success says until when the
next one is due. A try that failed, and one that did not come in time, are attention items and numbers in `/metrics` until one
succeeds. An installation that takes real money and has no backup at all is told so, unless BACKUPS_ELSEWHERE says who makes them.
"""

import datetime as dt

from django.conf import settings
from django.db import transaction

from apps.core import attention, clock, jobs, metrics
from apps.core.attention import Cause
from apps.core.models import Backup, Job

KIND = "check_backups"
HOUR = 3600
DRILL_EVERY = dt.timedelta(days=35)
NONE = "none"  # the key of the item that there is no backup at all
REMEDY = (
    "Switch them on as the manual says under Backup and restore, or set BACKUPS_ELSEWHERE if somebody else makes them."
)
NEVER = f"No backup of the database was ever recorded. {REMEDY}"


def register() -> None:
    """The hourly check, and its numbers in `/metrics`."""
    jobs.register(KIND, check, label="Check the backups", every=HOUR, importance=Job.Importance.SWEEP)
    metrics.GAUGES.extend(
        [
            (
                "frontdesk_backup_age_seconds",
                "How long ago a database was last backed up, or a backup of it restored in a drill",
                ["kind", "database"],
                "SELECT kind, database, extract(epoch FROM now() - coalesce(succeeded_at, first_at)) FROM core_backup",
            ),
            (
                "frontdesk_backup_overdue_seconds",
                "For how long a backup or a restore drill has been overdue",
                ["kind", "database"],
                "SELECT kind, database, greatest(extract(epoch FROM now() - due_at), 0) FROM core_backup",
            ),
        ]
    )


def is_missing() -> bool:
    """Whether there should be backups, and none was ever recorded."""
    return not settings.BACKUPS_ELSEWHERE and not Backup.objects.filter(succeeded_at__isnull=False).exists()


@transaction.atomic
def check(_key: str = "") -> None:
    """The job: open or end the attention item of each backup and drill; what others make is not watched any more."""
    if settings.BACKUPS_ELSEWHERE:
        Backup.objects.all().delete()
    told = {}
    if is_missing() and settings.STRIPE_LIVE_MODE:
        told[NONE] = NEVER
    for row in Backup.objects.all():
        if problem := describe_problem(row):
            told[f"{row.kind} {row.database}"] = problem
    for key, sentence in told.items():
        attention.report(Cause.BACKUP, key, sentence)
    attention.resolve_all_but(Cause.BACKUP, told.keys(), why="It succeeded, or is no longer asked for.")


def describe_problem(row: Backup) -> str:
    """What is wrong with the last backup or drill, for staff; empty: nothing."""
    what = "backup" if row.kind == Backup.Kind.BACKUP else "restore drill"
    last = (
        f"the last one succeeded on {row.succeeded_at:%-d %B at %H:%M} UTC"
        if row.succeeded_at
        else "none ever succeeded"
    )
    if row.failed_at:
        return f"The {what} of {row.database} failed on {row.failed_at:%-d %B at %H:%M} UTC; {last}. The error: {row.error}"
    if row.due_at < clock.now():
        return f"A {what} of {row.database} has been due since {row.due_at:%-d %B at %H:%M} UTC; {last}."
    return ""


def record_drill(database: str, *, file: str, error: str = "") -> None:
    """Keep how a restore drill ended; the next one is due in 35 days if it went well."""
    now = clock.now()
    ended = {"failed_at": now, "error": error[:300]} if error else {"succeeded_at": now, "due_at": now + DRILL_EVERY, "file": file, "failed_at": None, "error": ""}  # fmt: skip
    new = {"first_at": now, "due_at": now + DRILL_EVERY}
    Backup.objects.update_or_create(
        kind=Backup.Kind.DRILL, database=database, defaults=ended, create_defaults=new | ended
    )
