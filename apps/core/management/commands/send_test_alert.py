"""`manage.py send_test_alert`: do alerts get through? Exit code 1 when not, with the reason."""

from typing import Any, override

from django.core.management.base import BaseCommand, CommandError

from apps.core import alerts
from apps.core.errors import NeedsOperator


class Command(BaseCommand):
    help = "Send a test message to every address in ALERT_URLS."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            alerts.send_test(actor="manage.py send_test_alert")
        except NeedsOperator as error:
            raise CommandError(error.reason) from error
        self.stdout.write("Sent.")
