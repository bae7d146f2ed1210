"""`manage.py join_customers`: puts accounts into KEYCLOAK_PARENT_GROUP, whose members we manage. It can be repeated.

With --administrator: those of a file, before their import, or of all customers. Without: all customers, in a realm from before
that rule, while our account there still has manage-users.
"""

import getpass
import os
import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import UserProfile
from apps.core.errors import BadInput, WorkError
from apps.identity import joining, reach
from apps.identity.joining import JoinOutcome, Named
from apps.operations import imports

PASSWORD = "SETUP_KEYCLOAK_PASSWORD"  # noqa: S105  (the variable's name)


class Command(BaseCommand):
    help = "Put Keycloak accounts into KEYCLOAK_PARENT_GROUP: only its members can be managed, and imported."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", help="The CSV file of an import; - for < FILE. Without: all customers.")
        parser.add_argument(
            "--administrator",
            default="",
            help=f"A user of Keycloak's realm master, whose password is asked for, or is in {PASSWORD}.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Say what would happen, and change nothing.")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["administrator"]:
                self._join_by_administrator(
                    options["administrator"], _named(options["file"]), write=not options["dry_run"]
                )
            elif options["file"] or options["dry_run"]:
                raise CommandError(
                    "Say --administrator NAME: only an administrator can add accounts that are not ours."
                )
            else:
                self._join_by_our_account()
        except BadInput as refusal:
            raise CommandError(refusal.message) from refusal
        except WorkError as error:
            raise CommandError(error.reason) from error
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}.") from error

    def _join_by_administrator(self, name: str, accounts: list[Named], *, write: bool) -> None:
        counts: Counter[JoinOutcome] = Counter()
        for one in joining.join(name, _password(name), accounts, write=write):
            counts[one.outcome] += 1
            if one.outcome in {JoinOutcome.REFUSED, JoinOutcome.MISSING}:
                who = one.named.email or one.named.keycloak_id
                self.stdout.write(f"{who}: {one.outcome.value}. {one.why}".rstrip())
        said = {one: one.value if write or one != JoinOutcome.JOINED else "would join" for one in JoinOutcome}
        self.stdout.write(", ".join(f"{said[one]}: {counts[one]}" for one in JoinOutcome))
        if counts[JoinOutcome.REFUSED]:
            raise CommandError("The refused accounts are not in the group.")

    def _join_by_our_account(self) -> None:
        people = UserProfile.objects.filter(keycloak_id__isnull=False)
        refused = reach.join_parent_group([one.keycloak_id or "" for one in people.only("keycloak_id")])
        self.stdout.write(f"In the group: {people.count() - len(refused)} of {people.count()}.")
        if refused:
            raise CommandError(f"These are not, as Keycloak refused: {', '.join(refused)}.")


def _password(name: str) -> str:
    try:
        return os.environ.get(PASSWORD) or getpass.getpass(f"Password of {name}: ")
    except EOFError:
        raise CommandError(f"There is no terminal to ask for the password; put it into {PASSWORD}.") from None


def _named(file: str | None) -> list[Named]:
    """Whom the file names; all customers without one."""
    if file is None:
        keys = UserProfile.objects.filter(keycloak_id__isnull=False).values_list("keycloak_id", flat=True)
        return [Named(str(key)) for key in keys]
    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    rows = imports.read_customers(content)
    return [Named(row.keycloak_id, row.email) for row in rows if row.keycloak_id or row.email]
