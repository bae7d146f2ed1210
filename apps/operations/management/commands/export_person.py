"""`manage.py export_person 7` (or an address): everything stored about one subscriber, as JSON."""

import json
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.operations import privacy


class Command(BaseCommand):
    help = "Print every row about one subscriber as JSON."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("person", help="the subscriber's id or email address")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        profile = privacy.find_person(options["person"])
        if profile is None:
            raise CommandError("There is no such subscriber.")
        self.stdout.write(json.dumps(privacy.export(profile), indent=2))
