"""The checks as pure functions: one healthy snapshot, one thing wrong with it in each row, and what is reported."""

import dataclasses
import json
import shlex
from typing import Any

import pytest

from apps.identity.doctor import fresh_logins, passkeys
from apps.identity.doctor.checks import diagnose
from apps.identity.doctor.expected import SYNC_RIGHTS, Catalog, Expected
from apps.identity.doctor.reach import CHANGES, Reach
from apps.identity.doctor.reading import RoleGrant, Snapshot
from apps.identity.doctor.report import Finding, Severity, group_command, set_command
from apps.identity.doctor.second_factor import LoginFlows
from apps.identity.realm_test_email import EmailOutcome
from apps.sandbox.run import realm_file

PROFILE = "org.keycloak.userprofile.UserProfileProvider"
EXPECTED = Expected(
    realm="frontdesk", site="http://localhost:8000", issuer="https://id.example/realms/frontdesk", web="frontdesk-web",
    sync="frontdesk-sync", doctor="frontdesk-doctor", parent_group="/frontdesk", staff_group="/staff", canary="stan",
    from_address="no-reply@example.com", catalog=Catalog(apps=frozenset({"nextcloud"}), seats=frozenset({"nextcloud"})),
)  # fmt: skip
NOTHING, FILLS = frozenset[str](), frozenset({"manageMembership"})
PUBLIC = dataclasses.replace(EXPECTED, site="https://frontdesk.example.com")


def reach(**groups: frozenset[str]) -> Reach:
    """What the sync account may change; `groups` by path without the slash, two underscores for one below."""
    own = {
        "/frontdesk": CHANGES,
        "/frontdesk/a-1": FILLS,
        "/staff": NOTHING,
        "/staff/admin": NOTHING,
        "/other": NOTHING,
    }
    found = own | {f"/{name.replace('__', '/')}": may for name, may in groups.items()}
    return Reach(groups=found, ids={path: f"id-of-{path}" for path in found})


def healthy() -> Snapshot:
    """The realm file, as it would be read."""
    file = realm_file.filled(realm_file.read(), {})
    rows = {row["clientId"]: {"id": f"id-of-{row['clientId']}", **row} for row in file["clients"]}
    profile = json.loads(file["components"][PROFILE][0]["config"]["kc.user.profile.config"][0])
    return Snapshot(
        realm={name: value for name, value in file.items() if name not in {"clients", "users", "groups", "components"}}
        | {"permanentLockout": False},
        profile=profile,
        clients=rows,
        scopes={"acr": {"id": "scope-acr"}, "basic": {"id": "scope-basic"}},
        rights={
            "frontdesk-sync": frozenset({"view-users", "query-users", "query-groups"}),
            "frontdesk-doctor": frozenset({"view-realm", "view-users", "view-clients", "view-events", "query-users"}),
        },
        granted={},
        role_grants=(),
        groups=dict.fromkeys(EXPECTED.groups, "some-id"),
        reach=reach(),
        texts=file["localizationTexts"],
        canary_found=True,
        version="26.7.3",
        clock_skew=0.4,
        issuer=EXPECTED.issuer,
        test_email=EmailOutcome(sent=True),
    )


def bad(seen: Snapshot, expected: Expected = EXPECTED) -> dict[str, Finding]:
    return {one.id: one for one in diagnose(seen, expected) if one.severity is not Severity.PASSED}


def realm(**changed: Any) -> Snapshot:
    seen = healthy()
    return dataclasses.replace(seen, realm={**(seen.realm or {}), **changed})


def client(name: str, **changed: Any) -> Snapshot:
    seen = healthy()
    clients = dict(seen.clients or {})
    clients[name] = {**clients[name], **changed}
    return dataclasses.replace(seen, clients=clients)


def attribute(name: str, **changed: Any) -> Snapshot:
    seen = healthy()
    whole = dict(seen.profile or {})
    rows = [{**row, **changed} if row["name"] == name else row for row in whole["attributes"]]
    return dataclasses.replace(seen, profile={**whole, "attributes": rows})


def policy(value: str | None, *, without: str = "") -> Snapshot:
    seen = healthy()
    whole = dict(seen.profile or {})
    rows = [row for row in whole["attributes"] if row["name"] != without]
    return dataclasses.replace(seen, profile={**whole, "unmanagedAttributePolicy": value, "attributes": rows})


