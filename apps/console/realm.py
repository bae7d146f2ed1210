"""The realm doctor as staff meet it: what is sold here is told to it, and what it finds is grouped by how bad it is.

The doctor itself (`apps.identity.doctor`) knows nothing of the catalogue.
"""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

from apps.catalog.models import Product
from apps.core.errors import DependencyDown, RetryLater
from apps.identity import doctor
from apps.identity.checks.finding import Finding, Severity
from apps.identity.checks.snapshot import Sold

PATIENCE_SECONDS = 4.0  # for each answer, while somebody looks at the page
TITLES = {
    Severity.ERROR: "To be mended",
    Severity.WARNING: "Better otherwise",
    Severity.UNKNOWN: "Could not be looked at",
    Severity.OK: "Well",
}


PERMISSION = "accounts.retry_job"  # operators and administrators: those who mend what does not go on by itself


def may_look(request: HttpRequest) -> bool:
    """Whether the person asking is shown the realm's faults, and may have a test mail sent."""
    return bool(request.user.has_perm(PERMISSION))


@dataclass(frozen=True)
class Group:
    """The findings of one severity."""

    severity: Severity
    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """Its heading."""
        return TITLES[self.severity]

    @property
    def folded(self) -> bool:
        """What is well is counted, and listed when asked for."""
        return self.severity is Severity.OK


@dataclass(frozen=True)
class Look:
    """What a look at the realm came to: the report and its groups, or the sentence why there is none now."""

    report: doctor.Report | None = None
    groups: tuple[Group, ...] = ()
    problem: str = ""

    @property
    def tone(self) -> str:
        """Its colour: that of the worst finding that is a fault."""
        worst = self.groups[0].severity if self.groups else Severity.OK
        return {Severity.ERROR: "bad", Severity.WARNING: "warn"}.get(worst, "good")

    @property
    def icon(self) -> str:
        """Its picture."""
        return {"bad": "error", "warn": "warning"}.get(self.tone, "check_circle")

    @property
    def commands(self) -> bool:
        """Whether there is a command to run."""
        return any(finding.commands for group in self.groups for finding in group.findings)

    @property
    def server(self) -> str:
        """Keycloak's address, for the login of who runs them."""
        return str(settings.KEYCLOAK_SERVER_URL)

    @property
    def verdict(self) -> str:
        """The whole in one sentence."""
        bad, odd, unseen, good = (len(self.report.of(one)) for one in Severity) if self.report else (0, 0, 0, 0)
        rest = f" {_times(unseen, 'check')} could not be made." if unseen else ""
        if not bad and not odd:
            return f"All {good} checks that could be made are well.{rest}" if unseen else f"All {good} checks are well."
        faults = [_times(bad, "error")] if bad else []
        faults += [_times(odd, "warning")] if odd else []
        return f"{' and '.join(faults)}; {good} checks are well.{rest}"


def _times(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def sold() -> Sold:
    """The apps and numbers of the products that are sold, in one query."""
    rows = list(Product.objects.filter(is_active=True).only("slug", "is_app", "needs_instance", "grants"))
    return Sold(
        apps=frozenset(row.slug for row in rows if row.is_app),
        seats=frozenset(row.slug for row in rows if row.needs_instance),
        grants=frozenset(str(name) for row in rows for name in row.grants),
    )


def look(*, patience: float = PATIENCE_SECONDS) -> Look:
    """Look at the realm now; never raises because Keycloak is away."""
    try:
        report = doctor.examine(sold(), patience=patience)
    except (DependencyDown, RetryLater) as error:
        return Look(problem=error.reason)
    groups = (Group(severity, report.of(severity)) for severity in Severity)
    return Look(report, tuple(group for group in groups if group.findings))
