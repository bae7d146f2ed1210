"""`manage.py after_restore`: goes on with the check after a restored backup and prints how far it is; see templates/manual/backup.md."""

import time
from typing import Any, override

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import restore_marker, restores
from apps.core.errors import BadInput, WorkError
from apps.core.models import RestoreCheck
from apps.operations import after_restore

PAUSE = 2.0  # seconds between two looks while the worker refreshes customers


class Command(BaseCommand):
    help = "Check what a restored backup has lost, while nobody's access changes. It can be killed and started again."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--status", action="store_true", help="only print how far it is, and what is listed")
        what.add_argument("--start", action="store_true", help="begin a check that nothing has begun; takes --reason")
        what.add_argument("--finish", action="store_true", help="let access change again; takes --actor and --reason")
        parser.add_argument("--actor", default="", help="who decides it, as staff:NAME")
        parser.add_argument("--reason", default="", help="why, without names")
        parser.add_argument("--accept", type=int, help="finish although so many items are open")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if options["finish"]:
            self._finish(options)
            return
        if options["start"]:
            self._start(options)
        else:
            restore_marker.check()
        if options["status"]:
            self._print()
        else:
            self._run()

    def _start(self, options: dict[str, Any]) -> None:
        if not options["reason"].strip() or not options["actor"].strip():
            raise CommandError("Say who starts it and why: --actor staff:NAME --reason …")
        if not settings.RESTORE_MARKER_FILE:
            raise CommandError("Set RESTORE_MARKER_FILE first: without it the public pages would stay open.")
        restores.begin(options["reason"], actor=options["actor"])

    def _finish(self, options: dict[str, Any]) -> None:
        if not options["actor"].strip():
            raise CommandError("Say who finishes it: --actor staff:NAME")
        try:
            restores.finish(actor=options["actor"], reason=options["reason"], accept=options["accept"])
        except BadInput as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write("Finished. Access changes again; what waited is done now.")

    def _run(self) -> None:
        """Until it is ready; the worker refreshes the customers meanwhile."""
        while (check := restores.open_check()) and check.step != RestoreCheck.Step.READY:
            step = check.step
            try:
                after_restore.check_after_restore()
            except WorkError as error:
                self.stdout.write(error.reason)
            fresh = restores.open_check()
            self.stdout.write(after_restore.describe(fresh) if fresh else "Finished meanwhile.")
            if fresh and fresh.step == step:
                time.sleep(PAUSE)
        self._print()

    def _print(self) -> None:
        check = restores.open_check()
        if check is None:
            self.stdout.write("No restored database was noticed, or its check is finished.")
            return
        self.stdout.write(f"Noticed {check.noticed_at:%Y-%m-%d %H:%M} UTC. {restores.describe_loss(check)}")
        self.stdout.write(after_restore.describe(check))
        for one in restores.found_items().order_by("pk"):
            self.stdout.write(f"- {one.sentence}")
