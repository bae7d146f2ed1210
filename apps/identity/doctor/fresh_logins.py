"""Whether people change what their login hangs on only after a fresh login: a matter of Keycloak's required actions.

Each has a longest age of the login, five minutes where none is set. Without the action `UPDATE_EMAIL`, which a new realm has
switched off, Keycloak's account page changes the address at once (seen on 26.7.3).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from apps.identity.doctor.expected import Expected, Row
from apps.identity.doctor.report import Finding, set_command
from apps.identity.doctor.rules import RULES

if TYPE_CHECKING:
    from apps.identity.doctor.reading import AdminSession, Snapshot

CHANGES = {
    "UPDATE_PASSWORD": "their password",
    "UPDATE_EMAIL": "their email address",
    "CONFIGURE_TOTP": "their second factor",
}
AGE, USUAL_SECONDS = "max_auth_age", 300


def read_actions(session: "AdminSession") -> Mapping[str, Row] | None:
    """The realm's required actions by name; None when the account may not see them."""
    rows = session.ask("list the required actions", session.admin.get_required_actions)
    return None if rows is None else {str(row["alias"]): row for row in rows}


def check_fresh_logins(snapshot: "Snapshot", expected: Expected) -> Iterator[Finding]:
    """Each change that a login hangs on; nothing for a demo on one machine."""
    if not expected.is_public:
        return
    if snapshot.actions is None:
        yield RULES["realm.fresh_logins"].skip(fix=snapshot.not_visible)
        return
    open_to_all = [name for name in CHANGES if not is_asked_for(snapshot.actions.get(name))]
    wanted = {"enabled": True, f'config."{AGE}"': "0"}
    yield RULES["realm.fresh_logins"].outcome(
        not open_to_all, what=" and ".join(CHANGES[name] for name in open_to_all), actions=", ".join(open_to_all),
        commands=tuple(
            set_command(f"authentication/required-actions/{name}", expected.realm, wanted) for name in open_to_all
        ),
    )  # fmt: skip


def is_asked_for(action: Row | None) -> bool:
    """Whether the action is there, and wants a login of no more than five minutes ago."""
    if action is None or not action.get("enabled"):
        return False
    age = str((action.get("config") or {}).get(AGE, USUAL_SECONDS))
    return age.isdecimal() and int(age) <= USUAL_SECONDS
