"""`manage.py verify_audit`: are the chains of the audit trail whole? Exit code 1 when an entry was altered or removed."""

from typing import Any, override

from django.core.management.base import BaseCommand

from apps.core.audit import check_chains


class Command(BaseCommand):
    help = "Compute the hash of every audit entry again, and name each that was altered or whose predecessor is gone."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        found = check_chains()
        for break_ in found.breaks:
            self.stderr.write(
                f"{break_.subject}: entry {break_.entry_id} of {break_.at:%Y-%m-%d %H:%M} UTC {break_.problem}."
            )
        self.stdout.write(f"{found.entries} entries in {found.chains} chains, {len(found.breaks)} broken.")
        if found.breaks:
            raise SystemExit(1)