def texts(**changed: str) -> Snapshot:
    """With other texts of its own, in English."""
    return dataclasses.replace(healthy(), texts={"en": {**(healthy().texts or {})["en"], **changed}})


def seen(**changed: Any) -> Snapshot:
    return dataclasses.replace(healthy(), **changed)


def test_the_realm_file_is_healthy() -> None:
    assert bad(healthy()) == {}
    assert len(diagnose(healthy(), EXPECTED)) > 60


DENIES = "passwordBlacklist(own.txt)"
ROWS: list[tuple[str, Snapshot, str, str]] = [
    ("realm.registrationAllowed", realm(registrationAllowed=True), "error", "Anyone can create an account"),
    ("realm.accessTokenLifespan", realm(accessTokenLifespan=301), "error", "is 301;"),
    ("realm.accessTokenLifespan", realm(accessTokenLifespan=0), "error", "is 0;"),
    ("realm.accessTokenLifespan", realm(accessTokenLifespan=None), "error", "is not set;"),
    ("realm.ssoSessionMaxLifespan", realm(ssoSessionMaxLifespan=86_401), "warning", "is 86401;"),
    ("realm.passwordPolicy", realm(passwordPolicy=f"length(11) and {DENIES}"), "error", "is 11;"),
    ("realm.passwordPolicy", realm(passwordPolicy=DENIES), "error", "is not set;"),
    ("realm.passwordPolicy", realm(passwordPolicy=f"maxLength(64) and {DENIES}"), "error", "is not set;"),
    ("realm.password_deny_list", realm(passwordPolicy="length(12) and notUsername"), "warning", "are accepted"),
    ("realm.smtpServer", realm(smtpServer={}), "error", "no host and no from"),
    ("realm.smtpServer", realm(smtpServer={"host": "smtp.example.com"}), "error", "no from is set"),
    ("realm.defaultSignatureAlgorithm", realm(defaultSignatureAlgorithm="HS256"), "error", "HS256"),
    ("realm.recovery_link", texts(loginTitleHtml="{0}"), "warning", "http://localhost:8000/recovery/ (en)"),
    ("realm.recovery_link", texts(accountTemporarilyDisabledMessage="Wait a minute."), "warning", "(en)"),
    ("realm.recovery_link", texts(accountDisabledMessage=""), "warning", "(en)"),
    ("realm.recovery_link", seen(texts={"de": {}, "en": (healthy().texts or {})["en"]}), "warning", "(de)"),
    ("web.redirectUris", client("frontdesk-web", redirectUris=["*"]), "error", "not ours: *"),
    ("web.redirectUris", client("frontdesk-web", redirectUris=[]), "error", "missing: http://localhost:8000/accounts/oidc"),
    ("web.publicClient", client("frontdesk-web", publicClient=True), "error", "no secret"),
    ("web.scope.acr", client("frontdesk-web", defaultClientScopes=["basic", "profile", "email"]), "error", "acr"),
    ("web.scope.email", client("frontdesk-web", defaultClientScopes=["basic", "profile", "acr"]), "error", "the default scope email"),
    ("web.offline_access", client("frontdesk-web", optionalClientScopes=["offline_access"]), "warning", "offline tokens"),
    ("mapper.nextcloud.has_nextcloud", client("nextcloud", protocolMappers=(healthy().clients or {})["nextcloud"]["protocolMappers"][2:]), "error", "do not carry has_nextcloud"),
    ("profile.unmanagedAttributePolicy", policy("ENABLED"), "error", "People can change"),
    ("profile.unmanagedAttributePolicy", policy(None, without="has_nextcloud"), "error", "drops has_nextcloud"),
    ("profile.unmanagedAttributePolicy", policy("ADMIN_VIEW", without="onboarding_id"), "error", "drops onboarding_id"),
    ("profile.has_nextcloud", attribute("has_nextcloud", permissions={}), "error", "Nobody can write"),
    ("profile.has_nextcloud", attribute("has_nextcloud", permissions={"edit": ["user", "admin"]}), "error", "change their own"),
    (
        "profile.has_nextcloud",
        attribute("has_nextcloud", permissions={"edit": ["admin"], "view": ["user"]}), "warning", "can see",
    ),
    ("profile.lastName", attribute("lastName", required={}), "warning", "requires lastName"),
    ("sync.rights.missing", seen(rights=healthy().rights | {"frontdesk-sync": frozenset({"query-users"})}), "error", "view-users"),
    ("doctor.rights.missing", seen(rights=healthy().rights | {"frontdesk-doctor": frozenset({"view-users"})}), "error", "view-realm"),
    (
        "sync.rights.extra",
        seen(rights=healthy().rights | {"frontdesk-sync": healthy().rights["frontdesk-sync"] | {"impersonation"}}), "error", "impersonation",
    ),
    ("sync.staff", seen(rights=healthy().rights | {"frontdesk-sync": SYNC_RIGHTS | {"manage-users"}}), "warning", "every account"),
    ("sync.staff", seen(reach=reach(staff__admin=FILLS)), "error", "the groups /staff/admin"),
    ("sync.staff", seen(reach=reach(staff=CHANGES)) , "error", "the groups /staff"),
    ("sync.groups", seen(reach=reach(other=FILLS)), "warning", "into /other"),
    ("sync.customers", seen(reach=reach(frontdesk=FILLS)), "error", "/frontdesk"),
    ("sync.customers", seen(reach=reach(frontdesk__b_2=NOTHING)), "error", "/frontdesk"),
    ("app.nextcloud.redirectUris", client("nextcloud", redirectUris=["https://a.example/*"]), "warning", "https://a.example/*"),
    ("sync.login", seen(refusals={"frontdesk-sync": "401 unauthorized_client"}), "error", "401"),
    (
        "rights.group./staff", seen(role_grants=(RoleGrant(kind="group", id="g1", name="/staff", roles=frozenset({"realm-admin"})),)),
        "error", "grants realm-admin",
    ),
    ("group./staff/viewer", seen(groups=dict(healthy().groups or {}) | {"/staff/viewer": None}), "warning", "no group"),
    ("group./staff", seen(groups=dict(healthy().groups or {}) | {"/staff": None}), "error", "no group"),
    ("server.version", seen(version="26.7.1"), "error", "older than 26.7.2"),
    ("server.version", seen(version="25.0.6"), "error", "older"),
    ("server.version", seen(version=""), "skipped", "administrators"),
    ("server.clock", seen(clock_skew=31.0), "error", "31 s ahead of"),
    ("server.clock", seen(clock_skew=-45.0), "error", "45 s behind"),
    ("server.issuer", seen(issuer="http://localhost:8080/realms/frontdesk"), "error", "localhost:8080"),
    ("server.canary", seen(canary_found=False), "error", "not found"),
    ("mail.test", seen(test_email=None), "skipped", "No test email"),
    ("mail.test", seen(test_email=EmailOutcome(no_recipient=True)), "skipped", "no recipient"),
    ("mail.test", seen(test_email=EmailOutcome(reason="Keycloak could not (500).")), "error", "could not (500)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "snapshot", "severity", "part"), ROWS, ids=[f"{row[0]}-{at}" for at, row in enumerate(ROWS)]
)
def test_one_thing_wrong_is_one_finding(name: str, snapshot: Snapshot, severity: str, part: str) -> None:
    found = bad(snapshot)
    assert list(found) == [name]
    assert found[name].severity.value == severity
    assert part in found[name].message
    assert found[name].fix
    assert found[name].why or severity == "skipped"


FINE = [
    seen(version="26.8.0"), seen(version="27.0"), seen(clock_skew=30.0), policy(None), policy("ADMIN_VIEW"),
    realm(passwordPolicy=f"notUsername and length(20) and {DENIES}"), realm(sslRequired="none"), realm(smtpServer={"host": "h", "from": "f@x"}),
    client("frontdesk-web", attributes={**(healthy().clients or {})["frontdesk-web"]["attributes"],
                                        "backchannel.logout.url": "http://localhost:8000/oidc/backchannel-logout/"}),
    seen(clients={name: row for name, row in (healthy().clients or {}).items() if name != "nextcloud"}),
]  # fmt: skip


@pytest.mark.parametrize("snapshot", FINE, ids=range(len(FINE)))
def test_what_is_allowed_is_no_finding(snapshot: Snapshot) -> None:
    assert bad(snapshot) == {}


def test_a_realm_that_cannot_ask_staff_for_the_second_factor_locks_them_out() -> None:
    two, both = dataclasses.replace(EXPECTED, staff_acr="2"), frozenset({"1", "2"})
    gold = dataclasses.replace(EXPECTED, staff_acr="gold")
    names, none = {"attributes": {"acr.loa.map": '{"silver":1,"gold":2}'}}, {"attributes": {"acr.loa.map": "{}"}}
    for levels, wanted, changed, severity in (
        (both, EXPECTED, {}, None),
        (both, two, {}, "passed"),
        (frozenset(), two, {}, "error"),
        (frozenset({"1", "3"}), two, {}, "error"),
        (None, two, {}, "skipped"),
        (frozenset(), dataclasses.replace(EXPECTED, staff_acr="1"), {}, "passed"),
        (both, gold, {}, "error"),
        (both, gold, none, "error"),
        (both, gold, {"attributes": {"acr.loa.map": "[gold"}}, "error"),
        (both, gold, names, "passed"),
        (frozenset({"1"}), gold, names, "error"),
    ):
        flows = None if levels is None else LoginFlows(browser="browser", levels=levels)
        snapshot = dataclasses.replace(realm(**changed), flows=flows, not_visible="Give it the right view-realm.")
        found = {one.id: one for one in diagnose(snapshot, wanted)}.get("realm.staff_acr")
        assert (found and found.severity.value) == severity, (levels, wanted.staff_acr, changed)
        assert found is None or severity == "passed" or found.fix


@pytest.mark.parametrize(
    ("steps", "changed", "severity"),
    [
        ({"reset-password", "auth-otp-form"}, {}, "passed"),
        ({"reset-password"}, {}, "warning"),
        ({"reset-password", "reset-otp"}, {}, "warning"),
        ({"auth-otp-form", "reset-otp"}, {}, "warning"),
        ({"reset-password", "reset-otp"}, {"resetPasswordAllowed": False}, "passed"),
    ],
)
def test_a_forgotten_password_must_not_lead_around_the_second_factor(
    steps: set[str], changed: dict[str, Any], severity: str
) -> None:
    flows = LoginFlows(browser="browser", levels=frozenset("12"), reset="own", reset_steps=frozenset(steps))
    snapshot = dataclasses.replace(realm(**changed), flows=flows)
    wanted = dataclasses.replace(EXPECTED, staff_acr="2")
    found = {one.id: one.severity.value for one in diagnose(snapshot, wanted)}
    assert found["realm.reset_second_factor"] == severity
    assert "realm.reset_second_factor" not in {one.id for one in diagnose(snapshot, EXPECTED)}


def action(*, enabled: bool = True, **config: str) -> dict[str, Any]:
    return {"enabled": enabled, "config": config}


@pytest.mark.parametrize(
    ("changed", "severity", "part"),
    [
        ({}, "passed", ""),
        ({"UPDATE_EMAIL": action(max_auth_age="300")}, "passed", ""),
        ({"UPDATE_EMAIL": action(enabled=False)}, "warning", "change their email address without"),
        (
            {"UPDATE_EMAIL": None, "UPDATE_PASSWORD": action(max_auth_age="600")},
            "warning",
            "their password and their email",
        ),
        ({"CONFIGURE_TOTP": action(max_auth_age="-1")}, "warning", "their second factor"),
    ],
)
def test_what_a_login_hangs_on_needs_a_fresh_login(changed: dict[str, Any], severity: str, part: str) -> None:
    actions = {name: action() for name in fresh_logins.CHANGES} | changed
    there = {name: row for name, row in actions.items() if row is not None}
    found = {one.id: one for one in diagnose(seen(actions=there), PUBLIC)}["realm.fresh_logins"]
    assert (found.severity.value, part in found.message) == (severity, True)
    assert len(found.commands) == (0 if severity == "passed" else len(changed))


PASSKEYS = dataclasses.replace(EXPECTED, passkeys=True)


@pytest.mark.parametrize(
    ("row", "changed", "severity", "commands"),
    [
        (action(), {}, "passed", 0),
        (None, {}, "warning", 2),
        (action(enabled=False), {}, "warning", 1),
        (action(max_auth_age="3600"), {}, "warning", 1),
        (action(), {"webAuthnPolicyPasswordlessPasskeysEnabled": False}, "warning", 1),
        (action(), {"webAuthnPolicyPasswordlessUserVerificationRequirement": "preferred"}, "warning", 1),
        (None, {"webAuthnPolicyPasswordlessRequireResidentKey": "not specified"}, "warning", 3),
    ],
)
def test_passkeys_that_are_offered_can_be_set_up(
    row: dict[str, Any] | None, changed: dict[str, Any], severity: str, commands: int
) -> None:
    actions = {passkeys.ACTION: row} if row else {}
    snapshot = seen(actions=actions)
    snapshot = dataclasses.replace(snapshot, realm={**(snapshot.realm or {}), **passkeys.POLICY, **changed})
    found = {one.id: one for one in diagnose(snapshot, PASSKEYS)}["realm.passkeys"]
    assert (found.severity.value, len(found.commands)) == (severity, commands)
    assert all(name in found.message for name in changed)
    assert "realm.passkeys" not in {one.id for one in diagnose(snapshot, EXPECTED)}


def test_passkeys_whose_realm_is_not_visible_are_skipped() -> None:
    found = {one.id: one for one in diagnose(seen(actions=None), PASSKEYS)}["realm.passkeys"]
    assert found.severity.value == "skipped"


HOSTS = {
    "id": "c1",
    "providerId": "trusted-hosts",
    "config": {"host-sending-registration-request-must-match": ["true"]},
}


@pytest.mark.parametrize(
    ("policies", "severity", "part"),
    [
        ((HOSTS,), "passed", ""),
        (({"providerId": "max-clients"},), "error", "create components"),
        ((HOSTS | {"config": {"trusted-hosts": ["a.example"]}},), "error", "update components/c1"),
        (None, "skipped", ""),
    ],
)
def test_strangers_register_no_clients(policies: Any, severity: str, part: str) -> None:
    found = {one.id: one for one in diagnose(seen(strangers=policies), PUBLIC)}["realm.client_registration"]
    assert (found.severity.value, part in " ".join(found.commands)) == (severity, True)


def test_a_public_site_demands_https_of_keycloak() -> None:
    found = bad(realm(sslRequired="NONE"), PUBLIC)
    assert found["realm.sslRequired"].severity is Severity.ERROR
    assert "realm.sslRequired" not in bad(realm(sslRequired="external"), PUBLIC)


def test_an_internal_address_for_logouts_is_a_warning_and_another_one_an_error() -> None:
    attributes = (healthy().clients or {})["frontdesk-web"]["attributes"]
    for url, severity in (
        ("http://web:8000/oidc/backchannel-logout/", "warning"),
        ("https://x.example/", "error"),
        ("", "error"),
    ):
        found = bad(client("frontdesk-web", attributes={**attributes, "backchannel.logout.url": url}))
        assert found["web.backchannel.logout.url"].severity.value == severity, url


def test_a_mapper_in_a_shared_scope_counts_as_the_clients_own() -> None:
    rows = (healthy().clients or {})["frontdesk-web"]["protocolMappers"]
    shared = {"id": "shared", "protocolMappers": [{"id": "m", **rows[0]}]}
    bare = client(
        "frontdesk-web", protocolMappers=[], defaultClientScopes=["basic", "acr", "profile", "email", "groups"]
    )
    assert list(bad(bare)) == ["mapper.frontdesk-web.groups"]
    assert bad(dataclasses.replace(bare, scopes={**(bare.scopes or {}), "groups": shared})) == {}
    wrong = {**rows[0], "id": "m", "config": {**rows[0]["config"], "full.path": "false"}}
    found = bad(dataclasses.replace(bare, scopes={"groups": {"id": "shared", "protocolMappers": [wrong]}}))
    assert (
        found["mapper.frontdesk-web.groups"]
        .commands[0]
        .startswith("kcadm.sh update client-scopes/shared/protocol-mappers/models/m ")
    )


def test_one_member_of_staff_in_reach_is_an_error() -> None:
    found = bad(seen(reach=dataclasses.replace(reach(), staff=1)))
    assert found["sync.staff"].severity is Severity.ERROR
    assert "1 of their members" in found["sync.staff"].message


def test_a_realm_with_one_role_over_everybody_is_led_to_permissions_step_by_step() -> None:
    held = healthy().rights | {"frontdesk-sync": SYNC_RIGHTS | {"manage-users"}}
    (found,) = bad(seen(rights=held, policies=frozenset({"is frontdesk-sync"}))).values()
    assert found.commands[0] == "kcadm.sh update realms/frontdesk -s adminPermissionsEnabled=true"
    assert found.commands[-1].endswith("--rolename manage-users")
    assert not [one for one in found.commands if "'name=is frontdesk-sync'" in one]  # there already
    assert [name for name in ("/staff", "/staff/admin") if f"id-of-{name}" not in found.commands[-3]] == []
    assert "join_customers" in found.fix


def test_rights_that_come_from_elsewhere_have_no_useless_command() -> None:
    rights = healthy().rights | {"frontdesk-sync": healthy().rights["frontdesk-sync"] | {"manage-realm"}}
    given = {"frontdesk-sync": healthy().rights["frontdesk-sync"]}
    (found,) = bad(seen(rights=rights, granted=given)).values()
    assert found.commands == ()
    assert "group or another role" in found.fix


def test_what_is_not_visible_is_skipped_and_never_passed() -> None:
    nothing = Snapshot(
        canary_found=None, issuer=EXPECTED.issuer, not_visible="Give it rights.", rights=healthy().rights
    )
    found = diagnose(nothing, EXPECTED)
    skipped = {one.id for one in found if one.severity is Severity.SKIPPED}
    assert skipped == {
        "realm",
        "realm.recovery_link",
        "web",
        "profile",
        "group",
        "rights.groups",
        "server.version",
        "server.canary",
        "mail.test",
    }
    assert all(one.severity is not Severity.ERROR for one in found)
    assert "Give it rights." in {one.fix for one in found}


def test_a_site_in_english_needs_no_internationalization_and_another_does() -> None:
    off = realm(internationalizationEnabled=False)
    english, both = (dataclasses.replace(EXPECTED, languages=one) for one in (("en",), ("en", "de")))
    assert "realm.languages" not in bad(off, english)
    found = bad(off, both)["realm.languages"]
    assert "does not speak German" in found.message
    assert 'supportedLocales=["de","en"]' in found.commands[0]


def test_without_a_doctor_account_the_report_says_how_to_create_one() -> None:
    (found,) = [one for one in diagnose(healthy(), dataclasses.replace(EXPECTED, doctor="")) if one.id == "doctor"]
    assert found.severity is Severity.WARNING
    assert len(found.commands) == 2


def test_the_worst_comes_first() -> None:
    found = [one.severity for one in diagnose(realm(registrationAllowed=True, verifyEmail=False), EXPECTED)]
    assert found == sorted(found, key=list(Severity).index)


def test_commands_survive_the_shell() -> None:
    value = 'it\'s; $(rm -rf /) `x` "y"'
    words = shlex.split(set_command("users/profile", "front desk", {"a.b": value, "list": ["x", value], "on": True}))
    assert words[:5] == ["kcadm.sh", "update", "users/profile", "-r", "front desk"]
    assert words[6] == f"a.b={value}"
    assert json.loads(words[8].removeprefix("list=")) == ["x", value]
    assert words[10] == "on=true"


def test_a_group_below_another_is_created_there() -> None:
    assert group_command("/staff", "frontdesk") == "kcadm.sh create groups -r frontdesk -s name=staff"
    find = "kcadm.sh get group-by-path/staff -r frontdesk --fields id --format csv --noquotes"
    assert group_command("/staff/viewer", "frontdesk") == (
        f'kcadm.sh create "groups/$({find})/children" -r frontdesk -s name=viewer'
    )


def test_a_scope_the_realm_lacks_is_created_first() -> None:
    found = bad(client("frontdesk-web", defaultClientScopes=["basic", "profile", "acr"]))["web.scope.email"]
    assert "create it first" in found.fix
    assert found.commands == ()
