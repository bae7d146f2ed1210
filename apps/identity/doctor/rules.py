"""The doctor's rules as data: one row for each thing that can be right or wrong about the realm, with all its texts.

A row with `where` is a setting, compared as it stands: `checks` needs no code for it. Texts may name values in braces.
"""

from collections.abc import Callable, Iterator
from typing import Any

from apps.identity.doctor.expected import DENY_LIST_FILE, MAX_SKEW_SECONDS, MIN_PASSWORD_LENGTH, OLDEST_VERSION, Row
from apps.identity.doctor.report import Finding, Rule, Severity, set_command
from apps.login.oidc import ALGORITHMS

ERROR, WARNING = Severity.ERROR, Severity.WARNING
DAY = 86_400
FLOOR = ".".join(str(part) for part in OLDEST_VERSION)


def _between(low: int, high: int) -> Callable[[Any], bool]:
    return lambda found: isinstance(found, int) and low <= found <= high


LOGIN, TOKENS, SESSIONS = "Realm settings, Login", "Realm settings, Tokens", "Realm settings, Sessions"
EVENTS, DEFENSES = "Realm settings, Events", "Realm settings, Security defenses"
CAPABILITY, LOGOUT = "The client's Capability config", "The client's Logout settings"
ADVANCED, OWN_SCOPE = "The client's Advanced tab", "The client's dedicated scope"
ACCESS, SERVICE_ROLES = "The client's Access settings", "Clients, {client}, Service account roles"
ADD_MAPPER = "Clients, {client}, Client scopes, its dedicated scope: add a mapper that puts {claim} into the ID token."
POLICY_FIX = "Realm settings, General: set Unmanaged Attributes to “Only administrators can write”."
ATTRIBUTE_FIX = "Realm settings, User profile, {name}: only admins can edit, only admins can view."

