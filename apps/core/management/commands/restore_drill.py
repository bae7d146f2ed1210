"""`manage.py restore_drill`: is the restored copy of the last backup whole? Exit code 1 when it is not, 2 when there is none."""

from typing import Any, override

from django.core.management.base import BaseCommand

from apps.core import backups
from apps.core.restore_drill import NoCopy, RestoreDrill, judge_copy


class Command(BaseCommand):
    help = (
        "Judge what `frontdesk-backup restore` has restored into a database of its own, and record how the drill went."
    )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = judge_copy()
        except NoCopy as error:
            backups.record_drill("frontdesk", file="", error=str(error))
            self.stderr.write(str(error))
            raise SystemExit(2) from None
        backups.record_drill("frontdesk", file=found.file, error=" ".join(found.problems))
        self._write_lines(found)
        if found.problems:
            raise SystemExit(1)

    def _write_lines(self, found: RestoreDrill) -> None:
        self.stdout.write(f"{found.file}, of {found.taken_at:%d %B %Y, %H:%M} UTC")
        self.stdout.write(f"{len(found.tables)} tables with {sum(found.tables.values()):,} rows, most of them in:")
        for name, count in found.list_largest():
            self.stdout.write(f"  {name:<40} {count:>12,}")
        self.stdout.write(f"{found.entries:,} lines of the audit trail, {found.laws} laws checked.")
        for problem in found.problems:
            self.stdout.write(f"Wrong: {problem}")
        if not found.problems:
            self.stdout.write("The backup is whole.")
