"""The realm's own settings: who may register, how long a token lives, what is written down, whether mails can leave."""

import re
from collections.abc import Iterator
from typing import Any

from apps.identity.checks.finding import Finding, Severity, assign, unknown, well
from apps.identity.checks.rules import ERROR, WARNING, Rule, applied
from apps.identity.checks.snapshot import House, Row, Snapshot
from apps.login.oidc import ALGORITHMS

DAY = 86_400
SHORTEST_PASSWORD = 12
LENGTH = re.compile(r"\blength\((\d+)\)")
LOGIN, TOKENS, SESSIONS = "Realm settings, Login", "Realm settings, Tokens", "Realm settings, Sessions"
EVENTS, DEFENSES = "Realm settings, Events", "Realm settings, Security defenses"


def _within(low: int, high: int) -> Any:
    return lambda found: isinstance(found, int) and low <= found <= high


RULES = (
    Rule(
        setting="registrationAllowed", wanted=False, where=LOGIN,
        wrong="Anybody can make an account on Keycloak's own page.", right="Nobody registers on Keycloak's own page.",
        why="Such an account has paid nothing and is not known here; it can take a name that a customer is about to pay for.",
    ),
    Rule(
        setting="registrationEmailAsUsername", wanted=False, where=LOGIN,
        wrong="Keycloak takes the e-mail address as the username.", right="A username is what its owner chose.",
        why="The signup asks for a username; Keycloak would refuse or replace it, and the account would not be found again.",
    ),
    Rule(
        setting="duplicateEmailsAllowed", wanted=False, where=LOGIN,
        wrong="Two accounts may have the same e-mail address.", right="An e-mail address belongs to one account.",
        why="A reset mail could open the wrong one of them, and the signup could not tell that somebody is a customer already.",
    ),
    Rule(
        setting="loginWithEmailAllowed", wanted=True, where=LOGIN, severity=WARNING,
        wrong="People cannot log in with their e-mail address.", right="People may log in with their e-mail address.",
        why="Whoever forgot the username has no way in, and writes to support.",
    ),
    Rule(
        setting="editUsernameAllowed", wanted=False, where=LOGIN,
        wrong="People may rename their account.", right="Usernames stay as they are.",
        why="A name that was given back can be taken by somebody else; apps that know people by name would mix them up.",
    ),
    Rule(
        setting="verifyEmail", wanted=True, where=LOGIN, severity=WARNING,
        wrong="A changed e-mail address is not verified.", right="A changed e-mail address is verified.",
        why="Somebody could put another person's address on their account.",
    ),
    Rule(
        setting="resetPasswordAllowed", wanted=True, where=LOGIN, severity=WARNING,
        wrong="The login page has no “Forgot password?”.", right="A forgotten password can be set anew.",
        why="Every forgotten password becomes work for support.",
    ),
    Rule(
        setting="accessTokenLifespan", wanted=300, where=TOKENS, good=_within(1, 300),
        wrong="An access token lives {found} s, more than 300.", right="An access token lives at most 300 s.",
        why="An app that only checks a token's signature lets a disabled person in until the token ends.",
    ),
    Rule(
        setting="actionTokenGeneratedByAdminLifespan", wanted=259_200, where=TOKENS, severity=WARNING,
        good=_within(DAY, 7 * DAY),
        wrong="Links that staff have Keycloak send live {found} s, not one to seven days.", right="Links sent by staff live one to seven days.",
        why="A link that ends before the mail is read helps nobody; one that never ends lies in a mailbox for a thief.",
    ),
    Rule(
        setting="actionTokenGeneratedByUserLifespan", wanted=900, where=TOKENS, severity=WARNING,
        good=_within(600, DAY),
        wrong="Links people ask for themselves live {found} s, not ten minutes to a day.", right="Links people ask for live ten minutes to a day.",
        why="Keycloak's default of five minutes is too short behind a slow mail gateway.",
    ),
    Rule(
        setting="ssoSessionIdleTimeout", wanted=1800, where=SESSIONS, severity=WARNING, good=_within(60, DAY),
        wrong="A session that nobody uses lives {found} s, not one minute to a day.", right="An unused session ends within a day.",
        why="On a shared computer the next person is logged in as the last one.",
    ),
    Rule(
        setting="ssoSessionMaxLifespan", wanted=36_000, where=SESSIONS, severity=WARNING, good=_within(600, DAY),
        wrong="A session lives up to {found} s, not ten minutes to a day.", right="A session ends within a day.",
        why="Roles of staff and claims of apps are read at the login; a session without an end keeps old ones.",
    ),
    Rule(
        setting="bruteForceProtected", wanted=True, where=DEFENSES,
        wrong="Passwords may be guessed without end.", right="Guessing passwords is slowed down.",
        why="Lists of leaked passwords are tried against every login page there is.",
    ),
    Rule(
        setting="permanentLockout", wanted=False, where=DEFENSES, severity=WARNING,
        wrong="Wrong passwords lock an account for ever.", right="A lock after wrong passwords ends by itself.",
        why="Anybody who knows a username can lock its owner out until staff help.",
    ),
    Rule(
        setting="defaultSignatureAlgorithm", wanted="RS256", where=TOKENS, good=ALGORITHMS.__contains__,
        wrong="Tokens are signed with {found}, which we do not accept.", right="Tokens are signed in a way we accept.",
        why="Every login here ends in an error page.",
    ),
    Rule(
        setting="eventsEnabled", wanted=True, where=EVENTS, severity=WARNING,
        wrong="Logins are not written down.", right="Logins are written down.",
        why="After a break-in nobody can say who was in.",
    ),
    Rule(
        setting="adminEventsEnabled", wanted=True, where=EVENTS, severity=WARNING,
        wrong="What administrators change is not written down.", right="What administrators change is written down.",
        why="Nobody can say who gave a right, or changed one of these settings.",
    ),
)  # fmt: skip


