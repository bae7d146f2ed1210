"""Nextcloud, by its provisioning API (OCS, version 2): accounts, group, quota, disabling, used storage.

The id of an account is the Keycloak id, which never changes and is never given twice. Nextcloud's OpenID app must take it for
the id: `occ user_oidc:provider keycloak --mapping-uid=sub --unique-uid=0`. Our account there is an administrator's, and the
secret an app password of it. What is "not found" is believed only while that account is still an administrator: to any other,
Nextcloud says so of accounts that are there.

https://docs.nextcloud.com/server/latest/developer_manual/client_apis/OCS/ and apps/provisioning_api/openapi.json of Nextcloud
"""

import math
import re
import secrets
from typing import Any, ClassVar
from urllib.parse import quote as quoted

import requests

from apps.core.errors import NeedsOperator, RetryLater
from apps.instances.provisioning.calls import ProductCalls
from apps.instances.provisioning.contract import AccountFound, AccountOwner, ProductHost

OK, EXISTS, GROUP_EXISTS = 200, 102, 102
ABSENT = (404, 998)
LARGEST_UNIT = 5  # PB
MULTI_STATUS = 207
ASK_FOR_ID = '<propfind xmlns="DAV:"><prop><id xmlns="http://owncloud.org/ns"/></prop></propfind>'
FILE_ID = re.compile(r"<oc:id>[0-9]+([a-z][0-9a-z]+)</oc:id>")


def as_kept(quota: int) -> int:
    """What becomes of a quota in Nextcloud, which keeps it as a text such as 1.2 TB: up to a unit of MB whole, then one decimal."""
    amount, power = float(quota), 0
    while amount >= 1024 and power < LARGEST_UNIT:
        power += 1
        amount = math.floor(amount / 1024 + 0.5) if power == 1 else math.floor(amount / 1024 * 10 + 0.5) / 10
    return round(amount * float(1024**power))


