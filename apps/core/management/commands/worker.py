"""`manage.py worker`: runs jobs until SIGTERM or Ctrl-C."""

from typing import Any, override

from django.core.management.base import BaseCommand, CommandParser

from apps.core.egress import restrict_calls
from apps.core.worker import SILENT_SECONDS, Watchdog


class Command(BaseCommand):
    """Runs the job cluster under its watchdog."""

    # The web process and `manage.py check` say what is set wrongly; a cluster must be back soon after its death.
    requires_system_checks: list[str] = []
    help = "Run jobs: django-q2's cluster under a watchdog, with the sweep."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--silent-after",
            type=float,
            default=SILENT_SECONDS,
            help="seconds of silence before the cluster is restarted",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        restrict_calls()
        Watchdog(silent_after=options["silent_after"]).watch()
