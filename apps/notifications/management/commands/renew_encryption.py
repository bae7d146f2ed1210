"""`manage.py renew_encryption`: after a new DJANGO_SECRET_KEY, so that the former one can go."""

from typing import Any, override

from django.core.management.base import BaseCommand

from apps.notifications import mail


class Command(BaseCommand):
    help = "Encrypt again, under the present DJANGO_SECRET_KEY, what the former ones encrypted. Exit code 1 when some cannot be read."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        renewed, unreadable = mail.renew_encryption()
        self.stdout.write(f"{renewed} emails encrypted again.")
        if unreadable:
            self.stderr.write(f"{unreadable} emails cannot be read: their key is not in DJANGO_SECRET_KEY_PREVIOUS.")
            raise SystemExit(1)
