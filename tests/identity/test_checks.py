"""The checks as pure functions: one snapshot that is well, one thing otherwise in each row, and what is said of it."""

import dataclasses
import json
import shlex
from typing import Any

import pytest

from apps.identity import doctor
from apps.identity.checks import groups
from apps.identity.checks.finding import Finding, Severity, assign, make_group
from apps.identity.checks.snapshot import Bearer, House, LastMail, Snapshot, Sold
from config import realm_file

PROFILE = "org.keycloak.userprofile.UserProfileProvider"
HOUSE = House(
    realm="frontdesk", site="http://localhost:8000", issuer="https://id.example/realms/frontdesk", web="frontdesk-web",
    sync="frontdesk-sync", doctor="frontdesk-doctor", parent_group="/frontdesk", staff_group="/staff", canary="stan",
    from_address="no-reply@example.com", sold=Sold(apps=frozenset({"nextcloud"}), seats=frozenset({"nextcloud"})),
)  # fmt: skip
PUBLIC = dataclasses.replace(HOUSE, site="https://frontdesk.example.com")


def well() -> Snapshot:
    """What the realm file says, as it would be read."""
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
            "frontdesk-sync": frozenset({"manage-users", "view-users", "query-users", "query-groups"}),
            "frontdesk-doctor": frozenset({"view-realm", "view-users", "view-clients", "view-events", "query-users"}),
        },
        given={},
        bearers=(),
        groups=dict.fromkeys(groups.needed(HOUSE), "some-id"),
        canary=True,
        version="26.7.3",
        skew=0.4,
        issuer=HOUSE.issuer,
        mail=LastMail(sent=True),
    )


def bad(seen: Snapshot, house: House = HOUSE) -> dict[str, Finding]:
    return {one.id: one for one in doctor.diagnosed(seen, house) if one.severity is not Severity.OK}


def realm(**changed: Any) -> Snapshot:
    seen = well()
    return dataclasses.replace(seen, realm={**(seen.realm or {}), **changed})


def client(name: str, **changed: Any) -> Snapshot:
    seen = well()
    clients = dict(seen.clients or {})
    clients[name] = {**clients[name], **changed}
    return dataclasses.replace(seen, clients=clients)


def attribute(name: str, **changed: Any) -> Snapshot:
    seen = well()
    whole = dict(seen.profile or {})
    rows = [{**row, **changed} if row["name"] == name else row for row in whole["attributes"]]
    return dataclasses.replace(seen, profile={**whole, "attributes": rows})


def policy(value: str | None, *, without: str = "") -> Snapshot:
    seen = well()
    whole = dict(seen.profile or {})
    rows = [row for row in whole["attributes"] if row["name"] != without]
    return dataclasses.replace(seen, profile={**whole, "unmanagedAttributePolicy": value, "attributes": rows})


def seen(**changed: Any) -> Snapshot:
    return dataclasses.replace(well(), **changed)


def test_the_realm_file_is_well() -> None:
    assert bad(well()) == {}
    assert len(doctor.diagnosed(well(), HOUSE)) > 60


