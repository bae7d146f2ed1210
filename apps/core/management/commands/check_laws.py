"""`manage.py check_laws`: do the laws hold? Exit code 1 when one is violated, 2 when none is and one could not be checked."""

import json
from collections.abc import Sequence
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core import laws
from apps.core.laws import LawResult, LawState, Scope, Source


class Command(BaseCommand):
    help = "Check the laws now and say what breaks them. Changes nothing."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--law", nargs="+", default=[], metavar="L2", help="only these laws")
        parser.add_argument("--subscriber", type=int, metavar="ID", help="only what concerns this subscriber")
        parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        numbers = [str(one).upper() for one in options["law"]]
        missing = set(numbers) - {law.number for law in laws.all_laws()}
        if missing:
            raise CommandError(f"There is no law {', '.join(sorted(missing))}.")
        found = laws.run(numbers, Scope(subscriber_id=options["subscriber"]))
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(one) for one in found], indent=2))
        else:
            self._write_lines(found)
        states = {one.state for one in found if one.is_set_up}
        if LawState.VIOLATED in states:
            raise SystemExit(1)
        if LawState.UNKNOWN in states:
            raise SystemExit(2)

    def _write_lines(self, found: list[LawResult]) -> None:
        for one in found:
            looked = f"{one.checked.looked_at:,} looked at, {one.seconds:.2f} s"
            self.stdout.write(f"{one.law.number:<4} {one.state:<9} {one.law.title} ({looked}) {one.reason}".rstrip())
            for each in one.checked.violations:
                self.stdout.write(f"     {each.subject_kind} {each.subject_id}: {each.words}")
            left = one.checked.total - len(one.checked.violations)
            if left > 0:
                self.stdout.write(f"     … and {left:,} more")
        self.stdout.write(say_times(found))


def say_times(found: Sequence[LawResult]) -> str:
    """How long the database took, and apart from that the others, which wait for answers."""
    own = [one.seconds for one in found if one.law.source == Source.DATABASE]
    others = [one.seconds for one in found if one.law.source != Source.DATABASE]
    said = [f"{len(own)} that the database answers took {sum(own):.2f} s"] if own else []
    said += [f"{len(others)} that ask Stripe, Keycloak or the log {sum(others):.2f} s"] if others else []
    return f"Laws: {', '.join(said)}."


def _as_json(one: LawResult) -> dict[str, Any]:
    return {
        "law": one.law.number, "title": one.law.title, "state": str(one.state), "severity": str(one.law.severity), "reason": one.reason,
        "looked_at": one.checked.looked_at, "total": one.checked.total, "seconds": round(one.seconds, 3),
        "violations": [
            {"kind": each.subject_kind, "id": each.subject_id, "subscriber": each.subscriber_id, "words": each.words}
            for each in one.checked.violations
        ],
    }  # fmt: skip
