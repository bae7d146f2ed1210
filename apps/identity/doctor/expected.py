"""What our settings and our catalog expect of the realm: its clients, rights, scopes, mappers, groups and attributes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Any

from django.conf import settings

from apps.accounts.roles import ROLES
from apps.identity.passwords import RETURN_PATH

Row = Mapping[str, Any]  # a representation of Keycloak's, https://www.keycloak.org/docs-api/latest/rest-api/index.html

CALLBACK_PATH = "/accounts/oidc/keycloak/login/callback/"
LOGOUT_PATH = "/oidc/backchannel-logout/"
RECOVERY_PATH = "/recovery/"
DOCTOR_CLIENT = "frontdesk-doctor"  # as the realm file names it
OLDEST_VERSION = (26, 7, 2)  # CVE-2026-18963: an account could be taken over through the reset email
MAX_SKEW_SECONDS = 30
MIN_PASSWORD_LENGTH = 12
DENY_LIST_FILE = "password-deny-list.txt"  # in config/keycloak, and in data/password-blacklists of Keycloak's folder

ADMIN_CLIENT = "realm-management"  # the client whose roles are the rights over a realm
PERMISSIONS_CLIENT = "admin-permissions"  # the client that holds the realm's fine-grained permissions
MANAGES_ALL = "manage-users"  # goes past all of them (seen on 26.7.3); view-users does not
SYNC_RIGHTS = frozenset({"view-users", "query-users", "query-groups"})
DOCTOR_RIGHTS = frozenset({"view-realm", "view-users", "view-clients"})
# Rights that only read; view-users brings the queries with it. Our accounts may have them without harm.
HARMLESS = frozenset({"query-users", "query-groups", "query-clients", "query-realms", "view-users"})
READ_ONLY = HARMLESS | DOCTOR_RIGHTS | {
    "view-events", "view-identity-providers", "view-authorization", "view-organizations", "query-organizations",
}  # fmt: skip
# What each needs, and may also have; that sync still manages everybody is a finding of its own.
RIGHTS = {"sync": (SYNC_RIGHTS, HARMLESS | {MANAGES_ALL}), "doctor": (DOCTOR_RIGHTS, READ_ONLY)}

# The default scopes of our clients, with what each adds to a token.
WEB_SCOPES = {
    "basic": "sub and auth_time",
    "acr": "how strong the login was",
    "profile": "names",
    "email": "the address",
}
SERVICE_SCOPES = {"roles": "its rights"}
OFFLINE = "offline_access"  # a scope that we never ask for

POLICY, ADMIN_EDIT = "unmanagedAttributePolicy", "ADMIN_EDIT"
ADMIN_ONLY = {"view": ["admin"], "edit": ["admin"]}
OPTIONAL_NAMES = ("firstName", "lastName")

MAPPER_PATH = "protocol-mappers/models"
ALL_TOKENS = {f"{token}.token.claim": "true" for token in ("id", "access", "userinfo", "introspection")}


@dataclass(frozen=True, kw_only=True)
class ExpectedMapper:
    """A claim, filled by a mapper of that `kind` with that `config`, in one of the `tokens`; `extra` is set at creation."""

    claim: str
    kind: str
    config: Mapping[str, str]
    tokens: tuple[str, ...]
    why: str
    extra: Mapping[str, str] = field(default_factory=dict)

    def differences(self, mapper: Row) -> dict[str, str]:
        """What to change of a mapper of this kind; empty when it is right."""
        config = mapper.get("config") or {}
        found = {name: value for name, value in self.config.items() if config.get(name) != value}
        if not any(config.get(f"{token}.token.claim") == "true" for token in self.tokens):
            found[f"{self.tokens[0]}.token.claim"] = "true"
        return found


STAFF_MAPPER = ExpectedMapper(
    claim="groups",
    kind="oidc-group-membership-mapper",
    config={"claim.name": "groups", "full.path": "true"},
    tokens=("id",),
    why="Staff are recognised by the full paths of their groups: nobody gets into the console.",
)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """What is sold, by the names that accounts carry: `apps`, those of them that have `seats`, and numeric `grants`."""

    apps: frozenset[str] = frozenset()
    seats: frozenset[str] = frozenset()
    grants: frozenset[str] = frozenset()

    @property
    def attributes(self) -> tuple[str, ...]:
        """All attributes we write, in a fixed order."""
        entitlements = [f"has_{app}" for app in self.apps] + [f"{app}_instance" for app in self.seats]
        return ("onboarding_id", *sorted([*entitlements, *self.grants]))

    def mappers(self, app: str) -> list[ExpectedMapper]:
        """What the tokens of an app's own client, which is named like the app, must carry."""
        claims = [(f"has_{app}", "boolean"), *([(f"{app}_instance", "String")] if app in self.seats else [])]
        return [
            ExpectedMapper(
                claim=claim, kind="oidc-usermodel-attribute-mapper", tokens=("id", "userinfo"),
                config={"claim.name": claim, "user.attribute": claim}, extra={"jsonType.label": label},
                why="The app cannot tell who has paid, or which instance is theirs.",
            )
            for claim, label in claims
        ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What our settings say; `site` is BASE_URL, `issuer` the realm's address, `web`, `sync` and `doctor` our clients."""

    realm: str
    site: str
    issuer: str
    web: str
    sync: str
    doctor: str
    parent_group: str
    staff_group: str
    canary: str
    from_address: str
    staff_acr: str = ""
    passkeys: bool = False
    languages: tuple[str, ...] = ()
    catalog: Catalog = field(default_factory=Catalog)

    @property
    def is_public(self) -> bool:
        """Whether this site is open to the world, rather than a demo on one machine."""
        return self.site.startswith("https://")

    @property
    def redirect_uris(self) -> list[str]:
        """Where Keycloak may send people after a login: here and nowhere else."""
        return [f"{self.site}{CALLBACK_PATH}", f"{self.site}{RETURN_PATH}"]

    @property
    def recovery_url(self) -> str:
        """Where people who cannot get in find out why, and pay."""
        return f"{self.site}{RECOVERY_PATH}"

    @property
    def logout_url(self) -> str:
        """Where Keycloak tells us of logouts."""
        return f"{self.site}{LOGOUT_PATH}"

    @property
    def groups(self) -> tuple[str, ...]:
        """The paths of the groups we need, parents first."""
        return (self.parent_group, self.staff_group, *(f"{self.staff_group}/{role}" for role in ROLES))


def from_settings(catalog: Catalog) -> Expected:
    """What our settings and that catalog expect of the realm."""
    return Expected(
        realm=settings.KEYCLOAK_REALM,
        site=settings.BASE_URL,
        issuer=settings.KEYCLOAK_ISSUER,
        web=settings.OIDC_RP_CLIENT_ID,
        sync=settings.KEYCLOAK_ADMIN_CLIENT_ID,
        doctor=settings.KEYCLOAK_DOCTOR_CLIENT_ID,
        parent_group=settings.KEYCLOAK_PARENT_GROUP,
        staff_group=settings.KEYCLOAK_STAFF_GROUP,
        canary=settings.KEYCLOAK_CANARY_USERNAME,
        from_address=parseaddr(settings.DEFAULT_FROM_EMAIL)[1],
        staff_acr=settings.STAFF_REQUIRED_ACR,
        passkeys=settings.PASSKEYS,
        languages=tuple(settings.SITE_LANGUAGES),
        catalog=catalog,
    )
