"""`manage.py doctor`: is the Keycloak realm set up correctly, and if not, what to do.

Exit code 0: no errors. 1: errors, or the requested email did not leave. 2: Keycloak is unavailable. `-v 2` also lists
what passed.
"""

import argparse
import dataclasses
import json
from typing import Any, override

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.console.realm import Examination, examine_realm
from apps.core.errors import DependencyDown, WorkError
from apps.identity.doctor.report import Finding, Severity
from apps.identity.realm_test_email import send_test_email
from apps.operations.doctor import examine_systems

ACTOR = "system:doctor"
UNAVAILABLE = 2


class Command(BaseCommand):
    help = "Check the Keycloak realm and say what is wrong, why it matters, and how to fix it."

    @override
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--mail", metavar="WHO", default="", help="first send this account of the realm a test email"
        )
        parser.add_argument(
            "--systems",
            action="store_true",
            help="check Stripe, Mailgun and ourselves alone; their errors then decide the exit code",
        )
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if options["systems"]:
            self._examine_systems(as_json=options["json"], verbose=options["verbosity"] > 1)
            return
        sent = not options["mail"] or self._send_email(options["mail"], quiet=options["json"])
        found = examine_realm(patience=10.0)
        if found.report is None:
            if not options["json"]:
                self._print_systems(examine_systems(), verbose=options["verbosity"] > 1)
            raise CommandError(found.problem, returncode=UNAVAILABLE)
        if options["json"]:
            self.stdout.write(json.dumps(dataclasses.asdict(found.report), indent=2, default=str))
        else:
            self._print(found, verbose=options["verbosity"] > 1)
            self._print_systems(examine_systems(), verbose=options["verbosity"] > 1)
        if found.report.of(Severity.ERROR) or not sent:
            raise SystemExit(1)

    def _examine_systems(self, *, as_json: bool, verbose: bool) -> None:
        found = examine_systems()
        if as_json:
            self.stdout.write(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        else:
            self._print_systems(found, verbose=verbose)
        if any(finding.severity == Severity.ERROR for finding in found):
            raise SystemExit(1)

    def _print_systems(self, found: tuple[Finding, ...], *, verbose: bool) -> None:
        self.stdout.write("\nStripe, Mailgun and Frontdesk itself")
        for finding in found:
            if verbose or finding.severity != Severity.PASSED:
                self._print_finding(finding)

    def _send_email(self, recipient: str, *, quiet: bool) -> bool:
        """Send it; whether it has left. The report says so too."""
        try:
            send_test_email(recipient, actor=ACTOR)
        except DependencyDown as error:
            raise CommandError(error.reason, returncode=UNAVAILABLE) from error
        except WorkError as error:
            self.stderr.write(error.reason)
            return False
        if not quiet:
            self.stdout.write("The test email was sent.")
        return True

    def _print(self, found: Examination, *, verbose: bool) -> None:
        self.stdout.write(f"Realm {settings.KEYCLOAK_REALM} of {settings.KEYCLOAK_SERVER_URL}\n")
        for severity, title, findings in found.groups:
            if severity == Severity.PASSED and not verbose:
                continue
            self.stdout.write(f"\n{title}")
            for finding in findings:
                self._print_finding(finding)
        self.stdout.write(f"\n{found.verdict}")

    def _print_finding(self, finding: Finding) -> None:
        style = {Severity.ERROR: self.style.ERROR, Severity.WARNING: self.style.WARNING}.get(finding.severity, str)
        self.stdout.write(f"  {style(finding.id)}: {finding.message}")
        for label, text in (("Why", finding.why), ("Fix", finding.fix)):
            if text:
                self.stdout.write(f"      {label}: {text}")
        for command in finding.commands:
            self.stdout.write(f"      $ {command}")
