"""Whether the realm can give the `acr` that STAFF_REQUIRED_ACR asks of staff: a level of its browser flow."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from apps.identity.doctor.expected import Expected, Row
from apps.identity.doctor.report import Finding
from apps.identity.doctor.rules import RULES

if TYPE_CHECKING:
    from apps.identity.doctor.reading import AdminSession, Snapshot

CONDITION, MAP = "conditional-level-of-authentication", "acr.loa.map"


def read_levels(session: "AdminSession", realm: Row | None) -> frozenset[str] | None:
    """The levels that the conditions of the realm's browser flow name; None when the account may not see them."""
    if realm is None:
        return None
    admin, doing = session.admin, "show the browser flow"
    alias = quote(str(realm.get("browserFlow") or "browser"), safe="")
    steps = session.ask(doing, lambda: admin.get_authentication_flow_executions(alias))
    if steps is None:
        return None
    found = [row for row in steps if row.get("providerId") == CONDITION and row.get("requirement") == "REQUIRED"]
    keys = [str(row["authenticationConfig"]) for row in found if row.get("authenticationConfig")]
    configs = [session.ask(doing, lambda key=key: admin.get_authenticator_config(key)) for key in keys]  # type: ignore[misc]
    if None in configs:
        return None
    return frozenset(str((one.get("config") or {}).get("loa-condition-level")) for one in configs if one)


def check_second_factor(snapshot: "Snapshot", expected: Expected) -> Iterator[Finding]:
    """The flow has the level that the `acr` stands for; nothing where none is asked for."""
    needed, rule = expected.staff_acr, RULES["realm.staff_acr"]
    if not needed:
        return
    if snapshot.realm is None or snapshot.levels is None:
        yield rule.skip(fix=snapshot.not_visible)
        return
    client = (snapshot.clients or {}).get(expected.web) or {}
    named = _level_names(client) or _level_names(snapshot.realm)
    level = str(named.get(needed, needed))  # without a name, the number itself
    flow = snapshot.realm.get("browserFlow") or "browser"
    given = (snapshot.levels or {"1"}) | {"0"}  # without conditions a password gives 1; single sign-on gives 0
    yield rule.outcome(level in given, acr=needed, level=level, flow=flow)


def _level_names(row: Row) -> Row:
    try:
        found = json.loads((row.get("attributes") or {}).get(MAP) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