def check(seen: Snapshot, house: House) -> Iterator[Finding]:
    """All of them; one `unknown` when the settings cannot be seen."""
    if seen.realm is None:
        yield unknown("realm", "The realm's settings cannot be seen.", fix=seen.blind)
        return
    resource = f"realms/{house.realm}"
    yield from applied(RULES, seen.realm, prefix="realm", resource=resource, realm=house.realm)
    yield _password_policy(seen.realm, house)
    yield _ssl(seen.realm, house)
    yield _smtp(seen.realm, house)


def _password_policy(realm: Row, house: House) -> Finding:
    """Keycloak keeps the policy as one text: `length(12) and notUsername(undefined)`."""
    policy = str(realm.get("passwordPolicy") or "")
    found = LENGTH.search(policy)
    if found and int(found[1]) >= SHORTEST_PASSWORD:
        return well("realm.passwordPolicy", f"A password has at least {found[1]} characters.")
    wish = f"length({SHORTEST_PASSWORD})"
    mended = LENGTH.sub(wish, policy) if found else " and ".join(part for part in (wish, policy) if part)
    return Finding(
        id="realm.passwordPolicy",
        severity=Severity.ERROR,
        says=f"A password may have {found[1] if found else 'any number of'} characters.",
        why="Short passwords are guessed.",
        fix=f"Authentication, Policies: set the minimum length to {SHORTEST_PASSWORD}.",
        commands=(assign(f"realms/{house.realm}", house.realm, {"passwordPolicy": mended}),),
    )


def _ssl(realm: Row, house: House) -> Finding:
    found = str(realm.get("sslRequired") or "")
    if found.lower() in {"external", "all"} or not house.https:
        return well("realm.sslRequired", f"Https is demanded where {house.site} needs it.")
    return Finding(
        id="realm.sslRequired",
        severity=ERROR,
        says="Keycloak answers plain http from anywhere, and this site is public.",
        why="Passwords and tokens can be read on their way.",
        fix="Realm settings, General: set Require SSL to External requests.",
        commands=(assign(f"realms/{house.realm}", house.realm, {"sslRequired": "external"}),),
    )


def _smtp(realm: Row, house: House) -> Finding:
    server = realm.get("smtpServer") or {}
    lacking = [name for name in ("host", "from") if not server.get(name)]
    if not lacking:
        return well("realm.smtpServer", f"Mails leave by {server['host']} as {server['from']}.")
    values = {"smtpServer.host": server.get("host") or "smtp.example.com"}
    values["smtpServer.from"] = server.get("from") or house.from_address
    return Finding(
        id="realm.smtpServer",
        severity=ERROR,
        says=f"Keycloak cannot send mails: no {' and no '.join(lacking)} is set.",
        why="New customers get no link to set their password, and cannot come in.",
        fix="Realm settings, Email: set the mail server and the sender. Put your own server in the place of smtp.example.com.",
        commands=(assign(f"realms/{house.realm}", house.realm, values),),
    )
