"""The one client of Keycloak's Admin API, on python-keycloak; what was measured on Keycloak 26.7.3 is noted beside the code.

Promises: every call ends within 3 s (connect) and `patience` seconds (each read); writes of a user are read, merged, sent
whole and read back; accounts and groups that are not ours are never touched. Errors: see `apps.identity.protocol`.
One writer per user: callers work under the job of its profile (eight PUTs at once mixed their attributes, all 204).
"""

import functools
import os
from collections.abc import Collection, Iterable, Mapping
from itertools import batched
from typing import override

import structlog
from django.conf import settings

from apps.core import masking
from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.identity import api_errors, groups
from apps.identity.admin_client import READ_SECONDS, admin_client
from apps.identity.protocol import Identity, KeycloakUser, NewUser
from apps.identity.reach import within_reach
from apps.identity.user_merge import Representation, UserChange, attributes_of, lost_values, merged, unapplied
from apps.identity.user_profile import explain_refusal

log = structlog.get_logger(__name__)

IDS = 90  # in one address, which Keycloak takes up to 4,096 characters of
SET_PASSWORD = "UPDATE_PASSWORD"  # noqa: S105  (the name of a required action)


class NotKept(RetryLater):
    """Keycloak answered, but does not show what was written: `names` of fields and attributes."""

    def __init__(self, keycloak_id: str, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"Keycloak did not keep {', '.join(self.names)} of account {keycloak_id} as written.")


def client(*, patience: float = READ_SECONDS) -> Identity:
    """The client of this process, created on first use. Pages pass a short `patience` (seconds per answer)."""
    return _client(os.getpid(), patience)


@functools.lru_cache(maxsize=4)
def _client(_process: int, patience: float) -> Identity:
    """Kept by process id: connections must not be shared over a fork."""
    return Keycloak(patience=patience)


def _has_mark(user: Representation, onboarding_id: str) -> bool:
    return attributes_of(user).get("onboarding_id") == [onboarding_id]


def _as_user(user: Representation, found: frozenset[str]) -> KeycloakUser:
    return KeycloakUser(
        id=str(user["id"]),
        username=masking.mask(masking.USERNAME, str(user.get("username") or "")),
        email=masking.mask(masking.EMAIL, str(user.get("email") or "")),
        first_name=masking.mask(masking.NAME, str(user.get("firstName") or "")),
        last_name=masking.mask(masking.NAME, str(user.get("lastName") or "")),
        enabled=bool(user.get("enabled")),
        email_verified=bool(user.get("emailVerified")),
        attributes={name: tuple(values) for name, values in attributes_of(user).items()},
        groups=found,
        may_change=(user.get("access") or {}).get("manage") is not False,
    )