class Nextcloud:
    """The Provisioner of one Nextcloud. See contract.py."""

    label: ClassVar[str] = "Nextcloud"

    def __init__(self, host: ProductHost) -> None:
        self.host = host
        self._calls = ProductCalls(host, self.label)
        self._rights_seen = False

    def check(self) -> str:
        """Ask for our own account: it must be an administrator's. The group must exist; we make it if it does not."""
        if not self._is_admin():
            raise NeedsOperator(f"{self.host.login} is no administrator of {self.host.name}.")
        self._make_group()
        return self._read_instance_id()

    def quota_held(self, quota: int) -> int:
        """Rounded up, so that nobody gets less than was paid for."""
        candidate, power = quota, 0
        while quota >= 1024 ** (power + 1) and power < LARGEST_UNIT:
            power += 1
        while (kept := as_kept(candidate)) < quota:
            candidate += max(1, 1024**power // 20)
        return kept

    def find(self, user_id: str) -> AccountFound | None:
        """Read the account."""
        code, found = self._ask("GET", self._path(user_id), f"read account {user_id}", expect=ABSENT)
        if code in ABSENT:
            self._refuse_without_rights()
            return None
        storage = found.get("quota")
        if not isinstance(storage, dict) or not isinstance(found.get("enabled"), bool):
            raise RetryLater(f"{self.host.name} showed account {user_id} in a form that we do not know.")
        groups = found.get("groups") or []
        return AccountFound(
            enabled=found["enabled"],
            quota=_as_bytes(storage.get("quota")),
            used=_as_bytes(storage.get("used")),
            in_group=not self.host.group or self.host.group in groups,
        )

    def ensure(self, owner: AccountOwner, *, quota: int | None, found: AccountFound | None = None) -> None:
        """Make the account, without the address, so that Nextcloud sends no email; nobody knows its password."""
        user_id = owner.user_id
        if found is None:
            fields = {"userid": user_id, "displayName": owner.name, "password": f"{secrets.token_urlsafe(32)}!aA1"}
            self._ask("POST", "users", f"make account {user_id}", fields, expect=(EXISTS,))
        if self.host.group and not (found and found.in_group):
            self._make_group()
            join = f"put account {user_id} into the group {self.host.group}"
            self._ask("POST", f"{self._path(user_id)}/groups", join, {"groupid": self.host.group})
        if quota is not None and not (found and found.quota == self.quota_held(quota)):
            change = {"key": "quota", "value": str(self.quota_held(quota))}
            self._ask("PUT", self._path(user_id), f"set the quota of account {user_id}", change)

    def suspend(self, user_id: str) -> None:
        """Disable the account."""
        self._ask("PUT", f"{self._path(user_id)}/disable", f"disable account {user_id}", expect=ABSENT)

    def resume(self, user_id: str) -> None:
        """Enable the account."""
        self._ask("PUT", f"{self._path(user_id)}/enable", f"enable account {user_id}")

    def deprovision(self, user_id: str) -> None:
        """Delete the account and its files."""
        self._ask("DELETE", self._path(user_id), f"delete account {user_id}", expect=ABSENT)

    def _is_admin(self) -> bool:
        _, found = self._ask("GET", "user", "read our own account")
        return "admin" in (found.get("groups") or [])

    def _refuse_without_rights(self) -> None:
        """Asked once, and only before "not found" is believed."""
        if not self._rights_seen and not self._is_admin():
            raise self._calls.down(f"no longer treats our account {self.host.login} as an administrator")
        self._rights_seen = True

    def _read_instance_id(self) -> str:
        """What Nextcloud adds to the number of each file in oc:id, so that it is unique in the world; empty where it does not say."""
        doing = "read the id of our own folder"
        answer = self._calls.send(
            "PROPFIND", f"remote.php/dav/files/{quoted(self.host.login, safe='')}/", doing, data=ASK_FOR_ID,
            headers={"Depth": "0", "Content-Type": "application/xml"}, auth=(self.host.login, self.host.secret),
        )  # fmt: skip
        found = FILE_ID.search(answer.text) if answer.status_code == MULTI_STATUS else None
        return found[1] if found else ""

    def _make_group(self) -> None:
        if self.host.group:
            fields = {"groupid": self.host.group}
            self._ask("POST", "groups", f"make the group {self.host.group}", fields, expect=(GROUP_EXISTS,))

    def _path(self, user_id: str) -> str:
        return f"users/{quoted(user_id, safe='')}"

    def _ask(
        self, method: str, path: str, doing: str, fields: dict[str, str] | None = None, *, expect: tuple[int, ...] = ()
    ) -> tuple[int, dict[str, Any]]:
        """One call; its status code of OCS, and its data. Any but 200 and those in `expect` raises. `doing` ends "could not …"."""
        answer = self._calls.send(
            method, f"ocs/v2.php/cloud/{path}", doing, is_long=method == "DELETE",  # which answers once all files are gone
            params={"format": "json"}, data=fields, headers={"OCS-APIRequest": "true", "Accept": "application/json"},
            auth=(self.host.login, self.host.secret),
        )  # fmt: skip
        return self._read(answer, doing, expect)

    def _read(self, answer: requests.Response, doing: str, expect: tuple[int, ...]) -> tuple[int, dict[str, Any]]:
        try:
            said = answer.json()["ocs"]
            code, data = int(said["meta"]["statuscode"]), said["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._calls.strange(answer, doing) from error
        if code in (403, 997):
            raise self._calls.down(
                f"gives our account no rights ({code}). Make it an administrator; it could not {doing}"
            )
        if code == OK or code in expect:
            return code, data if isinstance(data, dict) else {}
        if answer.status_code >= 500:
            raise RetryLater(f"{self.host.name} could not {doing} ({answer.status_code}).")
        words = str(said["meta"].get("message") or "")
        raise NeedsOperator(f"{self.host.name} refused to {doing} ({code} {'' if '@' in words else words[:200]}).")


def _as_bytes(value: Any) -> int | None:
    """A number of bytes as PHP may write it (536870912000.0, "none", -3 for no limit); None: no limit, or not known."""
    try:
        amount = round(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return amount if amount >= 0 else None
