"""`manage.py import_customers FILE`: plans the import of a CSV file, or says with --dry-run what each row would be, and keeps nothing."""

import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from apps.core.errors import BadInput, WorkError
from apps.operations import import_reading, imports
from apps.operations.import_file import EXAMPLE
from apps.operations.models import CustomerImport, ImportRow


class Command(BaseCommand):
    help = (
        "Plan the import of existing customers from a CSV file: each row is checked against Keycloak and Stripe."
        " Staff decide and start it in the console, under Subscribers > Import."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", help="The CSV file; - for what comes in by < FILE.")
        parser.add_argument("--dry-run", action="store_true", help="Say what each row would be, and keep nothing.")
        parser.add_argument("--example", action="store_true", help="Print an example file.")
        parser.add_argument("--actor", default="", help="Who imports, for the timeline.")
        parser.add_argument("--reason", default="", help="Why, for the timeline.")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if options["example"]:
            self.stdout.write(EXAMPLE)
            return
        if not options["file"]:
            raise CommandError("Name the CSV file, or ask for --example.")
        why = {"actor": options["actor"], "reason": options["reason"]}
        if options["dry_run"]:
            why = {"actor": "dry run", "reason": "dry run"}
        elif not all(why.values()) or why["actor"].startswith("staff:"):
            raise CommandError("Say --actor NAME and --reason WHY; actors called staff:NAME are for the console.")
        try:
            name, content = _read(options["file"])
            run = imports.plan_file(content, name=name, **why)
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}.") from error
        except BadInput as refusal:
            raise CommandError(refusal.message) from refusal
        if options["dry_run"]:
            self._say_verdicts(run)
        else:
            self.stdout.write(f"Planned as {run}, with {run.rows.count()} rows. Decide and start it in the console.")

    def _say_verdicts(self, run: CustomerImport) -> None:
        """Check it here, say what was found, and take the rows back."""
        try:
            import_reading.read_to_the_end(run)
            rows = list(run.rows.order_by("number"))
        except WorkError as error:
            raise CommandError(error.reason) from error
        finally:
            with transaction.atomic():
                imports.discard(run)
        for row in rows:
            self.stdout.write(f"{row.number}: {row.get_verdict_display()}. {row.why}")
        counts = Counter(ImportRow.Verdict(row.verdict).label for row in rows)
        self.stdout.write(", ".join(f"{label}: {count}" for label, count in sorted(counts.items())))


def _read(file: str) -> tuple[str, bytes]:
    """The name and content; what comes in has no name, and need not be readable by the user of the services."""
    if file == "-":
        return "", sys.stdin.buffer.read()
    return Path(file).name, Path(file).read_bytes()
