"""What a check of the realm says: one sentence, why it matters, and how to mend it, in words and as kcadm commands.

Promises: findings are values without secrets; the commands are whole lines for a shell that is logged in by
`kcadm.sh config credentials`, with the ids of the realm that was looked at.
"""

import enum
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Severity(enum.StrEnum):
    """How bad it is; `unknown` when it could not be looked at."""

    ERROR = "error"
    WARNING = "warning"
    UNKNOWN = "unknown"
    OK = "ok"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check's answer. `why`, `fix` and `commands` are empty where all is well; `id` never changes its meaning."""

    id: str
    severity: Severity
    says: str
    why: str = ""
    fix: str = ""
    commands: tuple[str, ...] = ()


def well(name: str, says: str) -> Finding:
    """The check `name` found everything as it should be."""
    return Finding(id=name, severity=Severity.OK, says=says)


def unknown(name: str, says: str, *, fix: str, commands: tuple[str, ...] = ()) -> Finding:
    """The check `name` could not be made; `fix` says what would make it possible, or how to look by hand."""
    return Finding(id=name, severity=Severity.UNKNOWN, says=says, fix=fix, commands=commands)


# --- kcadm, https://www.keycloak.org/docs/latest/server_admin/#admin-cli ------------------------------------------------


def assign(resource: str, realm: str, values: Mapping[str, Any], *, verb: str = "update") -> str:
    """Change fields of a resource below a realm; kcadm reads, merges and writes it whole. `verb` may be `create`."""
    words = ["kcadm.sh", verb, resource, *([] if resource == f"realms/{realm}" else ["-r", realm])]
    for field, value in values.items():
        words += ["-s", f"{field}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"]
    return shlex.join(words)


def add(resource: str, realm: str) -> str:
    """Add one thing to a list of a resource, whose address says it all."""
    return shlex.join(["kcadm.sh", "update", resource, "-r", realm, "-n", "-b", "{}"])


def roles(change: str, realm: str, holder: tuple[str, str], names: frozenset[str]) -> str:
    """Give (`add`) or take (`remove`) roles of realm-management; `holder` is kcadm's option and its value."""
    words = ["kcadm.sh", f"{change}-roles", "-r", realm, *holder, "--cclientid", "realm-management"]
    for name in sorted(names):
        words += ["--rolename", name]
    return shlex.join(words)


def make_group(path: str, realm: str) -> str:
    """Make the group `path`, whose parent is there."""
    parent, _, name = path.rpartition("/")
    if not parent:
        return assign("groups", realm, {"name": name}, verb="create")
    find = shlex.join(["kcadm.sh", "get", f"group-by-path{parent}", "-r", realm, "--fields", "id"])
    child = shlex.join(["-r", realm, "-s", f"name={name}"])
    return f'kcadm.sh create "groups/$({find} --format csv --noquotes)/children" {child}'