TABLE = (
    # --- the realm's settings
    Rule("realm", skipped="The realm's settings are not visible."),
    Rule("realm.registrationAllowed", wanted=False, where=LOGIN,
         ok="Nobody can register on Keycloak's own page.", problem="Anyone can create an account on Keycloak's own page.",
         why="Such an account has not paid and is unknown here; it can take a username that a customer is about to pay for."),
    Rule("realm.registrationEmailAsUsername", wanted=False, where=LOGIN,
         ok="People choose their own username.", problem="Keycloak uses the email address as the username.",
         why="Signup asks for a username. Keycloak would reject or replace it, and the account could not be found again."),
    Rule("realm.duplicateEmailsAllowed", wanted=False, where=LOGIN,
         ok="An email address belongs to one account.", problem="Two accounts can have the same email address.",
         why="A reset email could open the wrong one, and signup could not tell that someone is already a customer."),
    Rule("realm.loginWithEmailAllowed", WARNING, wanted=True, where=LOGIN,
         ok="People can log in with their email address.", problem="People cannot log in with their email address.",
         why="Anyone who forgets their username is locked out and writes to support."),
    Rule("realm.editUsernameAllowed", wanted=False, where=LOGIN,
         ok="Usernames cannot be changed.", problem="People can rename their account.",
         why="Someone else could take the old name; apps that identify people by username would mix them up."),
    Rule("realm.verifyEmail", WARNING, wanted=True, where=LOGIN,
         ok="A changed email address is verified.", problem="A changed email address is not verified.",
         why="Someone could put another person's address on their account."),
    Rule("realm.resetPasswordAllowed", WARNING, wanted=True, where=LOGIN,
         ok="A forgotten password can be reset.", problem="The login page has no “Forgot password?” link.",
         why="Every forgotten password becomes a support request."),
    Rule("realm.accessTokenLifespan", wanted=300, where=TOKENS, accepts=_between(1, 300),
         ok="Access tokens expire within five minutes.",
         problem="The lifespan of access tokens in seconds is {found}; it must be 1 to 300.",
         why="An app that only checks a token's signature lets a disabled person in until the token expires."),
    Rule("realm.actionTokenGeneratedByAdminLifespan", WARNING, wanted=259_200, where=TOKENS, accepts=_between(DAY, 7 * DAY),
         ok="Links that staff send are valid for one to seven days.",
         problem="The lifespan in seconds of links that staff send is {found}; it should be one to seven days.",
         why="A link that expires before the email is read helps nobody; one that never expires waits in a mailbox for a thief."),
    Rule("realm.actionTokenGeneratedByUserLifespan", WARNING, wanted=900, where=TOKENS, accepts=_between(600, DAY),
         ok="Links that people request are valid for ten minutes to a day.",
         problem="The lifespan in seconds of links that people request is {found}; it should be ten minutes to a day.",
         why="Keycloak's default of five minutes is too short behind a slow mail gateway."),
    Rule("realm.ssoSessionIdleTimeout", WARNING, wanted=1800, where=SESSIONS, accepts=_between(60, DAY),
         ok="Idle sessions end within a day.",
         problem="The idle timeout of sessions in seconds is {found}; it should be one minute to a day.",
         why="On a shared computer, the next person is logged in as the last one."),
    Rule("realm.ssoSessionMaxLifespan", WARNING, wanted=36_000, where=SESSIONS, accepts=_between(600, DAY),
         ok="Sessions end within a day.",
         problem="The longest lifespan of a session in seconds is {found}; it should be ten minutes to a day.",
         why="Staff roles and the claims of apps are read at login; a session that never ends keeps old ones."),
    Rule("realm.bruteForceProtected", wanted=True, where=DEFENSES,
         ok="Password guessing is slowed down.", problem="Passwords can be guessed without limit.",
         why="Lists of leaked passwords are tried against every login page."),
    Rule("realm.permanentLockout", WARNING, wanted=False, where=DEFENSES,
         ok="A lockout after wrong passwords ends automatically.", problem="Wrong passwords lock an account permanently.",
         why="Anyone who knows a username can lock its owner out until staff help."),
    Rule("realm.defaultSignatureAlgorithm", wanted="RS256", where=TOKENS, accepts=ALGORITHMS.__contains__,
         ok="Tokens are signed with an algorithm we accept.", problem="Tokens are signed with {found}, which we do not accept.",
         why="Every login here ends in an error page."),
    Rule("realm.eventsEnabled", WARNING, wanted=True, where=EVENTS,
         ok="Logins are recorded.", problem="Logins are not recorded.",
         why="After a break-in, nobody can tell who was in."),
    Rule("realm.adminEventsEnabled", WARNING, wanted=True, where=EVENTS,
         ok="Changes by administrators are recorded.", problem="Changes by administrators are not recorded.",
         why="Nobody can tell who granted a right or changed one of these settings."),
    Rule("realm.passwordPolicy",
         ok="Passwords have at least {length} characters.",
         problem=f"The minimum length of passwords is {{length}}; it must be at least {MIN_PASSWORD_LENGTH} characters.",
         why="Short passwords are easy to guess.",
         fix=f"Authentication, Policies: set the minimum length to {MIN_PASSWORD_LENGTH}."),
    Rule("realm.password_deny_list", WARNING,
         ok="Common and leaked passwords are refused, by the list {file}.", problem="Common and leaked passwords are accepted.",
         why="Lists of leaked passwords are tried against every login page, the most common first.",
         fix=f"Put config/keycloak/{DENY_LIST_FILE} into data/password-blacklists of Keycloak's folder; then Authentication, "
             f"Policies: add Password blacklist with the value {DENY_LIST_FILE}. Keep the file: without it Keycloak does not start."),
    Rule("realm.sslRequired",
         ok="HTTPS is required where {site} needs it.",
         problem="Keycloak accepts plain HTTP from anywhere, and this site is public.",
         why="Passwords and tokens can be read in transit.",
         fix="Realm settings, General: set Require SSL to External requests."),
    Rule("realm.smtpServer",
         ok="Emails leave through {host} as {sender}.", problem="Keycloak cannot send emails: {missing} set.",
         why="New customers get no link to set their password and cannot log in.",
         fix="Realm settings, Email: set the mail server and the sender. Replace smtp.example.com with your own server."),
    # --- the client people log in with
    Rule("web", skipped="The client {client} is not visible.", problem="The realm has no client {client}.",
         why="Nobody can log in.", fix="Create the client, then put its secret into OIDC_RP_CLIENT_SECRET."),
    Rule("web.enabled", wanted=True, where="The client's page",
         ok="The client is enabled.", problem="The client is disabled.", why="Nobody can log in."),
    Rule("web.publicClient", wanted=False, where=CAPABILITY,
         ok="The client authenticates with its secret.", problem="The client needs no secret.",
         why="Anyone who intercepts a code can exchange it for tokens."),
    Rule("web.standardFlowEnabled", wanted=True, where=CAPABILITY,
         ok="The code flow is on.", problem="The code flow is off.", why="Nobody can log in."),
    Rule("web.implicitFlowEnabled", wanted=False, where=CAPABILITY,
         ok="The implicit flow is off.", problem="The implicit flow is on.",
         why="It puts tokens into URLs, which end up in browser histories and logs."),
    Rule("web.directAccessGrantsEnabled", wanted=False, where=CAPABILITY,
         ok="Passwords are entered at Keycloak only.", problem="Passwords can be exchanged for tokens (direct access grants).",
         why="This bypasses second factors, and a leaked secret can be used to guess passwords."),
    Rule("web.serviceAccountsEnabled", WARNING, wanted=False, where=CAPABILITY,
         ok="The login client has no service account.", problem="The login client has a service account.",
         why="Anyone who finds its secret has an account in the realm."),
    Rule("web.fullScopeAllowed", WARNING, wanted=False, where=OWN_SCOPE,
         ok="Tokens for us carry no rights elsewhere.", problem="Tokens for us carry every right the person has elsewhere.",
         why="A token that leaks here could be used there."),
    Rule("web.frontchannelLogout", wanted=False, where=LOGOUT,
         ok="Logouts come through the back channel.", problem="Front-channel logout is on, which turns the back channel off.",
         why="Someone who is logged out at Keycloak stays logged in here."),
    Rule("web.pkce.code.challenge.method", wanted="S256", where=ADVANCED,
         ok="PKCE with S256 is required.", problem="PKCE with S256 is not required (the method is {found}).",
         why="A stolen code could be used by the thief."),
    Rule("web.backchannel.logout.session.required", wanted="true", where=LOGOUT,
         ok="Logout messages name the session.", problem="Logout messages do not name the session.",
         why="Logging out on one device would end all of that person's sessions here."),
    Rule("web.id.token.signed.response.alg", wanted="RS256", where=ADVANCED,
         accepts=lambda found: found in (None, "", *ALGORITHMS),
         ok="ID tokens are signed with an algorithm we accept.",
         problem="ID tokens are signed with {found}, which we do not accept.", why="Every login here ends in an error page."),
    Rule("web.redirectUris",
         ok="Logins lead back to this site's two addresses and nowhere else.",
         problem="The redirect URIs are not exactly ours ({difference}).",
         why="Without ours, nobody returns from the login; with others, a code can be sent to a thief's page.",
         fix=f"{ACCESS}: set the valid redirect URIs to {{wanted}}."),
    Rule("web.post.logout.redirect.uris",
         ok="After a logout, people return to this site's home page and nowhere else.",
         problem="After a logout, Keycloak may return people to {found}, not only to {wanted}.",
         why="People see an error page when they log out; other addresses can be used for phishing.",
         fix=f"{ACCESS}: set the valid post logout redirect URIs to {{wanted}}."),
    Rule("web.backchannel.logout.url",
         ok="Keycloak reports logouts to this site.", problem="Keycloak reports logouts to {found}, not to {wanted}.",
         why="Someone who is logged out at Keycloak stays logged in here.{unless}",
         fix="The client's Logout settings: set the back-channel logout URL to {wanted}."),
    Rule("web.offline_access", WARNING,
         ok="Nobody can stay logged in here without a session.", problem="The client {client} may ask for offline tokens.",
         why="Anyone who gets hold of such a token has access for as long as the account exists; we never ask for one.",
         fix="Clients, {client}, Client scopes: remove offline_access."),
    # --- the clients of the apps
    Rule("apps.redirectUris", WARNING, id="app.{client}.redirectUris",
         ok="{client}: logins lead back to whole addresses.", problem="{client}: logins may lead back to {found}.",
         why="A code can be sent to every page below that address.", fix=f"Clients, {{client}}, {ACCESS}: name the whole address."),
    Rule("app.pkce.code.challenge.method", WARNING, id="app.{client}.pkce.code.challenge.method", wanted="S256",
         where="Clients, {client}, Advanced",
         ok="{client}: PKCE with S256 is required.",
         problem="{client}: PKCE with S256 is not required (the method is {found}).",
         why="A stolen code could be used by the thief. First make sure that the app uses PKCE."),
    # --- what tokens carry
    Rule("scope", id="{prefix}.scope.{scope}",
         ok="Tokens for {client} say {adds}.", problem="The client {client} lacks the default scope {scope}, which adds {adds}.",
         why="What its tokens do not say is refused, or treated as missing.",
         fix="Clients, {client}, Client scopes: add {scope} as a default.{create_first}"),
    Rule("mapper.missing", id="mapper.{client}.{claim}", why="{why}", fix=ADD_MAPPER,
         ok="Tokens for {client} carry {claim}.", problem="Tokens for {client} do not carry {claim}."),
    Rule("mapper.wrong", id="mapper.{client}.{claim}", why="{why}", fix=ADD_MAPPER,
         problem="The mapper {mapper} of {client} does not fill {claim} correctly: {differences}."),
    # --- the second factor of staff
    Rule("realm.staff_acr", ok="The browser flow {flow} can give the acr {acr} that staff need.",
         skipped="Whether the realm can ask staff for a second factor is not visible.",
         problem="The browser flow {flow} cannot give the acr {acr} of STAFF_REQUIRED_ACR: it has no condition "
                 "“Level of Authentication” with the level {level}.",
         why="No member of staff can log in.",
         fix="Authentication, Flows: add the level, as the README says under “A second factor for staff”. Until then "
             "STAFF_REQUIRED_ACR=none lets staff in with a password alone."),
    Rule("realm.fresh_logins", WARNING, skipped="Whether people need a fresh login to change their account is not visible.",
         ok="People change their password, email address and second factor only after a fresh login.",
         problem="People can change {what} without a fresh login.",
         why="Anyone at a browser left open can take the account over for good.",
         fix="Authentication, Required actions: switch on {actions}, with a maximum age of authentication of 0."),
    Rule("realm.client_registration", skipped="Whether strangers can register clients is not visible.",
         ok="Nobody registers a client without a token.", problem="Anyone can register a client without a token.",
         why="Such a client gets the logins of people who follow its link, under your name and on your login page.",
         fix="Clients, Client registration, Anonymous access policies: add Trusted Hosts, with “Host sending client registration "
             "request must match” on."),
    Rule("realm.reset_second_factor", WARNING,
         ok="A forgotten password is reset with the second factor, if there is one.",
         problem="A forgotten password is reset without the second factor: the flow {flow} asks for none, or replaces it.",
         why="Anyone who reads somebody's emails can get in, with a new password and a second factor of their own.",
         fix="Authentication, Flows: as the README says under “A second factor for staff”; or Realm settings, Login: turn "
             "Forgot password off."),
    # --- the user profile
    Rule("profile", skipped="The user profile is not visible."),
    Rule("profile.kept", id="profile.unmanagedAttributePolicy",
         ok="Attributes that are not declared are kept, for administrators only."),
    Rule("profile.declared", id="profile.unmanagedAttributePolicy",
         ok="All our attributes are declared; others are not kept.",
         problem="Keycloak silently drops {names}: not declared, and the policy is {policy}.",
         why="Customers who pay for it are not let in.", fix=POLICY_FIX),
    Rule("profile.open", id="profile.unmanagedAttributePolicy",
         problem="People can change attributes that are not declared.",
         why="Anyone can give themselves an app that is not declared, on Keycloak's own account page.", fix=POLICY_FIX),
    Rule("attribute.restricted", id="profile.{name}", ok="{name} is for administrators only."),
    Rule("attribute.editable", id="profile.{name}", problem="People can change their own {name}.",
         why="They can give themselves what they have not paid for.", fix=ATTRIBUTE_FIX),
    Rule("attribute.read_only", id="profile.{name}", problem="Nobody can write {name}.",
         why="It is silently dropped; customers who pay are not let in.", fix=ATTRIBUTE_FIX),
    Rule("attribute.visible", WARNING, id="profile.{name}", problem="People can see their own {name}.",
         why="It is of no use to them and reveals how the service is built.", fix=ATTRIBUTE_FIX),
    Rule("attribute.required", WARNING, id="profile.{name}", ok="{name} is optional.", problem="Keycloak requires {name}.",
         why="Anyone who left it out at signup is stopped by a form at the first login.",
         fix="Realm settings, User profile, {name}: turn Required field off."),
    # --- the groups
    Rule("group", skipped="The groups are not visible."),
    Rule("group.parent", id="group.{path}", ok="The group {path} exists.", problem="There is no group {path}.",
         why="Nobody can be assigned to an instance.", fix="Groups: create {missing}."),
    Rule("group.staff", id="group.{path}", ok="The group {path} exists.", problem="There is no group {path}.",
         why="Nobody can have that role in the console.", fix="Groups: create {missing}."),
    # --- our own accounts, and who else has rights over the realm
    Rule("sync.login", ok="Keycloak lets {client} in.", problem="Keycloak does not let {client} in ({refusal}).",
         why="Access can be neither granted nor revoked.",
         fix="Check that the client exists, is enabled and has a service account, and that "
             "KEYCLOAK_ADMIN_CLIENT_SECRET is its secret."),
    Rule("doctor.login", ok="Keycloak lets {client} in.", problem="Keycloak does not let {client} in ({refusal}).",
         why="Most of the realm is not visible.",
         fix="Check that the client exists, is enabled and has a service account, and that "
             "KEYCLOAK_DOCTOR_CLIENT_SECRET is its secret."),
    Rule("rights.missing", id="{account}.rights.missing",
         ok="The account of {client} has the rights it needs.", problem="The account of {client} lacks {rights}.",
         why="Its work stops, and some answers look like an empty realm.", fix=f"{SERVICE_ROLES}: assign what is missing."),
    Rule("rights.extra", id="{account}.rights.extra",
         ok="The account of {client} has no unnecessary rights.",
         problem="The account of {client} has more rights than it needs: {rights}.",
         why="Anyone who finds its secret has these rights over everyone.",
         fix=f"{SERVICE_ROLES}: unassign the unnecessary rights.{{elsewhere}}"),
    Rule("sync.manages_all", WARNING, id="sync.staff",
         problem="The account of {client} manages every account in the realm, staff too ({right}).",
         why="Anyone who finds its secret can make anybody an administrator of the console.",
         fix="Run manage.py join_customers, which puts all customers into {parent}; then the commands below permit {client} "
             "its members only."),
    Rule("sync.staff", ok="{client} cannot change staff.", problem="{client} can change staff: {what}.",
         why="Anyone who finds its secret can make themselves an administrator of the console.",
         fix="Permissions: refuse {client} these groups. Members of staff must be in no group that it manages alone."),
    Rule("sync.groups", WARNING, ok="{client} fills no groups but ours.", problem="{client} can put customers into {groups}.",
         why="What those groups grant elsewhere can be had by anyone who finds its secret.",
         fix="Permissions: refuse {client} these groups, and those below them."),
    Rule("sync.customers", ok="{client} manages the members of {parent}.",
         problem="{client} may not do all it needs with the members of {parent} and the groups below.",
         why="Access can be neither granted nor revoked.", fix="Permissions: permit {client} these groups."),
    Rule("service.fullScopeAllowed", id="{account}.client.fullScopeAllowed", wanted=True, where=OWN_SCOPE,
         ok="{client}: its token carries its rights.",
         problem="{client}: its token carries none of its rights (full scope is off).",
         why="Keycloak refuses every call; access can be neither granted nor revoked."),
    Rule("service.publicClient", id="{account}.client.publicClient", wanted=False, where=CAPABILITY,
         ok="{client}: it authenticates with its secret.", problem="{client}: it needs no secret.",
         why="Anyone could use its rights."),
    Rule("service.standardFlowEnabled", WARNING, id="{account}.client.standardFlowEnabled", wanted=False,
         where=CAPABILITY, ok="{client}: nobody logs in with it.", problem="{client}: people can log in with it.",
         why="It is a second way in that nobody watches."),
    Rule("service.directAccessGrantsEnabled", WARNING, id="{account}.client.directAccessGrantsEnabled", wanted=False,
         where=CAPABILITY, ok="{client}: it takes no passwords.",
         problem="{client}: passwords can be exchanged for tokens.",
         why="Anyone who finds its secret can guess passwords without the login page."),
    Rule("rights.groups", ok="No group and no default role grants rights over the realm.",
         skipped="Whether a group grants rights over the realm is not visible."),
    Rule("rights.group", id="rights.group.{name}", problem="The group {name} grants {rights}.",
         why="Our account adds people to groups: anyone who finds its secret can become an administrator.",
         fix="Groups, {name}: unassign them. Administrators belong in the realm master."),
    Rule("rights.role", id="rights.role.{name}", problem="The role {name} grants {rights}.",
         why="Every account in the realm has these rights.",
         fix="Realm roles, {name}: unassign them. Administrators belong in the realm master."),
    # --- the server
    Rule("doctor", WARNING, problem="Most of the realm is not visible: no read-only account is set.",
         why="Harmful changes to it, by mistake or on purpose, go unnoticed.",
         fix="Unless the realm already has {client}, create it with the rights {rights}; then set "
             "KEYCLOAK_DOCTOR_CLIENT_ID and KEYCLOAK_DOCTOR_CLIENT_SECRET."),
    Rule("server.version", ok="Keycloak {version} is new enough.", problem=f"Keycloak {{version}} is older than {FLOOR}.",
         skipped=f"Keycloak shows its version to administrators of the whole server only; it should be {FLOOR} or newer.",
         why="Accounts can be taken over through the password reset email (CVE-2026-18963).",
         fix=f"Update Keycloak to {FLOOR} or newer. Until then, turn “Forgot password” off."),
    Rule("server.clock", ok=f"Keycloak's clock and ours agree to within {MAX_SKEW_SECONDS} s.",
         problem="Keycloak's clock is {seconds:.0f} s {direction} ours.",
         why="Tokens from the future are refused: nobody can log in, and logout messages are not trusted.",
         fix="Synchronise both clocks with NTP (timedatectl set-ntp true)."),
    Rule("server.issuer", ok="Keycloak uses its public address, {expected}.",
         problem="Keycloak reports {found} as its address; we expect {expected}.",
         why="Tokens and links in emails carry the other address: logins are refused, and links lead nowhere.",
         fix="Start Keycloak with KC_HOSTNAME set to its public address, and set KEYCLOAK_SERVER_URL to the same."),
    Rule("server.canary", ok="The account {canary} is found.", skipped="Accounts cannot be searched.",
         problem="The account {canary} of KEYCLOAK_CANARY_USERNAME is not found.",
         why="Until it is, no username counts as free, and signup is blocked.",
         fix="Create the account; if it exists, our account has lost a right."),
    Rule("canary.unset", WARNING, id="server.canary", problem="No account is named that must always be found.",
         why="A missing right looks like an empty realm; a taken username would be sold again.",
         fix="Create an account that nobody uses, and name it in KEYCLOAK_CANARY_USERNAME."),
    Rule("mail.test", ok="The last test email was sent.", problem="The last test email could not be sent. {reason}",
         skipped="No test email has been sent in the last 30 days.",
         why="New customers get no link to set their password.",
         fix="Realm settings, Email: fix the server, its login or its encryption; then send another."),
    Rule("mail.nobody", id="mail.test",
         skipped="The last test email had no recipient: the realm has no account of that name that we may email."),
)  # fmt: skip
RULES = {rule.key: rule for rule in TABLE}


def settings_of(area: str) -> list[Rule]:
    """The rules of one area that are settings."""
    return [rule for rule in TABLE if rule.where and rule.key.startswith(f"{area}.")]


def check_settings(area: str, row: Row, resource: str, realm: str, **values: Any) -> Iterator[Finding]:
    """One finding for each setting of that area, as `row` has it; the fix writes to `resource`."""
    for rule in settings_of(area):
        found = rule.found_in(row)
        command = set_command(resource, realm, {rule.field: rule.wanted})
        shown = "not set" if found is None else found
        yield rule.outcome(rule.accepted(found), commands=(command,), found=shown, **values)
