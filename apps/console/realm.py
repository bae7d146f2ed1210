"""The realm doctor as staff meet it: it is given what the catalog sells, and its findings are grouped by severity.

The doctor itself (`apps.identity.doctor`) does not know the catalog.
"""

from dataclasses import dataclass
from functools import cached_property

from django.conf import settings
from django.http import HttpRequest

from apps.core import clock
from apps.core.errors import DependencyDown, RetryLater
from apps.identity.doctor.checks import examine
from apps.identity.doctor.report import Finding, Report, Severity
from apps.operations.doctor import current_catalog, examine_systems

PATIENCE_SECONDS = 4.0  # for each answer, while someone waits for the page
PERMISSION = "accounts.retry_job"  # operators and administrators, who fix what stopped
TITLES = {
    Severity.ERROR: "Errors",
    Severity.WARNING: "Warnings",
    Severity.SKIPPED: "Skipped",
    Severity.PASSED: "Passed",
}


def may_view(request: HttpRequest) -> bool:
    """Whether this person may see the realm's problems and request a test email."""
    return bool(request.user.has_perm(PERMISSION))


@dataclass(frozen=True)
class Examination:
    """The doctor's report, or the sentence why there is none now."""

    report: Report | None = None
    problem: str = ""

    @cached_property
    def groups(self) -> list[tuple[str, str, tuple[Finding, ...]]]:
        """Severity, title and findings of each group that has any, the worst first."""
        found = [(one.value, TITLES[one], self.report.of(one)) for one in Severity] if self.report else []
        return [group for group in found if group[2]]

    @property
    def style(self) -> tuple[str, str]:
        """Tone and icon of the verdict: those of the worst problem."""
        worst = self.groups[0][0] if self.groups else ""
        return {"error": ("bad", "error"), "warning": ("warn", "warning")}.get(worst, ("good", "check_circle"))

    @property
    def has_commands(self) -> bool:
        """Whether any finding has a command to run."""
        return any(finding.commands for _, _, findings in self.groups for finding in findings)

    @property
    def server(self) -> str:
        """Keycloak's address, for those who run the commands."""
        return str(settings.KEYCLOAK_SERVER_URL)

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        counts = {severity: len(findings) for severity, _, findings in self.groups}
        passed, skipped = counts.get("passed", 0), counts.get("skipped", 0)
        problems = [_counted(counts[one], one) for one in ("error", "warning") if one in counts]
        rest = f" {_counted(skipped, 'check')} skipped." if skipped else ""
        if problems:
            return f"{' and '.join(problems)}; {_counted(passed, 'check')} passed.{rest}"
        return f"All {passed} {'completed ' if skipped else ''}checks passed.{rest}"


def examine_others() -> Examination:
    """The same for Stripe, Mailgun and Frontdesk itself."""
    return Examination(report=Report(at=clock.now(), findings=examine_systems()))


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def examine_realm(*, patience: float = PATIENCE_SECONDS) -> Examination:
    """Run the checks now; never raises because Keycloak is unavailable."""
    try:
        return Examination(report=examine(current_catalog(), patience=patience))
    except (DependencyDown, RetryLater) as error:
        return Examination(problem=error.reason)
