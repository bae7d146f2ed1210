"""Whether people can set up a passkey and log in with it, where PASSKEYS offers that: a required action, and the realm's policy.

Keycloak has two policies for WebAuthn. That of passkeys is the one whose fields say "Passwordless"; since 26.4 its switch puts a
button for passkeys on the login page of the usual flow.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from apps.identity.doctor.expected import Expected
from apps.identity.doctor.fresh_logins import AGE, is_asked_for
from apps.identity.doctor.report import Finding, set_command
from apps.identity.doctor.rules import RULES
from apps.login.reauthentication import CHANGES

if TYPE_CHECKING:
    from apps.identity.doctor.reading import Snapshot

ACTION = CHANGES["passkey"]
# A passkey stands for the password, so the device has to ask for a finger, a face or a PIN, and has to know whose it is.
POLICY: dict[str, Any] = {
    "webAuthnPolicyPasswordlessPasskeysEnabled": True,
    "webAuthnPolicyPasswordlessUserVerificationRequirement": "required",
    "webAuthnPolicyPasswordlessRequireResidentKey": "Yes",
}


def check_passkeys(snapshot: "Snapshot", expected: Expected) -> Iterator[Finding]:
    """What the account page offers can be done; nothing where it offers no passkeys."""
    if not expected.passkeys:
        return
    rule = RULES["realm.passkeys"]
    if snapshot.actions is None or snapshot.realm is None:
        yield rule.skip(fix=snapshot.not_visible)
        return
    realm = snapshot.realm
    wanted = {name: value for name, value in POLICY.items() if realm.get(name) != value}
    action = snapshot.actions.get(ACTION)
    lacks = [] if is_asked_for(action) else [f"the required action {ACTION}, with a fresh login"]
    lacks += [f"{name} = {value}" for name, value in wanted.items()]
    commands = [] if action is not None else [_register(expected)]
    if not is_asked_for(action):
        resource = f"authentication/required-actions/{ACTION}"
        commands.append(set_command(resource, expected.realm, {"enabled": True, f'config."{AGE}"': "0"}))
    if wanted:
        commands.append(set_command(f"realms/{expected.realm}", expected.realm, wanted))
    yield rule.outcome(not lacks, lacks="; ".join(lacks), commands=tuple(commands))


def _register(expected: Expected) -> str:
    """The command that brings an action back which a realm file has left out."""
    values = {"providerId": ACTION, "name": "Webauthn Register Passwordless"}
    return set_command("authentication/register-required-action", expected.realm, values, verb="create")
