"""Immich, by its admin API: accounts, quota, suspension by its trash, used storage.

Immich gives each account an id of its own and lets nobody set `oauthId`, the OpenID `sub` (here: the Keycloak id) by which a login
finds its account. So we write the Keycloak id into the storage label, which only administrators can set, and make the account with
its owner's address: at the first login Immich finds it by that, and by `oauthId` from then on. An account is its owner's whose
`oauthId` is theirs, or whose label is and that nobody has logged in to; until then its address follows Keycloak's.

Immich cannot disable an account. Ending sessions, another password or a quota of 0 leave a way in: devices stay logged in, an API key
outlives both. Only its trash keeps everybody out (sessions, API keys, shared links, every login) and gives back all there was, so
suspending is deleting without `force`, and resuming is restoring. Immich empties its trash after `user.deleteDelay` days, 7 if nobody
has changed it: `check`, and each suspension, refuses a server that would not keep it for KEPT_DAYS.

Deleting is restoring and deleting with `force`, since nothing in the trash can be deleted; a job of Immich removes the files after it
has answered, and until then the account counts as still there. Written after the types of @immich/sdk 3.2.2 and the server's sources.
"""

import datetime as dt
import secrets
from typing import Any, ClassVar

from apps.core.errors import DependencyDown, NeedsOperator, RetryLater
from apps.instances.provisioning.calls import ProductCalls
from apps.instances.provisioning.contract import AccountFound, AccountOwner, ProductHost

NEEDED = frozenset(
    {"adminUser.create", "adminUser.read", "adminUser.update", "adminUser.delete", "systemConfig.read", "user.read"}
)
KEPT_DAYS = 3650  # also the longest that an account without a seat can be kept
REMOVAL = dt.timedelta(minutes=20)  # what its job may take for many files, until we look again
ABSENT = "User not found"  # with 400
User = dict[str, Any]


