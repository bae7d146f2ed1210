"""What a doctor reports: one finding per check, with why it matters and how to fix it. Findings hold no secrets."""

import enum
from dataclasses import dataclass

from apps.core.states import Tone


class Severity(enum.StrEnum):
    """How bad a finding is, the worst first; `skipped` when the check could not be made."""

    ERROR = "error"
    WARNING = "warning"
    SKIPPED = "skipped"
    PASSED = "passed"

    @property
    def tone(self) -> Tone:
        return {Severity.ERROR: Tone.BAD, Severity.WARNING: Tone.WARN, Severity.PASSED: Tone.GOOD}.get(self, Tone.BUSY)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check's answer. `why`, `fix` and `commands` are empty when it passed; `id` never changes its meaning."""

    id: str
    severity: Severity
    message: str
    why: str = ""
    fix: str = ""
    commands: tuple[str, ...] = ()


def judge(  # noqa: PLR0913  (the parts of one finding)
    passed: bool, key: str, ok: str, problem: str, *, why: str, fix: str, warn: bool = False
) -> Finding:
    """The finding that a check passed, or failed."""
    if passed:
        return Finding(id=key, severity=Severity.PASSED, message=ok)
    return Finding(id=key, severity=Severity.WARNING if warn else Severity.ERROR, message=problem, why=why, fix=fix)
