"""Whether strangers can register clients of their own: what keeps them out is a policy that an operator can remove."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from apps.identity.doctor.expected import Expected, Row
from apps.identity.doctor.report import Finding, set_command
from apps.identity.doctor.rules import RULES

if TYPE_CHECKING:
    from apps.identity.doctor.reading import AdminSession, Snapshot

KIND = "org.keycloak.services.clientregistration.policy.ClientRegistrationPolicy"
POLICY, OWN_HOST, OWN_ADDRESSES = (
    "trusted-hosts",
    "host-sending-registration-request-must-match",
    "client-uris-must-match",
)


def read_policies_of_strangers(session: "AdminSession") -> tuple[Row, ...] | None:
    """What a client has to fulfil that somebody without a token registers; None when the account may not see it."""
    rows = session.ask("list the policies of client registration", lambda: session.admin.get_components({"type": KIND}))
    return None if rows is None else tuple(row for row in rows if row.get("subType") == "anonymous")


def check_registration(snapshot: "Snapshot", expected: Expected) -> Iterator[Finding]:
    """Nobody without a token, but from hosts that the operator names; nothing for a demo on one machine."""
    if not expected.is_public:
        return
    if snapshot.strangers is None or snapshot.realm is None:
        yield RULES["realm.client_registration"].skip(fix=snapshot.not_visible)
        return
    found = [row for row in snapshot.strangers if row.get("providerId") == POLICY]
    closed = any((row.get("config") or {}).get(OWN_HOST) == ["true"] for row in found)
    config = {OWN_HOST: ["true"], OWN_ADDRESSES: ["true"]}
    new = {"name": "Trusted Hosts", "providerId": POLICY, "providerType": KIND, "subType": "anonymous"}
    above = {"parentId": snapshot.realm.get("id"), "config": config}
    command = set_command("components", expected.realm, new | above, verb="create")
    if found and not closed:
        command = set_command(f"components/{found[0]['id']}", expected.realm, {f'config."{OWN_HOST}"': ["true"]})
    yield RULES["realm.client_registration"].outcome(closed, commands=(command,))
