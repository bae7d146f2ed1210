"""The realm doctor on both servers: our realm is healthy; what is broken by hand is found, and fixed by the finding's own command."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.identity import keycloak, reach, realm_test_email
from apps.identity.doctor import checks, expected, reading
from apps.identity.doctor.report import Severity
from apps.identity.protocol import NewUser
from apps.sandbox.run import keycloak_distribution
from apps.sandbox.run.servers import free_port
from tests.contract import clinic as clinics
from tests.contract import harms
from tests.contract.clinic import CATALOG, Clinic
from tests.contract.conftest import BOTH
from tests.contract.harms import MORE, WARDS, policy

UNKNOWN = "00000000-0000-4000-8000-000000000000"
pytestmark = pytest.mark.django_db
QUICK = ("no filling", "dropped")  # wards with one harm or two


@pytest.fixture(scope="module")
def standin_clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with clinics.standin(tmp_path_factory.mktemp("kcadm")) as clinic:
        yield clinic


@pytest.fixture(scope="module")
def keycloak_clinic(keycloak_process: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with clinics.keycloak(keycloak_process, tmp_path_factory.mktemp("kcadm")) as clinic:
        yield clinic


@pytest.fixture(params=BOTH)
def clinic(request: pytest.FixtureRequest, settings: Any) -> Clinic:
    """A realm as the file has it, on the stand-in and then on the real server; the settings name it."""
    found: Clinic = request.getfixturevalue(f"{request.param}_clinic")
    found.fresh()
    found.spoilt = request.node.get_closest_marker("spoils") is not None
    clinics.point_at(found, settings)
    return found


def test_our_realm_is_healthy(clinic: Clinic) -> None:
    found = clinic.findings()
    not_passed = {name: one.severity.value for name, one in found.items() if one.severity is not Severity.PASSED}
    assert not_passed == {"server.version": "skipped", "mail.test": "skipped"}
    assert len(found) > 70


def test_no_secret_is_kept_or_shown(clinic: Clinic) -> None:
    wanted = expected.from_settings(CATALOG)
    seen = reading.read_realm(wanted)
    assert seen.clients is not None
    secrets = [
        clinic.client(name)["secret"] for name in ("frontdesk-web", "frontdesk-sync", "frontdesk-doctor", "nextcloud")
    ]
    assert all(secrets), "there were secrets to see"
    for text in (repr(seen), str([dataclasses.asdict(one) for one in checks.diagnose(seen, wanted)])):
        assert not [one for one in secrets if one in text]
        assert "'secret'" not in text


@pytest.mark.parametrize(
    "ward",
    [
        *QUICK,
        *(
            pytest.param(one, marks=[pytest.mark.long, pytest.mark.nightly_on("keycloak")])
            for one in WARDS | MORE
            if one not in QUICK
        ),
    ],
)
def test_what_is_broken_by_hand_is_found_and_fixed_by_its_own_commands(clinic: Clinic, ward: str) -> None:
    done = (WARDS | MORE)[ward]
    names = {harm.finding.format(realm=clinic.server.realm) for harm in done}
    clinic.spoilt = True
    for harm in done:
        harm.do(clinic)
    found = clinic.bad()
    assert set(found) == names.union(*(harm.also for harm in done))
    for _ in range(2):  # a group made again has none of its permissions, which shows once it is there
        for one in found.values():
            assert one.commands
            assert one.why
            assert one.fix
            for command in one.commands:
                clinic.run(command, by_hand=ward in MORE)
        found = clinic.bad()
    assert found == {}
    # The mail server it was given does not exist; groups have other ids, and permissions other names.
    clinic.spoilt = any(name.startswith(("realm.smtpServer", "sync.", "group.")) for name in names)


def test_more_than_fifteen_are_fixed_by_keycloaks_own_kcadm() -> None:
    assert sum(len(harms) for harms in WARDS.values()) > 15


@pytest.mark.spoils
@pytest.mark.long
def test_a_realm_from_before_works_on_and_moves_without_losing_a_customer(clinic: Clinic) -> None:
    harms.as_before_permissions(clinic)
    clinic.server.forget_bearers()
    old, staff = clinic.server.make()[0], clinic.server.make(groups=["/staff/viewer"])[0]
    identity = keycloak.client()
    identity.update_user(old, attributes={"has_nextcloud": "true"})
    identity.join_group(old, "/frontdesk/nextcloud-1")
    name = clinic.server.name()
    new = identity.create_user(
        NewUser(username=name, email=f"{name}@example.com", first_name="", last_name="", onboarding_id=name)
    )
    (warning,) = clinic.bad().values()
    assert (warning.id, warning.severity) == ("sync.staff", Severity.WARNING)
    assert reach.join_parent_group([old, UNKNOWN, new]) == [UNKNOWN]
    for command in warning.commands:
        clinic.run(command, by_hand=True)
    assert clinic.bad() == {}
    keycloak._client.cache_clear()
    for person in (old, new):
        keycloak.client().update_user(person, enabled=False)
        keycloak.client().end_sessions(person)
        keycloak.client().join_group(person, f"/frontdesk/{clinic.server.name()}")
    with pytest.raises(reach.OutOfReach, match="may not change"):
        keycloak.client().update_user(staff, enabled=False)
    assert clinic.server.user(staff)["enabled"] is True


# --- what it reads -----------------------------------------------------------------------------------------------------


def test_rights_and_roles_are_shown_alike(clinic: Clinic) -> None:
    right = clinic.right("realm-admin")
    assert right.keys() == {"id", "name", "description", "composite", "clientRole", "containerId", "attributes"}
    assert (right["composite"], right["clientRole"], right["containerId"]) == (True, True, clinic.rights())
    names = {row["name"] for row in clinic.root("GET", f"/clients/{clinic.rights()}/roles").json()}
    assert len(names) == 22
    assert {"manage-users", "impersonation", "query-groups", "create-client"} < names
    default = f"default-roles-{clinic.server.realm}"
    roles = {row["name"]: row for row in clinic.root("GET", "/roles").json()}
    assert set(roles) == {"offline_access", "uma_authorization", default}
    brought = clinic.root("GET", f"/roles-by-id/{roles[default]['id']}/composites").json()
    assert {"offline_access", "uma_authorization"} <= {row["name"] for row in brought}
    assert clinic.root("GET", f"/roles/{default}/groups").json() == []
    assert {row["name"] for row in clinic.root("GET", "/client-scopes").json()} > {
        "basic",
        "acr",
        "profile",
        "email",
        "roles",
    }


@pytest.mark.spoils
def test_a_group_with_a_right_is_shown_by_the_right(clinic: Clinic) -> None:
    harms.group_of_admins(clinic)
    (row,) = clinic.root("GET", f"/clients/{clinic.rights()}/roles/realm-admin/groups").json()
    assert row.keys() == {"id", "name", "path", "parentId", "subGroups"}
    assert row["path"] == "/staff/admin"


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/roles/nope", 404, {"error": "Could not find role"}),
        ("GET", "/clients/{rights}/roles/nope", 404, {"error": "Could not find role"}),
        ("GET", "/roles-by-id/nope/composites", 404, {"error": "Could not find role with id"}),
        ("GET", "/clients/nope/protocol-mappers/models", 404, {"error": "Could not find client"}),
        ("GET", "/clients/{web}/protocol-mappers/models/nope", 404, {"error": "Model not found"}),
        ("PUT", "/clients/{web}/default-client-scopes/nope", 404, {"error": "Client scope not found"}),
        (
            "GET", "/clients/{web}/service-account-user", 400,
            {"error": "Service account not enabled for the client 'frontdesk-web'"},
        ),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused_alike(clinic: Clinic, method: str, path: str, status: int, body: object) -> None:
    place = path.format(web=clinic.client("frontdesk-web")["id"], rights=clinic.rights())
    answer = clinic.server.call(method, place, json={}, headers=clinic.server.root())
    assert (answer.status_code, answer.json()) == (status, body)


@pytest.mark.spoils
def test_a_mapper_has_one_name_and_texts_in_its_configuration(clinic: Clinic) -> None:
    place = f"/clients/{clinic.client('frontdesk-web')['id']}/protocol-mappers/models"
    given = {"name": "more", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper"}
    made = clinic.root("POST", place, given | {"config": {"full.path": True}})
    assert (made.status_code, made.text) == (201, "")
    again = clinic.server.call("POST", place, json=given | {"config": {}}, headers=clinic.server.root())
    assert (again.status_code, again.json()) == (409, {"errorMessage": "Protocol mapper exists with same name"})
    shown = clinic.root("GET", f"{place}/{made.headers['Location'].rsplit('/', 1)[1]}").json()
    assert (shown["config"], shown["consentRequired"]) == ({"full.path": "true"}, False)


def test_only_the_servers_administrator_is_shown_the_version(clinic: Clinic) -> None:
    info = f"{clinic.home}/admin/serverinfo"
    for client in ("frontdesk-sync", "frontdesk-doctor"):
        assert "systemInfo" not in requests.get(info, headers=clinic.server.bearer(client), timeout=20).json()
    shown = requests.get(info, headers=clinic.server.root(), timeout=20).json()
    assert shown["systemInfo"]["version"] == keycloak_distribution.VERSION


# --- what is not visible -----------------------------------------------------------------------------------------------


@pytest.mark.spoils
def test_without_its_own_account_it_says_what_is_not_visible_and_how_to_change_that(
    clinic: Clinic, settings: Any
) -> None:
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = ""
    found = clinic.findings()
    assert found["doctor"].severity is Severity.WARNING
    assert "view-realm" in found["doctor"].fix
    unseen = {name for name, one in found.items() if one.severity is Severity.SKIPPED}
    assert unseen == {"realm", "realm.recovery_link", "web", "rights.groups", "server.version", "mail.test"}
    assert found["sync.rights.missing"].severity is Severity.PASSED
    assert found["profile.has_nextcloud"].severity is Severity.PASSED
    policy(clinic)
    assert clinic.findings()["profile.unmanagedAttributePolicy"].severity is Severity.ERROR


@pytest.mark.spoils
def test_an_account_whose_rights_do_not_arrive_is_recognised_by_its_own_token(clinic: Clinic, settings: Any) -> None:
    settings.KEYCLOAK_DOCTOR_CLIENT_ID = ""
    clinic.change_client("frontdesk-sync", fullScopeAllowed=False)
    found = clinic.findings()
    assert found["sync.rights.missing"].severity is Severity.ERROR
    assert {"profile", "group", "server.canary"} < {n for n, one in found.items() if one.severity is Severity.SKIPPED}


@pytest.mark.parametrize("name", ["sync", "doctor"])
def test_an_account_that_is_not_let_in_is_an_error_of_its_own(clinic: Clinic, settings: Any, name: str) -> None:
    secret = {"sync": "KEYCLOAK_ADMIN_CLIENT_SECRET", "doctor": "KEYCLOAK_DOCTOR_CLIENT_SECRET"}[name]
    setattr(settings, secret, "a-bad-guess")
    found = clinic.findings()
    assert found[f"{name}.login"].severity is Severity.ERROR
    assert secret in found[f"{name}.login"].fix
    assert "a-bad-guess" not in str(found)


@pytest.mark.spoils
def test_a_canary_that_is_gone_is_an_error(clinic: Clinic, settings: Any) -> None:
    settings.KEYCLOAK_CANARY_USERNAME = "nobody.nora"
    assert set(clinic.bad()) == {"server.canary"}
    clinic.run(clinic.bad()["server.canary"].commands[0], by_hand=True)
    assert clinic.bad() == {}


@pytest.mark.spoils
def test_another_address_of_ours_is_found(clinic: Clinic, settings: Any) -> None:
    settings.BASE_URL = "https://frontdesk.example.com"
    found = clinic.bad()
    assert set(found) == {
        "web.redirectUris",
        "web.post.logout.redirect.uris",
        "web.backchannel.logout.url",
        "realm.sslRequired",
        "realm.recovery_link",
    }
    for command in (command for one in found.values() for command in one.commands):
        clinic.run(command, by_hand=True)
    assert clinic.bad() == {}


@pytest.mark.spoils
def test_a_missing_client_is_created_by_its_command(clinic: Clinic, settings: Any) -> None:
    settings.OIDC_RP_CLIENT_ID = "frontdesk-second"
    found = clinic.bad()
    assert set(found) == {"web"}
    clinic.run(found["web"].commands[0], by_hand=True)
    assert set(clinic.bad()) == {"mapper.frontdesk-second.groups"}
    clinic.run(clinic.bad()["mapper.frontdesk-second.groups"].commands[0], by_hand=True)
    assert clinic.bad() == {}


def test_an_unavailable_keycloak_raises(clinic: Clinic, settings: Any) -> None:
    settings.KEYCLOAK_SERVER_URL = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(DependencyDown):
        checks.examine(CATALOG)


# --- the test email ----------------------------------------------------------------------------------------------------


def test_a_test_email_leaves_and_the_finding_says_so(clinic: Clinic) -> None:
    for name in ("stranger.stan", "stranger.stan@example.com"):
        before = len(clinic.server.inbox("stranger.stan@"))
        realm_test_email.send_test_email(name, actor="staff:ada")
        assert clinic.server.mail("stranger.stan@")["subject"] == "Update Your Account"
        assert len(clinic.server.inbox("stranger.stan@")) == before + 1
    assert [one.message for one in checks.examine(CATALOG).findings if one.id == "mail.test"] == [
        "The last test email was sent."
    ]


def test_a_mail_server_that_accepts_nothing_is_an_error(clinic: Clinic) -> None:
    clinic.server.fault("mail_fails")
    try:
        with pytest.raises(RetryLater):
            realm_test_email.send_test_email("stranger.stan", actor="staff:ada")
    finally:
        clinic.server.fault("ok")
    (found,) = checks.examine(CATALOG).of(Severity.ERROR)
    assert found.id == "mail.test"
    assert "Failed to send" in found.message


@pytest.mark.spoils
def test_without_a_mail_server_no_email_leaves(clinic: Clinic) -> None:
    clinic.root("PUT", "", clinic.root("GET", "").json() | {"smtpServer": {}})
    with pytest.raises(RetryLater, match="500 Failed to send execute actions email"):
        realm_test_email.send_test_email("stranger.stan", actor="staff:ada")
    assert {one.id for one in checks.examine(CATALOG).of(Severity.ERROR)} == {"realm.smtpServer", "mail.test"}


def test_nobody_outside_the_realm_is_emailed(clinic: Clinic) -> None:
    with pytest.raises(NeedsOperator, match="no account"):
        realm_test_email.send_test_email("somebody@elsewhere.example", actor="staff:ada")


def test_what_is_expected_is_what_the_settings_say(clinic: Clinic) -> None:
    found = expected.from_settings(CATALOG)
    assert isinstance(found, expected.Expected)
    assert found.catalog.attributes[0] == "onboarding_id"
    assert not found.is_public
