"""`manage.py password_deny_list [WORD …] > password-deny-list.txt`: the file of passwords that Keycloak is to refuse here."""

from typing import override

from django.core.management.base import BaseCommand, CommandParser

from apps.identity import denied_passwords


class Command(BaseCommand):
    help = (
        "Print the passwords that Keycloak is to refuse: common and leaked ones, and those made of this site's words."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("words", nargs="*", metavar="WORD", help="a further word, such as a former brand")

    @override
    def handle(self, *args: object, **options: list[str]) -> None:
        words = denied_passwords.own_words(options["words"])
        self.stderr.write(f"Made of: {', '.join(words)}.")
        self.stdout.write("\n".join(denied_passwords.deny_list(words)))
