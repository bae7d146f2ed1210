"""`manage.py check_retention`: is anything older than its retention? Exit code 1 when something is."""

from typing import Any, override

from django.core.management.base import BaseCommand

from apps.core import retention_check


class Command(BaseCommand):
    help = "Count, for each row of the retention table, what is older than it may be. Changes nothing."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        found = retention_check.find_overdue()
        for one in found:
            self.stdout.write(f"{one.rule:<22} {one.days:>4} days {one.overdue:>9,} too old")
        if any(one.overdue for one in found):
            raise SystemExit(1)
