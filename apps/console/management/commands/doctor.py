"""`manage.py doctor`: is the Keycloak realm set up as it must be, and if not, what to do.

Exit code 0: no errors. 1: errors, or the mail that was asked for did not leave. 2: Keycloak could not be asked. `-v 2` lists what is well, too.
"""

import argparse
import dataclasses
import json
from typing import Any, override

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.console import realm
from apps.core.errors import DependencyDown, WorkError
from apps.identity import doctor
from apps.identity.checks.finding import Finding, Severity

ACTOR = "system:doctor"
AWAY = 2


class Command(BaseCommand):
    """See the module."""

    help = "Look at the Keycloak realm and say what is wrong, why it matters, and how to mend it."

    @override
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--mail", metavar="WHO", default="", help="first send this account of the realm a test mail"
        )
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        left = not options["mail"] or self._mail(options["mail"], quiet=options["json"])
        look = realm.look(patience=10.0)
        if look.report is None:
            raise CommandError(look.problem, returncode=AWAY)
        if options["json"]:
            self.stdout.write(json.dumps(dataclasses.asdict(look.report), indent=2, default=str))
        else:
            self._print(look, verbose=options["verbosity"] > 1)
        if look.report.of(Severity.ERROR) or not left:
            raise SystemExit(1)

    def _mail(self, name: str, *, quiet: bool) -> bool:
        """Send it; whether it has left. The report says so too."""
        try:
            doctor.mail(name, actor=ACTOR)
        except DependencyDown as error:
            raise CommandError(error.reason, returncode=AWAY) from error
        except WorkError as error:
            self.stderr.write(error.reason)
            return False
        if not quiet:
            self.stdout.write("The test mail has left.")
        return True

    def _print(self, look: realm.Look, *, verbose: bool) -> None:
        self.stdout.write(f"Realm {settings.KEYCLOAK_REALM} of {settings.KEYCLOAK_SERVER_URL}\n")
        for group in look.groups:
            if group.severity is Severity.OK and not verbose:
                continue
            self.stdout.write(f"\n{group.title}")
            for finding in group.findings:
                self._finding(finding)
        self.stdout.write(f"\n{look.verdict}")

    def _finding(self, finding: Finding) -> None:
        style = {Severity.ERROR: self.style.ERROR, Severity.WARNING: self.style.WARNING}.get(finding.severity, str)
        self.stdout.write(f"  {style(finding.id)}: {finding.says}")
        for label, text in (("Why", finding.why), ("Fix", finding.fix)):
            if text:
                self.stdout.write(f"      {label}: {text}")
        for command in finding.commands:
            self.stdout.write(f"      $ {command}")
