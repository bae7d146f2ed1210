"""What Frontdesk needs from an identity provider: a dozen verbs, frozen dataclasses in and out, no vendor's words.

Every verb that calls out raises the errors of `apps.core.errors` and nothing else:
- `DependencyDown("keycloak", …)`: it does not answer, or our account there has lost a right; nothing is the caller's fault;
- `RetryLater`: it answered, but the work is not done;
- `NeedsOperator`: trying again cannot help.
Verbs refuse to run inside a database transaction (`apps.core.io_guard`). Ids are the only thing their messages name.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class NewUser:
    """An account to create. `onboarding_id` proves later that it is ours; attribute values are plain texts."""

    username: str
    email: str
    first_name: str
    last_name: str
    onboarding_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class KeycloakUser:
    """An account as stored. `attributes` are all of them, ours or not; `groups` only those below our parent group.

    `may_change`: whether our own account at Keycloak reaches it.
    """

    id: str
    username: str
    email: str
    first_name: str
    last_name: str
    enabled: bool
    email_verified: bool
    attributes: Mapping[str, tuple[str, ...]]
    groups: frozenset[str]
    may_change: bool = True


class Identity(Protocol):
    """The verbs. One implementation: `apps.identity.keycloak`."""

    def create_user(self, new: NewUser) -> str:
        """Create an enabled account in our parent group that must set a password; returns its id.

        Its attributes are for the caller to read back.

        Safe to repeat: an account that carries our `onboarding_id` under this username is adopted, another's never is
        (NeedsOperator names whether the username, the email address or both are taken).
        """

    def find_made(self, *, username: str, email: str, onboarding_id: str) -> str | None:
        """The id of the account that carries this `onboarding_id`, such as one whose making was not answered; None: there is none.

        Looked for by username and, if that is nobody's or another's, by email.
        """

    def get_user(self, keycloak_id: str) -> KeycloakUser | None:
        """The account, or None when it was deleted there. Two calls."""

    def get_users(self, keycloak_ids: Collection[str]) -> dict[str, KeycloakUser]:
        """Those of these accounts that are there, by id, without their groups. One call for each 90 of them."""

    def list_groups(self) -> dict[str, str]:
        """The groups directly below our parent group: path to id. Two calls, and one for each further 500."""

    def list_customers(self) -> frozenset[str]:
        """The ids of the accounts in our parent group: each that we have made. NeedsOperator when it is not there."""

    def list_members(self, group_id: str) -> frozenset[str]:
        """The ids of the accounts in a group. One call for each 500."""

    def update_user(
        self,
        keycloak_id: str,
        *,
        enabled: bool | None = None,
        attributes: Mapping[str, str | None] | None = None,
        email: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
    ) -> None:
        """Change what is named and nothing else, then read it back.

        An attribute of None is removed; those not named stay as they are. An `email` counts as verified: it was proven
        to us. RetryLater names what did not stick; NeedsOperator when the account is gone or the address is taken.
        """

    def join_group(self, keycloak_id: str, path: str) -> None:
        """Put the account into the group `path`, created when missing. NeedsOperator for paths not directly below our parent."""

    def leave_group(self, keycloak_id: str, path: str) -> None:
        """Take the account out of the group `path`; no error when it was not in it. Groups that are not ours are refused."""

    def staff_groups(self, keycloak_id: str) -> frozenset[str]:
        """The paths of the account's groups directly below KEYCLOAK_STAFF_GROUP, proven by their ids. Read here, never written."""

    def delete_user(self, keycloak_id: str) -> None:
        """Delete the account for good."""

    def end_sessions(self, keycloak_id: str) -> None:
        """End every session and offline token, and make sure: RetryLater when a session is still there afterwards."""

    def session_count(self, keycloak_id: str) -> int:
        """How many sessions the account has now."""

    def send_password_email(self, keycloak_id: str, *, lifespan_seconds: int, redirect_uri: str) -> None:
        """Email a link to set a password, valid for `lifespan_seconds`; the page leads on to `redirect_uri`.

        Returns when the email has left. NeedsOperator when the account is disabled, has no address or is gone.
        """

    def username_taken(self, username: str) -> bool | None:
        """Whether an account has exactly this username; None: the answer cannot be trusted, treat it as unknown."""

    def email_taken(self, email: str) -> bool | None:
        """Whether an account has exactly this email address; None: the answer cannot be trusted."""

    def ping(self) -> None:
        """Return when it answers us with our rights intact; else raise as above."""
