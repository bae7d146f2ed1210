"""The client people log in to Frontdesk with: what it may do, where it may send people, who is told of a logout."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from apps.identity.checks import scopes
from apps.identity.checks.finding import Finding, Severity, assign, unknown, well
from apps.identity.checks.rules import ERROR, WARNING, Rule, applied
from apps.identity.checks.snapshot import House, Row, Snapshot
from apps.identity.passwords import RETURN_PATH
from apps.login.oidc import ALGORITHMS

CALLBACK_PATH = "/accounts/oidc/keycloak/login/callback/"
LOGOUT_PATH = "/oidc/backchannel-logout/"
SCOPES = {
    "basic": "sub and auth_time",
    "acr": "how strong a login was",
    "profile": "names",
    "email": "the address",
}
CAPABILITY, LOGOUT, ADVANCED = (
    "the client's Capability config",
    "the client's Logout settings",
    "the client's Advanced tab",
)
RULES = (
    Rule(
        setting="enabled", wanted=True, where="the client's page",
        wrong="The client is disabled.", right="The client is enabled.", why="Nobody can log in.",
    ),
    Rule(
        setting="publicClient", wanted=False, where=CAPABILITY,
        wrong="The client needs no secret.", right="The client proves itself by its secret.",
        why="Anybody who steals a code on its way can change it for tokens.",
    ),
    Rule(
        setting="standardFlowEnabled", wanted=True, where=CAPABILITY,
        wrong="The code flow is off.", right="The code flow is on.", why="Nobody can log in.",
    ),
    Rule(
        setting="implicitFlowEnabled", wanted=False, where=CAPABILITY,
        wrong="The implicit flow is on.", right="The implicit flow is off.",
        why="It puts tokens into addresses, which land in histories and logs.",
    ),
    Rule(
        setting="directAccessGrantsEnabled", wanted=False, where=CAPABILITY,
        wrong="Passwords may be sent for tokens (direct access grants).", right="Passwords are typed at Keycloak alone.",
        why="It goes past second factors, and lets a leaked secret be used to guess passwords.",
    ),
    Rule(
        setting="serviceAccountsEnabled", wanted=False, where=CAPABILITY, severity=WARNING,
        wrong="The login client has a service account.", right="The login client has no account of its own.",
        why="Whoever finds its secret has an account in the realm.",
    ),
    Rule(
        setting="fullScopeAllowed", wanted=False, where="the client's dedicated scope", severity=WARNING,
        wrong="Tokens for us carry every right the person has elsewhere.", right="Tokens for us carry no rights elsewhere.",
        why="A token that leaks here could be used there.",
    ),
    Rule(
        setting="frontchannelLogout", wanted=False, where=LOGOUT,
        wrong="Front-channel logout is on, which switches the back channel off.", right="Logouts come by the back channel.",
        why="Somebody who is logged out at Keycloak stays logged in here.",
    ),
    Rule(
        setting=("attributes", "pkce.code.challenge.method"), wanted="S256", where=ADVANCED,
        wrong="PKCE with S256 is not demanded ({found}).", right="PKCE with S256 is demanded.",
        why="A code that was stolen could be used by the thief.",
    ),
    Rule(
        setting=("attributes", "backchannel.logout.session.required"), wanted="true", where=LOGOUT,
        wrong="Logout messages do not name the session.", right="Logout messages name the session.",
        why="One logout on one device would end all sessions of that person here.",
    ),
    Rule(
        setting=("attributes", "id.token.signed.response.alg"), wanted="RS256", where=ADVANCED,
        good=lambda found: found in (None, "", *ALGORITHMS),
        wrong="ID tokens are signed with {found}, which we do not accept.", right="ID tokens are signed in a way we accept.",
        why="Every login here ends in an error page.",
    ),
)  # fmt: skip


def check(seen: Snapshot, house: House) -> Iterator[Finding]:
    """All about it; one `unknown` when clients cannot be seen, one error when it is not there."""
    if seen.clients is None:
        yield unknown("web", f"The client {house.web} cannot be seen.", fix=seen.blind)
        return
    client = seen.clients.get(house.web)
    if client is None:
        yield _missing(house)
        return
    resource = f"clients/{client['id']}"
    yield from applied(RULES, client, prefix="web", resource=resource, realm=house.realm)
    yield _redirects(client, house)
    yield _after_logout(client, house)
    yield _backchannel(client, house)
    yield from scopes.check(client, SCOPES, seen, house, prefix="web")


def addresses(house: House) -> list[str]:
    """Where Keycloak may send people to, and no other place."""
    return [f"{house.site}{CALLBACK_PATH}", f"{house.site}{RETURN_PATH}"]


def _missing(house: House) -> Finding:
    flags = {rule.field: rule.wanted for rule in RULES}
    ours = {
        "clientId": house.web,
        "protocol": "openid-connect",
        "redirectUris": addresses(house),
        'attributes."post.logout.redirect.uris"': f"{house.site}/",
        'attributes."backchannel.logout.url"': f"{house.site}{LOGOUT_PATH}",
    }
    return Finding(
        id="web",
        severity=ERROR,
        says=f"The realm has no client {house.web}.",
        why="Nobody can log in.",
        fix="Make the client, then put its secret into OIDC_RP_CLIENT_SECRET.",
        commands=(assign("clients", house.realm, ours | flags, verb="create"),),
    )


def _redirects(client: Row, house: House) -> Finding:
    found, wanted = set(client.get("redirectUris") or ()), addresses(house)
    if found == set(wanted):
        return well("web.redirectUris", "Logins lead back to this site's two addresses, and nowhere else.")
    lacking, extra = sorted(set(wanted) - found), sorted(found - set(wanted))
    parts = [f"missing {', '.join(lacking)}"] if lacking else []
    parts += [f"too many {', '.join(extra)}"] if extra else []
    return Finding(
        id="web.redirectUris",
        severity=ERROR,
        says=f"The redirect addresses are not exactly ours ({'; '.join(parts)}).",
        why="Without ours nobody comes back from the login; with others a code can be sent to a thief's page.",
        fix=f"The client's Access settings: make the valid redirect URIs {' and '.join(wanted)}.",
        commands=(assign(f"clients/{client['id']}", house.realm, {"redirectUris": wanted}),),
    )


def _after_logout(client: Row, house: House) -> Finding:
    name, wanted = "post.logout.redirect.uris", f"{house.site}/"
    found = [part for part in str((client.get("attributes") or {}).get(name) or "").split("##") if part]
    if found == [wanted]:
        return well(f"web.{name}", "After a logout people come back to this site's front page, and nowhere else.")
    return Finding(
        id=f"web.{name}",
        severity=ERROR if wanted not in found else Severity.WARNING,
        says=f"After a logout Keycloak may lead to {', '.join(found) or 'no place'}, not to {wanted} alone.",
        why="People see an error page when they log out; other addresses can be used to lead them astray.",
        fix=f"The client's Access settings: make the valid post logout redirect URIs {wanted}.",
        commands=(assign(f"clients/{client['id']}", house.realm, {f'attributes."{name}"': wanted}),),
    )


def _backchannel(client: Row, house: House) -> Finding:
    name, wanted = "backchannel.logout.url", f"{house.site}{LOGOUT_PATH}"
    found = str((client.get("attributes") or {}).get(name) or "")
    if found == wanted or _same_machine(found, wanted):
        return well(f"web.{name}", "Keycloak tells this site of logouts.")
    inner = urlsplit(found).path == LOGOUT_PATH
    return Finding(
        id=f"web.{name}",
        severity=WARNING if inner else ERROR,
        says=f"Keycloak tells {found or 'nobody'} of logouts, not {wanted}.",
        why="Somebody who is logged out at Keycloak stays logged in here."
        + (" It is right only where that is an inner address of this site." if inner else ""),
        fix=f"The client's Logout settings: set the back-channel logout URL to {wanted}.",
        commands=(assign(f"clients/{client['id']}", house.realm, {f'attributes."{name}"': wanted}),),
    )


def _same_machine(found: str, wanted: str) -> bool:
    """Whether both are the same port and path of this machine, by whichever of its names."""
    one, other = urlsplit(found), urlsplit(wanted)
    here = {"localhost", "127.0.0.1"}
    alike = (one.scheme, one.port, one.path) == (other.scheme, other.port, other.path)
    return alike and one.hostname in here and other.hostname in here
