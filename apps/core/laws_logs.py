"""The law of the log: it holds no secret and nobody's address."""

import os
from pathlib import Path

from django.conf import settings

from apps.core.laws import (
    HOUR,
    MOST,
    Checked,
    Law,
    LawSeverity,
    LawViolation,
    NotSetUp,
    Scope,
    Source,
    Unknown,
    register,
)
from apps.core.logs import find_leaks

LINES = 10_000
LONGEST_BYTES = 20_000_000  # of the end of the file that is read


def register_laws() -> None:
    """Make the law of this module known."""
    register(
        Law(
            number="L28",
            title="No secret in the log",
            sentence=f"The last {LINES:,} lines of the log hold no key, no token, no code and no email address.",
            severity=LawSeverity.URGENT,
            check=check_log,
            source=Source.LOGS,
            period_seconds=HOUR,
        )
    )


def check_log(scope: Scope) -> Checked:
    """L28. The number of a line counts from the end of the file: 1 is the last."""
    if scope.subscriber_id is not None:
        return Checked(0)
    if not settings.LOG_FILE:
        raise NotSetUp("LOG_FILE names no file, so there is no log to read here.")
    try:
        lines = _read_end(Path(settings.LOG_FILE))
    except OSError as error:
        raise Unknown(f"The file that LOG_FILE names cannot be read: {error.strerror}.") from error
    leaks = [(number, found) for number, line in enumerate(reversed(lines), 1) if (found := find_leaks(line))]
    violations = [
        LawViolation("log line", str(number), None, f"Line {number} from the end holds {' and '.join(found)}.")
        for number, found in leaks[:MOST]
    ]
    return Checked(len(lines), violations, len(leaks))


def _read_end(path: Path) -> list[str]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LONGEST_BYTES))
        return file.read().decode(errors="replace").splitlines()[-LINES:]