class Keycloak(Identity):
    """`Identity` on a realm of a Keycloak server. Threads may share it."""

    def __init__(self, *, patience: float = READ_SECONDS) -> None:
        self.admin = admin_client(
            settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET, patience=patience
        )

    # --- accounts ----------------------------------------------------------------------------------------------------

    @override
    def create_user(self, new: NewUser) -> str:
        own = {"onboarding_id": new.onboarding_id}
        body = {
            "username": new.username,
            "email": new.email,
            "firstName": new.first_name,
            "lastName": new.last_name,
            "enabled": True,
            "emailVerified": True,  # the address was proven to us by a code
            "requiredActions": [SET_PASSWORD],
            "attributes": {name: [value] for name, value in (dict(new.attributes) | own).items() if value},
            "groups": [settings.KEYCLOAK_PARENT_GROUP],  # with fine-grained permissions we manage its members only
        }
        try:
            found: str = api_errors.write("make an account", lambda: self.admin.create_user(body), expect=(400, 409))
        except (api_errors.RightMissing, RetryLater):  # what Keycloak says of a group that is not there: 403, or 500
            groups.find_parent(self.admin)
            raise
        except api_errors.Refusal as refusal:
            if refusal.status == 400:
                raise NeedsOperator(
                    f"Keycloak refused to make an account: {explain_refusal(refusal.message)} ({refusal})."
                ) from refusal
            found = self._adopt(new)
        # Undeclared attributes can be dropped in silence (201 all the same); without our mark the account is lost to us.
        # The caller reads the others back: the account is theirs even while the realm does not take one of them.
        self._write(found, UserChange(attributes=own))
        return found

    def _adopt(self, new: NewUser) -> str:
        """The id of the account an earlier, unanswered create made; never that of anyone else."""
        same_name, same_mail = self._search("username", new.username), self._search("email", new.email)
        # A realm may choose the username.
        marked = [one for one in (same_name, same_mail) if one and _has_mark(one, new.onboarding_id)]
        if not marked and same_name and self._is_half_made(same_name, new):
            marked = [same_name]
        if marked:
            log.info("keycloak_account_adopted", keycloak_id=marked[0]["id"])
            return str(marked[0]["id"])
        taken = [
            f"the {what} (by account {found['id']})"
            for what, found in (("username", same_name), ("email address", same_mail))
            if found
        ]
        if not taken:
            raise RetryLater("Keycloak says the account exists, but its search does not find it.")
        raise NeedsOperator(
            f"Keycloak has another account with {' and '.join(taken)}; it is not from signup {new.onboarding_id}."
        )

    @override
    def find_made(self, *, username: str, email: str, onboarding_id: str) -> str | None:
        for name, value in (("username", username), ("email", email)):
            found = self._search(name, value)
            if found and _has_mark(found, onboarding_id):
                return str(found["id"])
        return None

    def _is_half_made(self, user: Representation, new: NewUser) -> bool:
        """Whether `user` is as we create it but for the mark, which Keycloak drops while attributes are not declared.

        It has the address that this person proved to us as verified, waits for its first password, and has no way to log in.
        """
        as_created = (
            "onboarding_id" not in attributes_of(user)
            and str(user.get("email") or "").lower() == new.email.lower()
            and user.get("emailVerified") is True
            and user.get("requiredActions") == [SET_PASSWORD]
            and not user.get("federationLink")
        )
        doing = f"list the credentials of account {user['id']}"
        return as_created and not api_errors.read(doing, lambda: self.admin.get_credentials(user["id"]))

    @override
    def get_user(self, keycloak_id: str) -> KeycloakUser | None:
        user = self._fetch(keycloak_id)
        if user is None:
            return None
        return _as_user(user, groups.own_paths(self.admin, keycloak_id))

    @override
    def get_users(self, keycloak_ids: Collection[str]) -> dict[str, KeycloakUser]:
        rows: list[Representation] = []
        for batch in batched(keycloak_ids, IDS, strict=False):
            query = {"search": f"id:{' '.join(batch)}", "max": IDS, "briefRepresentation": False}
            rows += api_errors.read("show accounts", lambda query=query: self.admin.get_users(query))  # type: ignore[misc]
        return {str(row["id"]): _as_user(row, frozenset()) for row in rows}

    @override
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
        named = {"enabled": enabled, "email": email, "firstName": first_name, "lastName": last_name}
        fields = {name: value for name, value in named.items() if value is not None}
        if email is not None:
            fields["emailVerified"] = True
        self._write(keycloak_id, UserChange(fields=fields, attributes=attributes or {}))

    def _write(self, keycloak_id: str, change: UserChange) -> None:
        """Read, merge, PUT whole, read back. What a PUT took from others is put back once, while we still know it."""
        before = self._existing(keycloak_id)
        if not unapplied(before, change):
            return
        self._put(keycloak_id, merged(before, change))
        after = self._existing(keycloak_id)
        if lost_values(before, after, change):
            log.error("keycloak_put_lost_values", keycloak_id=keycloak_id)
            self._put(keycloak_id, merged(after, change, restore=before))
            after = self._existing(keycloak_id)
        wrong = unapplied(after, change) + lost_values(before, after, change)
        if wrong:
            raise NotKept(keycloak_id, wrong)

    def _put(self, keycloak_id: str, body: Representation) -> None:
        doing = f"change account {keycloak_id}"
        try:
            with within_reach(self.admin, keycloak_id):
                api_errors.write(doing, lambda: self.admin.update_user(keycloak_id, body), expect=(409,))
        except api_errors.Refusal as refusal:
            raise NeedsOperator(
                f"Another Keycloak account has the username or email address meant for {keycloak_id} ({refusal})."
            ) from refusal

    def _fetch(self, keycloak_id: str) -> Representation | None:
        """The whole representation, or None when Keycloak itself (not a proxy or a missing realm) says it is unknown."""
        try:
            user: Representation = api_errors.read(
                f"show account {keycloak_id}", lambda: self.admin.get_user(keycloak_id), expect=(404,)
            )
        except api_errors.Refusal as refusal:
            if refusal.message == "User not found":
                return None
            raise DependencyDown(
                api_errors.DEPENDENCY, f"Keycloak's address answers 404 ({refusal.message or 'not Keycloak'})."
            ) from refusal
        return user

    def _existing(self, keycloak_id: str) -> Representation:
        user = self._fetch(keycloak_id)
        if user is None:
            raise NeedsOperator(f"Keycloak has no account {keycloak_id}; it was deleted there.")
        return user

    # --- groups ------------------------------------------------------------------------------------------------------

    @override
    def join_group(self, keycloak_id: str, path: str) -> None:
        with within_reach(self.admin, keycloak_id, group=path):
            groups.join_group(self.admin, keycloak_id, path)

    @override
    def leave_group(self, keycloak_id: str, path: str) -> None:
        with within_reach(self.admin, keycloak_id, group=path):
            groups.leave_group(self.admin, keycloak_id, path)

    @override
    def list_groups(self) -> dict[str, str]:
        return groups.list_below(self.admin, settings.KEYCLOAK_PARENT_GROUP)

    @override
    def list_customers(self) -> frozenset[str]:
        return groups.list_members(self.admin, groups.find_parent(self.admin))

    @override
    def list_members(self, group_id: str) -> frozenset[str]:
        return groups.list_members(self.admin, group_id)

    @override
    def staff_groups(self, keycloak_id: str) -> frozenset[str]:
        return groups.staff_paths(self.admin, keycloak_id)

    # --- sessions and passwords ----------------------------------------------------------------------------------------

    @override
    def delete_user(self, keycloak_id: str) -> None:
        with within_reach(self.admin, keycloak_id):
            api_errors.write(f"delete account {keycloak_id}", lambda: self.admin.delete_user(keycloak_id))

    @override
    def end_sessions(self, keycloak_id: str) -> None:
        doing = f"end the sessions of account {keycloak_id}"
        with within_reach(self.admin, keycloak_id):
            api_errors.write(doing, lambda: self.admin.user_logout(keycloak_id))
        # The logout leaves offline tokens; they go with the consent of the client that holds them.
        for consent in api_errors.read(doing, lambda: self.admin.user_consents(keycloak_id)):
            if consent.get("additionalGrants"):
                self._revoke(keycloak_id, str(consent["clientId"]))
        left = self.session_count(keycloak_id)
        if left:
            raise RetryLater(f"{left} sessions of account {keycloak_id} are still open after the logout.")

    def _revoke(self, keycloak_id: str, client_id: str) -> None:
        try:
            api_errors.write(
                f"revoke the offline tokens of account {keycloak_id}",
                lambda: self.admin.revoke_consent(keycloak_id, client_id),
                expect=(404,),
            )
        except api_errors.Refusal:  # gone meanwhile
            return

    @override
    def session_count(self, keycloak_id: str) -> int:
        found = api_errors.read(
            f"count the sessions of account {keycloak_id}", lambda: self.admin.get_sessions(keycloak_id)
        )
        return len(found)

    @override
    def send_password_email(self, keycloak_id: str, *, lifespan_seconds: int, redirect_uri: str) -> None:
        target = {"client_id": settings.OIDC_RP_CLIENT_ID, "redirect_uri": redirect_uri}
        try:
            with within_reach(self.admin, keycloak_id):
                api_errors.write(
                    f"email account {keycloak_id} its password link",
                    lambda: self.admin.send_update_account(
                        keycloak_id, [SET_PASSWORD], lifespan=lifespan_seconds, **target
                    ),
                )
        except api_errors.AnswerLost as error:  # the mail server may be slow: spend an attempt, do not retry forever
            raise RetryLater(error.reason) from error

    # --- availability --------------------------------------------------------------------------------------------------

    @override
    def username_taken(self, username: str) -> bool | None:
        return self._taken("username", username)

    @override
    def email_taken(self, email: str) -> bool | None:
        return self._taken("email", email)

    def _taken(self, name: str, value: str) -> bool | None:
        found = self._search(name, value)
        # A missing right can look like an empty realm (200 and []): believe "nobody" only if a known account is found. It is
        # searched for every time, so that how long it takes does not tell who has an account.
        canary = settings.KEYCLOAK_CANARY_USERNAME
        sees_accounts = not canary or self._search("username", canary) is not None
        if found is not None:
            return True
        if not sees_accounts:
            log.error("keycloak_canary_not_found")
            return None
        return False

    def _search(self, name: str, value: str) -> Representation | None:
        """The account whose `name` (username or email) is exactly `value`, in any case, or None."""
        query = {name: value, "exact": True, "max": 2, "briefRepresentation": False}
        found: list[Representation] = api_errors.read(
            f"search accounts by {name}", lambda: self.admin.get_users(dict(query))
        )
        wanted = value.lower()
        return next((user for user in found if str(user.get(name) or "").lower() == wanted), None)

    @override
    def ping(self) -> None:
        api_errors.read("show one account", lambda: self.admin.get_users({"max": 1, "briefRepresentation": True}))
