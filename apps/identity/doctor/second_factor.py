"""Whether the realm can ask staff for the second factor that STAFF_REQUIRED_ACR names, and lets nobody around it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from apps.identity.doctor.expected import Expected, Row
from apps.identity.doctor.report import Finding
from apps.identity.doctor.rules import RULES

if TYPE_CHECKING:
    from apps.identity.doctor.reading import AdminSession, Snapshot

CONDITION, MAP = "conditional-level-of-authentication", "acr.loa.map"
OVERRIDES = "authenticationFlowBindingOverrides"
# Steps of the flow for a forgotten password: one asks for the second factor, the other sets up a new one instead.
ASKS, REPLACES = "auth-otp-form", "reset-otp"


@dataclass(frozen=True, kw_only=True)
class LoginFlows:
    """The name of the flow by which people log in to our client, the levels its conditions name, and the steps of the
    flow for a forgotten password by their providers."""

    browser: str
    levels: frozenset[str]
    reset: str = ""
    reset_steps: frozenset[str] = frozenset()


def read_flows(session: "AdminSession", realm: Row | None, client: Row | None) -> LoginFlows | None:
    """The flows in force for our client; None when the account may not see them."""
    if realm is None:
        return None
    browser, reset = (
        _browser_flow(session, realm, client),
        str(realm.get("resetCredentialsFlow") or "reset credentials"),
    )
    steps = _steps(session, browser) if browser else None
    levels, reset_steps = None if steps is None else _levels(session, steps), _steps(session, reset)
    if browser is None or levels is None or reset_steps is None:
        return None
    named = frozenset(str(row.get("providerId")) for row in reset_steps)
    return LoginFlows(browser=browser, levels=levels, reset=reset, reset_steps=named)


def _browser_flow(session: "AdminSession", realm: Row, client: Row | None) -> str | None:
    """The realm's, unless one is bound to the client itself: that by its id."""
    bound = ((client or {}).get(OVERRIDES) or {}).get("browser")
    if not bound:
        return str(realm.get("browserFlow") or "browser")
    admin = session.admin
    found = session.ask("show the flow of the client", lambda: admin.get_authentication_flow_for_id(bound))
    return None if found is None else str(found["alias"])


def _steps(session: "AdminSession", flow: str) -> list[dict[str, Any]] | None:
    """The steps that are not disabled, nor below a flow that is."""
    admin, alias = session.admin, quote(flow, safe="")
    rows = session.ask("show a flow of logins", lambda: admin.get_authentication_flow_executions(alias))
    if rows is None:
        return None
    found, off = [], None
    for row in rows:  # each flow comes before what it holds, which is one level deeper
        if off is not None and row["level"] > off:
            continue
        off = row["level"] if row.get("requirement") == "DISABLED" else None
        if off is None:
            found.append(row)
    return found


def _levels(session: "AdminSession", steps: list[dict[str, Any]]) -> frozenset[str] | None:
    found = [row for row in steps if row.get("providerId") == CONDITION and row.get("requirement") == "REQUIRED"]
    keys = [str(row["authenticationConfig"]) for row in found if row.get("authenticationConfig")]
    admin, doing = session.admin, "show a step of the browser flow"
    configs = [session.ask(doing, lambda key=key: admin.get_authenticator_config(key)) for key in keys]  # type: ignore[misc]
    if None in configs:
        return None
    return frozenset(str((one.get("config") or {}).get("loa-condition-level")) for one in configs if one)


def check_second_factor(snapshot: "Snapshot", expected: Expected) -> Iterator[Finding]:
    """The flow has the level that the `acr` stands for, and a forgotten password leads nobody around it; nothing where
    no second factor is asked for."""
    needed, rule = expected.staff_acr, RULES["realm.staff_acr"]
    if not needed:
        return
    if snapshot.realm is None or snapshot.flows is None:
        yield rule.skip(fix=snapshot.not_visible)
        return
    client = (snapshot.clients or {}).get(expected.web) or {}
    named = _level_names(client) or _level_names(snapshot.realm)
    level = str(named.get(needed, needed))  # without a name, the number itself
    given = (snapshot.flows.levels or {"1"}) | {"0"}  # without conditions a password gives 1; single sign-on gives 0
    yield rule.outcome(level in given, acr=needed, level=level, flow=snapshot.flows.browser)
    steps, off = snapshot.flows.reset_steps, snapshot.realm.get("resetPasswordAllowed") is False
    asks = ASKS in steps and REPLACES not in steps
    yield RULES["realm.reset_second_factor"].outcome(off or asks, flow=snapshot.flows.reset)


def _level_names(row: Row) -> Row:
    try:
        found = json.loads((row.get("attributes") or {}).get(MAP) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
