"""What the doctor reports: one finding per check, with why it matters and how to fix it, in words and as kcadm commands.

A rule (the table is in `rules`) holds the texts and becomes a finding.

Promises: findings hold no secrets; the commands are complete lines for a shell that is logged in with
`kcadm.sh config credentials`, with the ids of the realm that was checked.
"""

import datetime as dt
import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.core.findings import Finding as Finding
from apps.core.findings import Severity as Severity
from apps.identity.doctor.expected import Row


@dataclass(frozen=True)
class Rule:
    """`key` is `<area>.<name>`; the finding's `id` is the same unless given. `ok`, `problem` and `skipped` are its sentences.

    Of a setting: Keycloak's name is the key's second part (one with dots is among the client's attributes), `wanted` is what
    the fix sets, `accepts` says what passes (default: `wanted`), and `where` is the page of Keycloak's own console.
    """

    key: str
    severity: Severity = Severity.ERROR
    ok: str = ""
    problem: str = ""
    why: str = ""
    fix: str = ""
    skipped: str = ""
    id: str = ""
    where: str = ""
    wanted: Any = None
    accepts: Callable[[Any], bool] | None = None

    @property
    def setting(self) -> str:
        """Keycloak's name of the setting."""
        return self.key.partition(".")[2]

    @property
    def field(self) -> str:
        """The setting as kcadm names it."""
        return f'attributes."{self.setting}"' if "." in self.setting else self.setting

    def found_in(self, row: Row) -> Any:
        """The setting's value in a row of Keycloak's; None when it has none."""
        return ((row.get("attributes") or {}) if "." in self.setting else row).get(self.setting)

    def accepted(self, found: Any) -> bool:
        """Whether that value of the setting passes."""
        return self.accepts(found) if self.accepts else bool(found == self.wanted)

    def outcome(self, passed: bool, **details: Any) -> Finding:
        """The finding that the check passed, or failed; `details` as for `failed`."""
        if not passed:
            return self.failed(**details)
        return Finding(id=self._id(details), severity=Severity.PASSED, message=self.ok.format(**details))

    def failed(self, *, commands: tuple[str, ...] = (), severity: Severity | None = None, **values: Any) -> Finding:
        """The finding that something is wrong, with `values` in its texts."""
        fix = self.fix or f"{self.where}: set {self.setting} to {_shown(self.wanted)}."
        return Finding(
            id=self._id(values), severity=severity or self.severity, message=self.problem.format(**values),
            why=self.why.format(**values), fix=fix.format(**values), commands=commands,
        )  # fmt: skip

    def skip(self, *, fix: str, commands: tuple[str, ...] = (), **values: Any) -> Finding:
        """The finding that the check could not be made; `fix` says what would make it possible."""
        message = self.skipped.format(**values)
        return Finding(id=self._id(values), severity=Severity.SKIPPED, message=message, fix=fix, commands=commands)

    def _id(self, values: dict[str, Any]) -> str:
        return (self.id or self.key).format(**values)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings of one examination, the worst first."""

    at: dt.datetime
    findings: tuple[Finding, ...]

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of that severity."""
        return tuple(finding for finding in self.findings if finding.severity is severity)


def listed(names: Iterable[str]) -> str:
    """Names in a sentence."""
    return ", ".join(sorted(names))


# --- kcadm, https://www.keycloak.org/docs/latest/server_admin/#admin-cli ------------------------------------------------


def set_command(resource: str, realm: str, values: Mapping[str, Any], *, verb: str = "update") -> str:
    """Change fields of a resource below a realm; kcadm reads, merges and writes it whole. `verb` may be `create`."""
    words = ["kcadm.sh", verb, resource, *([] if resource == f"realms/{realm}" else ["-r", realm])]
    for field, value in values.items():
        words += ["-s", f"{field}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"]
    return shlex.join(words)


def add_command(resource: str, realm: str) -> str:
    """Add one thing to a list of a resource; its address says everything."""
    return shlex.join(["kcadm.sh", "update", resource, "-r", realm, "-n", "-b", "{}"])


def delete_command(resource: str, realm: str) -> str:
    """Remove one thing from a list of a resource."""
    return shlex.join(["kcadm.sh", "delete", resource, "-r", realm])


def roles_command(change: str, realm: str, holder: tuple[str, str], names: frozenset[str]) -> str:
    """Grant (`add`) or revoke (`remove`) roles of realm-management; `holder` is kcadm's option and its value."""
    words = ["kcadm.sh", f"{change}-roles", "-r", realm, *holder, "--cclientid", "realm-management"]
    for name in sorted(names):
        words += ["--rolename", name]
    return shlex.join(words)


def group_command(path: str, realm: str) -> str:
    """Create the group `path`, whose parent exists."""
    parent, _, name = path.rpartition("/")
    if not parent:
        return set_command("groups", realm, {"name": name}, verb="create")
    find = shlex.join(["kcadm.sh", "get", f"group-by-path{parent}", "-r", realm, "--fields", "id"])
    child = shlex.join(["-r", realm, "-s", f"name={name}"])
    return f'kcadm.sh create "groups/$({find} --format csv --noquotes)/children" {child}'