class Immich:
    """The Provisioner of one Immich. See contract.py."""

    label: ClassVar[str] = "Immich"

    def __init__(self, host: ProductHost) -> None:
        self.host = host
        self._calls = ProductCalls(host, self.label)
        self._ids: dict[str, str] = {}  # by Keycloak id
        self._keeps_its_trash = False

    def check(self) -> str:
        """Ask what our key may do, whose it is, and how Immich is set up. Its first account tells the server."""
        with self._calls.understanding():
            return self._check()

    def _check(self) -> str:
        if self.host.group:
            raise NeedsOperator("Immich has no groups. Leave the group empty.")
        key = self._ask("GET", "api-keys/me", "read our own API key")
        granted = set(key["permissions"])
        if "all" not in granted and (missing := NEEDED - granted):
            raise NeedsOperator(f"The API key for {self.host.name} lacks the permissions {', '.join(sorted(missing))}.")
        mine = self._ask("GET", "users/me", "read our own account")
        if mine["email"] != self.host.login.lower() or not mine["isAdmin"]:
            raise NeedsOperator(f"The API key for {self.host.name} is not that of an administrator {self.host.login}.")
        if not self._read_config()["oauth"]["enabled"]:
            raise NeedsOperator(
                f"Nobody can log in to {self.host.name} with Keycloak: OAuth is off in Immich's settings."
            )
        self._refuse_short_trash()
        first = min(self._list_users(), key=lambda user: (user["createdAt"], user["id"]))
        return str(first["id"])

    def quota_held(self, quota: int) -> int:
        """Any number of bytes is kept as it is."""
        return quota

    def find(self, user_id: str) -> AccountFound | None:
        """Read the account. RetryLater while Immich removes it."""
        with self._calls.understanding():
            return self._find(user_id)

    def _find(self, user_id: str) -> AccountFound | None:
        user = self._locate(user_id)
        if user is None:
            return None
        if user["status"] == "removing":
            raise RetryLater(f"{self.host.name} has not removed all files of account {user_id} yet.", after=REMOVAL)
        return AccountFound(
            enabled=_is_open(user), quota=user["quotaSizeInBytes"], used=user["quotaUsageInBytes"],
            email=None if user["oauthId"] else user["email"],
        )  # fmt: skip

    def ensure(self, owner: AccountOwner, *, quota: int | None, found: AccountFound | None = None) -> None:
        """Make the account; Immich sends no email, and nobody knows its password."""
        found = found or self.find(owner.user_id)
        if found is None:
            self._make(owner, quota)
            return
        changes: dict[str, Any] = {}
        if quota not in (None, found.quota):
            changes["quotaSizeInBytes"] = quota
        if found.email not in (None, owner.email):
            changes["email"] = owner.email
        if changes:
            self._change("PUT", owner.user_id, f"change account {owner.user_id}", changes)

    def suspend(self, user_id: str) -> None:
        """Put the account into the trash, if that keeps it."""
        user = self._locate(user_id)
        if user is not None and _is_open(user):
            self._refuse_short_trash()
            self._change("DELETE", user_id, f"put account {user_id} into the trash", {"force": False})

    def resume(self, user_id: str) -> None:
        """Take it out of the trash."""
        user = self._locate(user_id)
        if user is None:
            raise NeedsOperator(f"{self.host.name} has no account {user_id} that could be resumed.")
        self._restore(user_id, user)

    def deprovision(self, user_id: str) -> None:
        """Have the account removed, with all files."""
        user = self._locate(user_id)
        if user is not None and user["status"] != "removing":
            self._restore(user_id, user)
            self._change("DELETE", user_id, f"remove account {user_id}", {"force": True})

    def _restore(self, user_id: str, user: User) -> None:
        if not _is_open(user):
            self._change("POST", user_id, f"restore account {user_id}", below="/restore")

    def _make(self, owner: AccountOwner, quota: int | None) -> None:
        self._refuse_clash(owner)
        fields = {
            "email": owner.email, "name": owner.name, "password": secrets.token_urlsafe(32), "storageLabel": owner.user_id,
            "shouldChangePassword": False, "notify": False,
        }  # fmt: skip
        size = {} if quota is None else {"quotaSizeInBytes": quota}
        made = self._ask("POST", "admin/users", f"make account {owner.user_id}", fields | size)
        self._ids[owner.user_id] = made["id"]

    def _refuse_clash(self, owner: AccountOwner) -> None:
        """Addresses and labels are unique there, the trash included; a stranger's account is never taken over."""
        for user in self._list_users():
            if user["email"] == owner.email:
                raise NeedsOperator(
                    f"Account {user['id']} on {self.host.name} has the address of account {owner.user_id}, which has to be made."
                    f" {_way_out(user, owner)}"
                )
            if user["storageLabel"] == owner.user_id:
                raise NeedsOperator(
                    f"Account {user['id']} on {self.host.name} is marked as {owner.user_id}, and another Keycloak account logs in to"
                    " it. Find out whose it is, and take the storage label from it if it is the other's."
                )

    def _locate(self, user_id: str) -> User | None:
        """The account as it is now, wherever it is in its life."""
        if known := self._ids.get(user_id):
            user = self._ask("GET", f"admin/users/{known}", f"read account {user_id}", may_be_absent=True)
            if user is not None and _belongs(user, user_id):
                return dict(user)
        users = self._list_users()
        for field in ("storageLabel", "oauthId"):
            self._ids |= {user[field]: user["id"] for user in users if user[field]}
        mine = [user for user in users if _belongs(user, user_id)]
        if len(mine) > 1:
            ids = " and ".join(sorted(user["id"] for user in mine))
            raise NeedsOperator(f"{self.host.name} has several accounts of {user_id}: {ids}. Keep only one of them.")
        return mine[0] if mine else None

    def _list_users(self) -> list[User]:
        doing = "list the accounts"
        users: list[User] = self._ask("GET", "admin/users?withDeleted=true", doing)
        if not isinstance(users, list):
            raise self._calls.down(f"does not answer as {self.label} does and could not {doing}")
        return users

    def _refuse_short_trash(self) -> None:
        """Asked once, and only before it matters."""
        if self._keeps_its_trash:
            return
        with self._calls.understanding():
            days = int(self._read_config()["user"]["deleteDelay"])
        if days < KEPT_DAYS:
            raise NeedsOperator(
                f"{self.host.name} deletes what is in its trash after {days} days, and suspended accounts wait there. Set User Settings,"
                f" Delete delay to at least {KEPT_DAYS} days in Immich's settings."
            )
        self._keeps_its_trash = True

    def _read_config(self) -> dict[str, Any]:
        config: dict[str, Any] = self._ask("GET", "system-config", "read its settings")
        return config

    def _change(
        self, method: str, user_id: str, doing: str, fields: dict[str, Any] | None = None, *, below: str = ""
    ) -> None:
        self._ask(method, f"admin/users/{self._ids[user_id]}{below}", doing, fields)

    def _ask(
        self, method: str, path: str, doing: str, fields: dict[str, Any] | None = None, *, may_be_absent: bool = False
    ) -> Any:
        """One call, and what it answers; None for no such account, where that `may_be`. `doing` ends "could not …"."""
        answer = self._calls.send(
            method,
            f"api/{path}",
            doing,
            json=fields,
            headers={"x-api-key": self.host.secret, "Accept": "application/json"},
        )
        status = answer.status_code
        try:
            said = answer.json()
        except ValueError as error:
            raise self._calls.strange(answer, doing) from error
        if status < 300:
            return said
        words = _words_of(said)
        if status == 400 and words == ABSENT and may_be_absent:
            return None
        if status == 404:
            raise self._calls.strange(answer, doing)
        raise self._failure(status, words, doing)

    def _failure(self, status: int, words: str, doing: str) -> DependencyDown | RetryLater | NeedsOperator:
        if status == 403 and (words == "Forbidden" or "permission" in words):
            return self._calls.down(f"gives our API key no rights ({words}) and could not {doing}")
        if status >= 500:
            return RetryLater(f"{self.host.name} could not {doing} ({status}).")
        return NeedsOperator(f"{self.host.name} refused to {doing} ({status} {'' if '@' in words else words[:200]}).")


def _belongs(user: User, user_id: str) -> bool:
    return user["oauthId"] == user_id or (user["storageLabel"] == user_id and not user["oauthId"])


def _way_out(user: User, owner: AccountOwner) -> str:
    """What staff can do about an account that has the owner's address. Nothing changes whose login is bound to one."""
    if user["oauthId"]:
        return (
            "Another Keycloak account has logged in to it, so it cannot be handed over: give it another address; if it is in the trash,"
            " restore it for that. One that leaves is put back into the trash at the next check."
        )
    return f"If both are one person's, restore it and set its storage label to {owner.user_id}; else give it another address."


def _is_open(user: User) -> bool:
    return user["status"] == "active" and user["deletedAt"] is None


def _words_of(said: Any) -> str:
    """What is wrong, and with which field: one sentence, or a list of them in older releases."""
    if not isinstance(said, dict):
        return ""
    message = said.get("message")
    words = [str(one) for one in message] if isinstance(message, list) else [str(message or "")]
    fields = [f"{'.'.join(map(str, one['path']))}: {one['message']}" for one in said.get("errors") or []]
    return "; ".join(words + fields)