ROWS: list[tuple[str, Snapshot, str, str]] = [
    ("realm.registrationAllowed", realm(registrationAllowed=True), "error", "Anybody can make an account"),
    ("realm.accessTokenLifespan", realm(accessTokenLifespan=301), "error", "301 s"),
    ("realm.accessTokenLifespan", realm(accessTokenLifespan=0), "error", "0 s"),
    ("realm.accessTokenLifespan", realm(accessTokenLifespan=None), "error", "nothing"),
    ("realm.ssoSessionMaxLifespan", realm(ssoSessionMaxLifespan=86_401), "warning", "86401"),
    ("realm.passwordPolicy", realm(passwordPolicy="length(11)"), "error", "11 characters"),
    ("realm.passwordPolicy", realm(passwordPolicy=None), "error", "any number"),
    ("realm.passwordPolicy", realm(passwordPolicy="maxLength(64)"), "error", "any number"),
    ("realm.smtpServer", realm(smtpServer={}), "error", "no host and no from"),
    ("realm.smtpServer", realm(smtpServer={"host": "smtp.example.com"}), "error", "no from is set"),
    ("realm.defaultSignatureAlgorithm", realm(defaultSignatureAlgorithm="HS256"), "error", "HS256"),
    ("web.redirectUris", client("frontdesk-web", redirectUris=["*"]), "error", "too many *"),
    ("web.redirectUris", client("frontdesk-web", redirectUris=[]), "error", "missing http://localhost:8000/accounts/oidc"),
    ("web.publicClient", client("frontdesk-web", publicClient=True), "error", "no secret"),
    ("web.scope.acr", client("frontdesk-web", defaultClientScopes=["basic", "profile", "email"]), "error", "acr"),
    ("web.scope.email", client("frontdesk-web", defaultClientScopes=["basic", "profile", "acr"]), "error", "the default scope email"),
    ("mapper.nextcloud.has_nextcloud", client("nextcloud", protocolMappers=(well().clients or {})["nextcloud"]["protocolMappers"][2:]), "error", "do not carry has_nextcloud"),
    ("profile.unmanagedAttributePolicy", policy("ENABLED"), "error", "People may change"),
    ("profile.unmanagedAttributePolicy", policy(None, without="has_nextcloud"), "error", "drops has_nextcloud"),
    ("profile.unmanagedAttributePolicy", policy("ADMIN_VIEW", without="onboarding_id"), "error", "drops onboarding_id"),
    ("profile.has_nextcloud", attribute("has_nextcloud", permissions={}), "error", "Nobody may write"),
    ("profile.has_nextcloud", attribute("has_nextcloud", permissions={"edit": ["user", "admin"]}), "error", "change their own"),
    (
        "profile.has_nextcloud",
        attribute("has_nextcloud", permissions={"edit": ["admin"], "view": ["user"]}), "warning", "are shown",
    ),
    ("profile.lastName", attribute("lastName", required={}), "warning", "demands lastName"),
    ("sync.rights.missing", seen(rights=well().rights | {"frontdesk-sync": frozenset({"manage-users"})}), "error", "view-users"),
    ("doctor.rights.missing", seen(rights=well().rights | {"frontdesk-doctor": frozenset({"view-users"})}), "error", "view-realm"),
    (
        "sync.rights.extra",
        seen(rights=well().rights | {"frontdesk-sync": well().rights["frontdesk-sync"] | {"impersonation"}}), "error", "impersonation",
    ),
    ("sync.login", seen(refusals={"frontdesk-sync": "401 unauthorized_client"}), "error", "401"),
    (
        "rights.group./staff", seen(bearers=(Bearer(kind="group", id="g1", name="/staff", roles=frozenset({"realm-admin"})),)),
        "error", "hands out realm-admin",
    ),
    ("group./staff/viewer", seen(groups=dict(well().groups or {}) | {"/staff/viewer": None}), "warning", "no group"),
    ("group./staff", seen(groups=dict(well().groups or {}) | {"/staff": None}), "error", "no group"),
    ("server.version", seen(version="26.7.1"), "error", "older than 26.7.2"),
    ("server.version", seen(version="25.0.6"), "error", "older"),
    ("server.version", seen(version=""), "unknown", "administrators"),
    ("server.clock", seen(skew=31.0), "error", "31 s ahead of"),
    ("server.clock", seen(skew=-45.0), "error", "45 s behind"),
    ("server.issuer", seen(issuer="http://localhost:8080/realms/frontdesk"), "error", "localhost:8080"),
    ("server.canary", seen(canary=False), "error", "not found"),
    ("mail.test", seen(mail=None), "unknown", "No test mail"),
    ("mail.test", seen(mail=LastMail(nobody=True)), "unknown", "nobody to go to"),
    ("mail.test", seen(mail=LastMail(said="Keycloak could not (500).")), "error", "could not (500)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "snapshot", "severity", "part"), ROWS, ids=[f"{row[0]}-{at}" for at, row in enumerate(ROWS)]
)
def test_one_thing_otherwise_is_one_finding(name: str, snapshot: Snapshot, severity: str, part: str) -> None:
    found = bad(snapshot)
    assert list(found) == [name]
    assert found[name].severity.value == severity
    assert part in found[name].says
    assert found[name].fix
    assert found[name].why or severity == "unknown"


FINE = [
    seen(version="26.8.0"), seen(version="27.0"), seen(skew=30.0), policy(None), policy("ADMIN_VIEW"),
    realm(passwordPolicy="notUsername and length(20)"), realm(sslRequired="none"), realm(smtpServer={"host": "h", "from": "f@x"}),
    client("frontdesk-web", attributes={**(well().clients or {})["frontdesk-web"]["attributes"],
                                        "backchannel.logout.url": "http://localhost:8000/oidc/backchannel-logout/"}),
    seen(clients={name: row for name, row in (well().clients or {}).items() if name != "nextcloud"}),
]  # fmt: skip


@pytest.mark.parametrize("snapshot", FINE, ids=range(len(FINE)))
def test_what_may_be_so_is_no_finding(snapshot: Snapshot) -> None:
    assert bad(snapshot) == {}


def test_a_public_house_demands_https_of_keycloak() -> None:
    found = bad(realm(sslRequired="NONE"), PUBLIC)
    assert found["realm.sslRequired"].severity is Severity.ERROR
    assert "realm.sslRequired" not in bad(realm(sslRequired="external"), PUBLIC)


def test_an_inner_address_for_logouts_is_a_warning_and_a_foreign_one_an_error() -> None:
    attributes = (well().clients or {})["frontdesk-web"]["attributes"]
    for url, severity in (
        ("http://web:8000/oidc/backchannel-logout/", "warning"),
        ("https://x.example/", "error"),
        ("", "error"),
    ):
        found = bad(client("frontdesk-web", attributes={**attributes, "backchannel.logout.url": url}))
        assert found["web.backchannel.logout.url"].severity.value == severity, url


def test_a_mapper_in_a_shared_scope_counts_as_the_clients_own() -> None:
    rows = (well().clients or {})["frontdesk-web"]["protocolMappers"]
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


def test_rights_that_come_by_another_way_have_no_command_that_would_not_help() -> None:
    rights = well().rights | {"frontdesk-sync": well().rights["frontdesk-sync"] | {"manage-realm"}}
    given = {"frontdesk-sync": well().rights["frontdesk-sync"]}
    (found,) = bad(seen(rights=rights, given=given)).values()
    assert found.commands == ()
    assert "group or another role" in found.fix


def test_what_cannot_be_seen_is_unknown_and_never_well() -> None:
    nothing = Snapshot(canary=None, issuer=HOUSE.issuer, blind="Give it rights.", rights=well().rights)
    found = doctor.diagnosed(nothing, HOUSE)
    unknown = {one.id for one in found if one.severity is Severity.UNKNOWN}
    assert unknown == {
        "realm",
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


def test_without_a_doctor_the_way_to_one_is_named() -> None:
    (found,) = [one for one in doctor.diagnosed(well(), dataclasses.replace(HOUSE, doctor="")) if one.id == "doctor"]
    assert found.severity is Severity.WARNING
    assert len(found.commands) == 2


def test_the_worst_comes_first() -> None:
    found = [one.severity for one in doctor.diagnosed(realm(registrationAllowed=True, verifyEmail=False), HOUSE)]
    assert found == sorted(found, key=list(Severity).index)


def test_commands_survive_the_shell() -> None:
    value = 'it\'s; $(rm -rf /) `x` "y"'
    words = shlex.split(assign("users/profile", "front desk", {"a.b": value, "list": ["x", value], "on": True}))
    assert words[:5] == ["kcadm.sh", "update", "users/profile", "-r", "front desk"]
    assert words[6] == f"a.b={value}"
    assert json.loads(words[8].removeprefix("list=")) == ["x", value]
    assert words[10] == "on=true"


def test_a_group_below_another_is_made_there() -> None:
    assert make_group("/staff", "frontdesk") == "kcadm.sh create groups -r frontdesk -s name=staff"
    find = "kcadm.sh get group-by-path/staff -r frontdesk --fields id --format csv --noquotes"
    assert make_group("/staff/viewer", "frontdesk") == (
        f'kcadm.sh create "groups/$({find})/children" -r frontdesk -s name=viewer'
    )


def test_a_scope_the_realm_does_not_have_is_made_first() -> None:
    found = bad(client("frontdesk-web", defaultClientScopes=["basic", "profile", "acr"]))["web.scope.email"]
    assert "make it first" in found.fix
    assert found.commands == ()
