"""What the realm file promises (security.md, keycloak.md), and that everybody uses this one."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.sandbox.keycloak import realm as standin
from apps.sandbox.run import keycloak_distribution, keycloak_server, realm_file

ROOT = Path(__file__).resolve().parents[2]
FILE = realm_file.read()
CLIENTS: dict[str, dict[str, Any]] = {client["clientId"]: client for client in FILE["clients"]}
PROFILE: dict[str, Any] = json.loads(
    FILE["components"]["org.keycloak.userprofile.UserProfileProvider"][0]["config"]["kc.user.profile.config"][0]
)
PRODUCTS = ("nextcloud", "vaultwarden")
RIGHTS = {
    "frontdesk-sync": {"view-users", "query-users", "query-groups"},
    "frontdesk-doctor": {"view-users", "view-realm", "view-clients"},
}


def test_the_web_client_has_the_code_flow_with_pkce_and_exact_addresses_and_nothing_else() -> None:
    web = CLIENTS["frontdesk-web"]
    assert (web["standardFlowEnabled"], web["publicClient"]) == (True, False)
    assert web["attributes"]["pkce.code.challenge.method"] == "S256"
    for flow in ("implicitFlowEnabled", "directAccessGrantsEnabled", "serviceAccountsEnabled", "fullScopeAllowed"):
        assert web[flow] is False
    assert not [address for address in web["redirectUris"] if "*" in address]
    assert web["attributes"]["post.logout.redirect.uris"].endswith("/")
    assert {"basic", "acr"} <= set(web["defaultClientScopes"])  # sub and auth_time, acr


@pytest.mark.parametrize("name", ["frontdesk-web", *PRODUCTS])
def test_everybody_with_sessions_is_told_of_logouts_over_the_back_channel(name: str) -> None:
    client = CLIENTS[name]
    assert client["frontchannelLogout"] is False  # true would switch the back channel off
    assert "/" in client["attributes"]["backchannel.logout.url"]
    assert client["attributes"]["backchannel.logout.session.required"] == "true"
    (groups,) = (row for row in client["protocolMappers"] if row["protocolMapper"] == "oidc-group-membership-mapper")
    assert (groups["config"]["claim.name"], groups["config"]["full.path"]) == ("groups", "true")


@pytest.mark.parametrize("slug", PRODUCTS)
def test_a_product_reads_its_two_attributes_and_no_others(slug: str) -> None:
    mapped = {
        row["config"]["user.attribute"]: row["config"]["jsonType.label"]
        for row in CLIENTS[slug]["protocolMappers"]
        if row["protocolMapper"] == "oidc-usermodel-attribute-mapper"
    }
    assert mapped == {f"has_{slug}": "boolean", f"{slug}_instance": "String"}
    assert CLIENTS[slug]["fullScopeAllowed"] is False


@pytest.mark.parametrize("name", RIGHTS)
def test_service_accounts_have_what_they_need_and_nobody_can_log_in_by_them(name: str) -> None:
    client = CLIENTS[name]
    (user,) = (one for one in FILE["users"] if one.get("serviceAccountClientId") == name)
    assert {key: set(roles) for key, roles in user["clientRoles"].items()} == {"realm-management": RIGHTS[name]}
    assert (client["standardFlowEnabled"], client["directAccessGrantsEnabled"]) == (False, False)
    assert int(client["attributes"]["access.token.lifespan"]) <= 300
    assert client["attributes"]["client_credentials.use_refresh_token"] == "false"


def test_our_attributes_are_seen_and_changed_by_administrators_alone() -> None:
    theirs = {"username", "email", "firstName", "lastName"}
    ours = {row["name"]: row["permissions"] for row in PROFILE["attributes"] if row["name"] not in theirs}
    assert ours.keys() >= {"onboarding_id", "storage_gb"} | {f"has_{one}" for one in PRODUCTS} | {
        f"{one}_instance" for one in PRODUCTS
    }
    assert all(rights == {"view": ["admin"], "edit": ["admin"]} for rights in ours.values())
    assert PROFILE["unmanagedAttributePolicy"] == "ADMIN_EDIT"
    assert {row["name"] for row in PROFILE["attributes"] if "required" in row} == {"email"}


def test_the_rules_of_the_realm() -> None:
    assert (FILE["registrationAllowed"], FILE["registrationEmailAsUsername"]) == (False, False)
    assert (FILE["loginWithEmailAllowed"], FILE["duplicateEmailsAllowed"], FILE["editUsernameAllowed"]) == (
        True,
        False,
        False,
    )
    assert (FILE["verifyEmail"], FILE["bruteForceProtected"]) == (True, True)
    assert FILE["passwordPolicy"].startswith("length(12)")
    assert FILE["accessTokenLifespan"] <= 300
    assert (FILE["actionTokenGeneratedByAdminLifespan"], FILE["actionTokenGeneratedByUserLifespan"]) == (259_200, 900)
    assert (FILE["eventsEnabled"], FILE["adminEventsEnabled"]) == (True, True)
    assert FILE["smtpServer"]["host"]
    named = {"clientScopes", "authenticationFlows"}
    assert not named & FILE.keys()  # naming them would replace Keycloak's own
    assert FILE["requiredActions"] == realm_file.read(ROOT / "config/keycloak/realm.json")["requiredActions"]


def test_no_group_maps_a_role_and_no_person_has_one() -> None:
    """CVE-2026-94000: who may manage users can put themselves into any group."""
    groups = [one for top in FILE["groups"] for one in (top, *top.get("subGroups", []))]
    assert not [one for one in groups if one.get("realmRoles") or one.get("clientRoles")]
    people = [one for one in FILE["users"] if "serviceAccountClientId" not in one]
    assert not [one for one in people if one.get("realmRoles") or one.get("clientRoles")]


def test_compose_imports_it_into_the_version_the_tests_run_on() -> None:
    keycloak = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]["keycloak-demo"]
    at, list_of = "/opt/keycloak/data", realm_file.DENY_LIST.name
    assert keycloak["volumes"] == [
        f"./{realm_file.PATH.relative_to(ROOT)}:{at}/import/realm.json:ro",
        f"./{realm_file.DENY_LIST.relative_to(ROOT)}:{at}/password-blacklists/{list_of}:ro",
    ]
    assert f"passwordBlacklist({list_of})" in FILE["passwordPolicy"]  # without the file Keycloak does not start
    assert "--import-realm" in keycloak["command"]
    assert keycloak["image"].partition("@")[0].endswith(f":{keycloak_distribution.VERSION}")
    names = set(realm_file.PLACEHOLDER.findall(json.dumps(FILE)))
    assert {"FRONTDESK_URL", "FRONTDESK_BACKCHANNEL_URL", "FRONTDESK_WEB_SECRET", "FRONTDESK_SYNC_SECRET"} <= (
        {name for name, _ in names} & keycloak["environment"].keys()
    )


def test_a_server_of_the_demo_and_of_the_tests_imports_it(tmp_path: Path) -> None:
    """Both start by keycloak_server.running; a running server of somebody else gets it by keycloak_realm.make."""
    home = keycloak_server._home(tmp_path, _distribution(tmp_path / "there"))
    (imported,) = (home / "data" / "import").iterdir()
    assert imported.read_bytes() == realm_file.PATH.read_bytes()


def _distribution(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "kc.sh").touch()
    return folder


def test_the_stand_in_is_made_of_it() -> None:
    assert standin.realm_file.PATH == ROOT / "apps/sandbox/run/keycloak/realm.json"
    built = standin._built(realm_file.read())
    assert built["clients"].keys() == CLIENTS.keys()
