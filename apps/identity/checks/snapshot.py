"""What the checks look at: the realm as it was read, and what this house wants of it. Frozen, without secrets, no I/O.

Rows are Keycloak's own representations (https://www.keycloak.org/docs-api/latest/rest-api/index.html). None: not to be
seen by our accounts; `Snapshot.blind` says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]

ADMIN_CLIENT = "realm-management"  # the client whose roles are the rights over a realm


@dataclass(frozen=True, kw_only=True)
class Sold:
    """What is sold, by the names accounts carry: `apps` with those of them that have `seats`, and numeric `grants`."""

    apps: frozenset[str] = frozenset()
    seats: frozenset[str] = frozenset()
    grants: frozenset[str] = frozenset()

    @property
    def attributes(self) -> tuple[str, ...]:
        """All attributes we write, in a fixed order."""
        doors = [f"has_{app}" for app in self.apps] + [f"{app}_instance" for app in self.seats]
        return ("onboarding_id", *sorted([*doors, *self.grants]))


@dataclass(frozen=True, kw_only=True)
class House:
    """What our own settings say; `site` is BASE_URL, `issuer` the realm's address as we know it."""

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
    sold: Sold = field(default_factory=Sold)

    @property
    def https(self) -> bool:
        """Whether this is a house for the world, rather than a rehearsal on one machine."""
        return self.site.startswith("https://")


@dataclass(frozen=True, kw_only=True)
class Bearer:
    """Something that hands rights over the realm to whoever is in it: a group by its path, or a role everybody has."""

    kind: str
    id: str
    name: str
    roles: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class LastMail:
    """How the last test mail went: it left, or there was nobody of that name to send it to, or else what was said."""

    sent: bool = False
    nobody: bool = False
    said: str = ""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The realm at one moment.

    `rights` are the roles of realm-management in our accounts' own tokens, by client id; `given` those that were given to
    them directly; `refusals` say why one of them was not let in. `groups` maps paths we need to ids. `skew` is Keycloak's clock minus ours, in seconds. `mail` is None when
    none was sent lately.
    """

    realm: Row | None = None
    profile: Row | None = None
    clients: Mapping[str, Row] | None = None
    scopes: Mapping[str, Row] | None = None
    rights: Mapping[str, frozenset[str]] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, frozenset[str]] | None = None
    bearers: tuple[Bearer, ...] | None = None
    groups: Mapping[str, str | None] | None = None
    canary: bool | None = None
    version: str = ""
    skew: float = 0.0
    issuer: str = ""
    mail: LastMail | None = None
    blind: str = ""
