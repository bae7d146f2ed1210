"""`manage.py erase_person 7 --actor staff:ada --reason "asked by letter"`: erase one subscriber, and print the receipt."""

import json
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.errors import BadInput
from apps.operations import privacy
from apps.operations.approvals import STAFF


class Command(BaseCommand):
    help = "Erase one subscriber here, at Keycloak and, where nothing was invoiced, at Stripe. This cannot be undone."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("person", help="the subscriber's id or email address")
        parser.add_argument("--actor", required=True, help="who decided it, as staff:NAME")
        parser.add_argument("--reason", required=True, help="why, without names")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if not options["actor"].startswith(STAFF):
            raise CommandError("Say who decided it, as --actor staff:NAME.")
        profile = privacy.find_person(options["person"])
        if profile is None:
            raise CommandError("There is no such subscriber.")
        try:
            receipt = privacy.erase(profile, actor=options["actor"], reason=options["reason"])
        except BadInput as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(json.dumps({"receipt": receipt.pk, "at": receipt.at.isoformat(), **receipt.after}, indent=2))
