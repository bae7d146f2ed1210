"""The server itself: its version, its clock, the address it believes it has; the canary, and whether mails arrive."""

import re
from collections.abc import Iterator

from apps.identity.checks.finding import Finding, Severity, assign, roles, unknown, well
from apps.identity.checks.rights import DOCTOR
from apps.identity.checks.rules import ERROR
from apps.identity.checks.snapshot import House, Snapshot

FLOOR = (26, 7, 2)  # CVE-2026-18963: an account could be taken over through the reset mail
MOST_SKEW_SECONDS = 30
DOCTOR_CLIENT = "frontdesk-doctor"  # as the realm file names it
SEE_VERSION = "kcadm.sh get serverinfo --fields 'systemInfo(version)'"
DOTTED = ".".join(str(part) for part in FLOOR)


def check(seen: Snapshot, house: House) -> Iterator[Finding]:
    """All of it."""
    if not house.doctor:
        yield _no_doctor(house)
    yield _version(seen)
    yield _clock(seen)
    yield _issuer(seen, house)
    yield _canary(seen, house)
    yield _mail(seen)


def _no_doctor(house: House) -> Finding:
    flags = {"serviceAccountsEnabled": True, "standardFlowEnabled": False, "publicClient": False}
    client = {"clientId": DOCTOR_CLIENT, "protocol": "openid-connect", "fullScopeAllowed": True, **flags}
    holder = ("--uusername", f"service-account-{DOCTOR_CLIENT}")
    return Finding(
        id="doctor",
        severity=Severity.WARNING,
        says="Most of the realm cannot be seen: no read-only account is set.",
        why="Whoever changes it by mistake or in malice is not found out.",
        fix=f"Unless the realm has {DOCTOR_CLIENT} already, make it with the rights {', '.join(sorted(DOCTOR))}; then set "
        "KEYCLOAK_DOCTOR_CLIENT_ID and KEYCLOAK_DOCTOR_CLIENT_SECRET.",
        commands=(
            assign("clients", house.realm, client, verb="create"),
            roles("add", house.realm, holder, DOCTOR),
        ),
    )


def _version(seen: Snapshot) -> Finding:
    numbers = tuple(int(part) for part in re.findall(r"\d+", seen.version)[:3])
    if not numbers:
        return unknown(
            "server.version",
            f"Keycloak shows its version to administrators of the whole server only; it should be {DOTTED} or newer.",
            fix="Ask it as one of them.",
            commands=(SEE_VERSION,),
        )
    if numbers >= FLOOR:
        return well("server.version", f"Keycloak {seen.version} is new enough.")
    return Finding(
        id="server.version",
        severity=ERROR,
        says=f"Keycloak {seen.version} is older than {DOTTED}.",
        why="Accounts can be taken over through the mail that resets a password (CVE-2026-18963).",
        fix=f"Update Keycloak to {DOTTED} or newer. Until then switch “Forgot password” off.",
    )


def _clock(seen: Snapshot) -> Finding:
    if abs(seen.skew) <= MOST_SKEW_SECONDS:
        return well("server.clock", "Keycloak's clock and ours agree.")
    return Finding(
        id="server.clock",
        severity=ERROR,
        says=f"Keycloak's clock is {abs(seen.skew):.0f} s {'ahead of' if seen.skew > 0 else 'behind'} ours.",
        why="Tokens from the future are refused: nobody can log in, and logouts are not believed.",
        fix="Set both machines' clocks by NTP (timedatectl set-ntp true).",
    )


def _issuer(seen: Snapshot, house: House) -> Finding:
    if seen.issuer == house.issuer:
        return well("server.issuer", f"Keycloak knows its own address, {house.issuer}.")
    return Finding(
        id="server.issuer",
        severity=ERROR,
        says=f"Keycloak says its address is {seen.issuer or 'unknown'}; here it is {house.issuer}.",
        why="Tokens and links in mails carry the other address: logins are refused, links lead nowhere.",
        fix="Start Keycloak with KC_HOSTNAME set to its public address, and make KEYCLOAK_SERVER_URL the same.",
    )


def _canary(seen: Snapshot, house: House) -> Finding:
    if seen.canary:
        return well("server.canary", f"The account {house.canary} is found.")
    if not house.canary:
        return Finding(
            id="server.canary",
            severity=Severity.WARNING,
            says="No account is set that must always be found.",
            why="A missing right looks like an empty realm; a taken username would be sold again.",
            fix="Make an account nobody uses, and name it in KEYCLOAK_CANARY_USERNAME.",
        )
    if seen.canary is None:
        return unknown("server.canary", "Nobody can be looked up.", fix=f"First let {house.sync} in.")
    return Finding(
        id="server.canary",
        severity=ERROR,
        says=f"The account {house.canary} of KEYCLOAK_CANARY_USERNAME is not found.",
        why="Answers about names are not believed while it is not: the signup cannot go on.",
        fix="Make the account anew; if it is there, our account has lost a right.",
        commands=(assign("users", house.realm, {"username": house.canary, "enabled": True}, verb="create"),),
    )


def _mail(seen: Snapshot) -> Finding:
    again = "Send one to yourself: on the console's page, or by manage.py doctor --mail USERNAME."
    if seen.mail is None:
        return unknown("mail.test", "No test mail has been sent in the last 30 days.", fix=again)
    if seen.mail.sent:
        return well("mail.test", "The last test mail has left.")
    if seen.mail.nobody:
        says = "The last test mail had nobody to go to: the realm has no account of that name or address."
        return unknown("mail.test", says, fix=again)
    return Finding(
        id="mail.test",
        severity=ERROR,
        says=f"The last test mail could not be sent. {seen.mail.said}",
        why="New customers get no link to set their password.",
        fix="Realm settings, Email: mend the server, its login or its encryption; then send another.",
    )
