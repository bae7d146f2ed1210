"""What someone may break in a realm by hand, and what the doctor must report; grouped so that a ward is done at once."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tests.contract.clinic import Clinic


@dataclasses.dataclass(frozen=True)
class Harm:
    """What someone breaks by hand, the finding whose commands fix it, and those that come with it."""

    finding: str
    do: Callable[[Clinic], object]
    also: frozenset[str] = frozenset()


def realm(finding: str, *also: str, **settings: Any) -> Harm:
    def do(clinic: Clinic) -> None:
        clinic.root("PUT", "", clinic.root("GET", "").json() | settings)

    return Harm(f"realm.{finding}", do, frozenset(also))


def web(finding: str, **fields: Any) -> Harm:
    return Harm(f"web.{finding}", lambda clinic: clinic.change_client("frontdesk-web", **fields))


def service(name: str, finding: str, **fields: Any) -> Harm:
    return Harm(f"{name}.client.{finding}", lambda clinic: clinic.change_client(f"frontdesk-{name}", **fields))


def lose_scope(clinic: Clinic) -> None:
    scopes = {row["name"]: row["id"] for row in clinic.root("GET", "/client-scopes").json()}
    clinic.root("DELETE", f"/clients/{clinic.client('frontdesk-web')['id']}/default-client-scopes/{scopes['acr']}")


def lose_rights_scope(clinic: Clinic) -> None:
    scopes = {row["name"]: row["id"] for row in clinic.root("GET", "/client-scopes").json()}
    clinic.root("DELETE", f"/clients/{clinic.client('frontdesk-sync')['id']}/default-client-scopes/{scopes['roles']}")


def allow_offline(clinic: Clinic) -> None:
    scopes = {row["name"]: row["id"] for row in clinic.root("GET", "/client-scopes").json()}
    web = clinic.client("frontdesk-web")["id"]
    clinic.root("PUT", f"/clients/{web}/optional-client-scopes/{scopes['offline_access']}")


def mapper(clinic: Clinic, client: str, name: str) -> tuple[str, dict[str, Any]]:
    place = f"/clients/{clinic.client(client)['id']}/protocol-mappers/models"
    row = next(row for row in clinic.root("GET", place).json() if row["name"] == name)
    return f"{place}/{row['id']}", row


def lose_mapper(clinic: Clinic) -> None:
    clinic.root("DELETE", mapper(clinic, "nextcloud", "has_nextcloud")[0])


def short_paths(clinic: Clinic) -> None:
    place, row = mapper(clinic, "frontdesk-web", "groups")
    clinic.root("PUT", place, row | {"config": row["config"] | {"full.path": "false"}})


def wrong_attribute(clinic: Clinic) -> None:
    place, row = mapper(clinic, "vaultwarden", "vaultwarden_instance")
    clinic.root("PUT", place, row | {"config": row["config"] | {"user.attribute": "favourite_colour"}})


def profile(name: str, **changed: Any) -> Callable[[Clinic], None]:
    def do(clinic: Clinic) -> None:
        whole = clinic.root("GET", "/users/profile").json()
        rows = [row | changed if row["name"] == name else row for row in whole["attributes"]]
        clinic.root("PUT", "/users/profile", whole | {"attributes": rows})

    return do


def policy(clinic: Clinic) -> None:
    whole = clinic.root("GET", "/users/profile").json()
    clinic.root("PUT", "/users/profile", whole | {"unmanagedAttributePolicy": "ENABLED"})


def undeclare(clinic: Clinic) -> None:
    whole = clinic.root("GET", "/users/profile").json()
    rows = [row for row in whole["attributes"] if row["name"] != "storage_gb"]
    without = {name: value for name, value in whole.items() if name != "unmanagedAttributePolicy"}
    clinic.root("PUT", "/users/profile", without | {"attributes": rows})


def make_admin(clinic: Clinic) -> None:
    place = f"/users/{clinic.account('frontdesk-sync')}/role-mappings/clients/{clinic.rights()}"
    clinic.root("POST", place, [clinic.right("realm-admin")])


def let_write(clinic: Clinic) -> None:
    place = f"/users/{clinic.account('frontdesk-doctor')}/role-mappings/clients/{clinic.rights()}"
    clinic.root("POST", place, [clinic.right("manage-clients")])


def permissions(clinic: Clinic) -> str:
    return f"/clients/{clinic.client('admin-permissions')['id']}/authz/resource-server/policy"


def lose_permission(name: str) -> Callable[[Clinic], None]:
    def do(clinic: Clinic) -> None:
        place = permissions(clinic)
        (row,) = (row for row in clinic.root("GET", f"{place}?first=0&max=50").json() if row["name"] == name)
        clinic.root("DELETE", f"{place}/{row['id']}")

    return do


def as_before_permissions(clinic: Clinic) -> None:
    """A realm from before there were any: one role over everybody."""
    clinic.root("PUT", "", clinic.root("GET", "").json() | {"adminPermissionsEnabled": False})
    place = permissions(clinic)
    for row in clinic.root("GET", f"{place}?first=0&max=50").json():
        clinic.root("DELETE", f"{place}/{row['id']}")
    holder = f"/users/{clinic.account('frontdesk-sync')}/role-mappings/clients/{clinic.rights()}"
    clinic.root("POST", holder, [clinic.right("manage-users")])


def group_of_admins(clinic: Clinic) -> None:
    place = f"/groups/{clinic.group('/staff/admin')}/role-mappings/clients/{clinic.rights()}"
    clinic.root("POST", place, [clinic.right("realm-admin")])


def everybody_admin(clinic: Clinic) -> None:
    role = clinic.root("GET", f"/roles/default-roles-{clinic.server.realm}").json()
    clinic.root("POST", f"/roles-by-id/{role['id']}/composites", [clinic.right("manage-realm")])


def no_pkce(clinic: Clinic) -> None:
    clinic.change_client("nextcloud", attributes={"pkce.code.challenge.method": ""})


def lose_group(path: str) -> Callable[[Clinic], None]:
    return lambda clinic: clinic.root("DELETE", f"/groups/{clinic.group(path)}") and None


DAY, DENIES = 86_400, "passwordBlacklist(password-deny-list.txt)"
# Harms of one ward do not get in each other's way: all are done, all are found, and all commands are run one after another.
WARDS = {
    "settings": [
        realm("registrationAllowed", registrationAllowed=True),
        realm(
            "duplicateEmailsAllowed",
            "realm.loginWithEmailAllowed",
            duplicateEmailsAllowed=True,
            loginWithEmailAllowed=False,
        ),
        realm("accessTokenLifespan", accessTokenLifespan=3600),
        realm("passwordPolicy", passwordPolicy=f"notUsername(undefined) and length(6) and {DENIES}"),
        realm("smtpServer", smtpServer={}),
        realm("languages", internationalizationEnabled=False),
        Harm("realm.recovery_link", lambda clinic: clinic.root("DELETE", "/localization/en")),
    ],
    "login": [
        web("redirectUris", redirectUris=["http://localhost:8000/*"]),
        web("pkce.code.challenge.method", attributes={"pkce.code.challenge.method": "plain"}),
        Harm("web.scope.acr", lose_scope),
        Harm("mapper.frontdesk-web.groups", short_paths),
        Harm("mapper.nextcloud.has_nextcloud", lose_mapper),
        Harm("profile.unmanagedAttributePolicy", policy),
        Harm(
            "profile.has_nextcloud",
            profile("has_nextcloud", permissions={"view": ["admin"], "edit": ["admin", "user"]}),
        ),
    ],
    "rights": [
        service("sync", "fullScopeAllowed", fullScopeAllowed=False),
        service("doctor", "directAccessGrantsEnabled", directAccessGrantsEnabled=True),
        Harm("doctor.rights.extra", let_write),
        Harm("rights.role.default-roles-{realm}", everybody_admin),
        Harm("group./staff/viewer", lose_group("/staff/viewer")),
    ],
    "before permissions": [Harm("sync.staff", as_before_permissions)],
    "ways up": [
        Harm("sync.rights.extra", make_admin, frozenset({"sync.staff"})),
        Harm("rights.group./staff/admin", group_of_admins),
    ],
}
# More of the kinds above; their commands are run without Java, in a third of the time.
MORE = {
    "more settings": [
        realm("bruteForceProtected", bruteForceProtected=False),
        realm("password_deny_list", passwordPolicy="length(12) and notUsername(undefined)"),
        realm("eventsEnabled", eventsEnabled=False),
        realm("registrationEmailAsUsername", registrationEmailAsUsername=True),
        realm("editUsernameAllowed", editUsernameAllowed=True),
        realm("verifyEmail", verifyEmail=False),
        realm("resetPasswordAllowed", resetPasswordAllowed=False),
        realm("actionTokenGeneratedByAdminLifespan", actionTokenGeneratedByAdminLifespan=30 * DAY),
        realm("actionTokenGeneratedByUserLifespan", actionTokenGeneratedByUserLifespan=60),
        realm("ssoSessionIdleTimeout", ssoSessionIdleTimeout=3 * DAY),
        realm("ssoSessionMaxLifespan", ssoSessionMaxLifespan=30 * DAY),
        realm("permanentLockout", permanentLockout=True),
        realm("adminEventsEnabled", adminEventsEnabled=False),
        realm("defaultSignatureAlgorithm", defaultSignatureAlgorithm="RS512"),
    ],
    "more of login": [
        web("directAccessGrantsEnabled", directAccessGrantsEnabled=True),
        Harm("web.offline_access", allow_offline),
        web("backchannel.logout.url", attributes={"backchannel.logout.url": "https://other.example/logout"}),
        web("enabled", enabled=False),
        web("publicClient", publicClient=True),
        web("standardFlowEnabled", standardFlowEnabled=False),
        web("implicitFlowEnabled", implicitFlowEnabled=True),
        web("fullScopeAllowed", fullScopeAllowed=True),
        web("frontchannelLogout", frontchannelLogout=True),
        web("post.logout.redirect.uris", attributes={"post.logout.redirect.uris": "+"}),
        web("backchannel.logout.session.required", attributes={"backchannel.logout.session.required": "false"}),
        web("id.token.signed.response.alg", attributes={"id.token.signed.response.alg": "RS512"}),
        Harm("mapper.vaultwarden.vaultwarden_instance", wrong_attribute),
        Harm("profile.nextcloud_instance", profile("nextcloud_instance", permissions={"view": ["admin"], "edit": []})),
        Harm("profile.firstName", profile("firstName", required={"roles": ["user"]})),
        Harm("group./frontdesk", lose_group("/frontdesk")),
    ],
    "permissions": [
        Harm("sync.staff", lose_permission("frontdesk-sync keeps off staff")),
        Harm("sync.groups", lose_permission("frontdesk-sync leaves other groups alone")),
        Harm("sync.customers", lose_permission("frontdesk-sync manages customers")),
        Harm("app.nextcloud.pkce.code.challenge.method", no_pkce),
    ],
    "no filling": [Harm("sync.customers", lose_permission("frontdesk-sync fills groups"))],
    "no groups": [Harm("group./staff", lose_group("/staff"))],
    "dropped": [Harm("sync.scope.roles", lose_rights_scope), Harm("profile.unmanagedAttributePolicy", undeclare)],
}  # fmt: skip
