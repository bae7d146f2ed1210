"""`manage.py verify_audit`: are the chains of the audit trail whole? Exit code 1 when an entry was altered or removed."""

from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import audit_anchor
from apps.core.audit import entries_about
from apps.core.audit_chains import check_chains


class Command(BaseCommand):
    help = "Compute the hash of every audit entry again, and name each that was altered or whose predecessor is gone."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--subscriber", type=int, metavar="ID", help="only the entries about this one")
        parser.add_argument(
            "--anchor", type=Path, help="a log or a file with anchors, which show entries cut off the end"
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        one = options["subscriber"]
        found = check_chains(None if one is None else entries_about(("profile", one)))
        if one is not None and not found.entries:
            raise CommandError(f"There is no entry about subscriber {one}.")
        for break_ in found.breaks:
            self.stderr.write(
                f"{break_.subject}: entry {break_.entry_id} of {break_.at:%Y-%m-%d %H:%M} UTC {break_.problem}."
            )
        told = f"; names were removed from {found.without_names}" if found.without_names else ""
        self.stdout.write(f"{found.entries} entries in {found.chains} chains, {len(found.breaks)} broken{told}.")
        # An anchor covers the whole trail, so only a check of all of it can be compared with one.
        gaps = [*audit_anchor.find_own_gaps(), *self._find_gaps(options["anchor"])] if one is None else []
        if gaps:
            self.stderr.write("\n".join(gaps))
        if found.breaks or gaps:
            raise SystemExit(1)

    def _find_gaps(self, file: Path | None) -> list[str]:
        if not file:
            return []
        try:
            with file.open(errors="replace") as lines:
                return audit_anchor.find_gaps(lines)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
