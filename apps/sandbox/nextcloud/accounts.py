"""Accounts and groups of a Nextcloud stand-in, by apps/provisioning_api/openapi.json and what its controllers refuse."""

import re
from typing import Any

from django.http import HttpRequest, QueryDict

from apps.sandbox import faults
from apps.sandbox.nextcloud.answers import RefusedError, for_admins
from apps.sandbox.nextcloud_account import ADMIN

SIZES = ("B", "KB", "MB", "GB", "TB", "PB")
NO_LIMIT = -3
SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([kmgtp]?b?)\s*", re.IGNORECASE)
USER_ID = re.compile(r"[a-zA-Z0-9 _.@'\-]+")


def size_as_text(amount: float) -> str:
    """As it is kept: bytes and KB whole, from MB on with one decimal."""
    step = 0
    while amount >= 1024 and step < len(SIZES) - 1:
        step += 1
        digits = 0 if step == 1 else 1
        amount = float(f"{amount / 1024 + 1e-9:.{digits}f}")
    return f"{amount:g} {SIZES[step]}"


def size_in_bytes(text: str) -> float:
    """As it is read back; ValueError when it is no size."""
    found = SIZE.fullmatch(text)
    if not found:
        raise ValueError(text)
    letter = (found[2] or "b")[0].upper()
    power = 0 if letter == "B" else "KMGTP".index(letter) + 1
    return round(float(found[1]) * float(1024**power))


@for_admins
def me(request: HttpRequest, _host: dict[str, Any]) -> Any:
    """Our own account."""
    return {
        "id": ADMIN,
        "enabled": True,
        "groups": [] if faults.mode(request) == "no_rights" else ["admin"],
        "display-name": ADMIN,
        "email": None,
        "quota": {"quota": NO_LIMIT},
    }


@for_admins
def all_users(request: HttpRequest, host: dict[str, Any]) -> Any:
    """GET: the ids; POST: a new account."""
    if request.method == "GET":
        return {"users": [ADMIN, *host["users"]]}
    return _add_user(host, _fields(request))


def _add_user(host: dict[str, Any], fields: QueryDict) -> dict[str, Any]:
    user_id, password = fields.get("userid", ""), fields.get("password", "")
    if user_id in host["users"] or user_id == ADMIN:
        raise RefusedError(102, "User already exists")
    for group in fields.getlist("groups[]"):
        if group not in host["groups"]:
            raise RefusedError(104, f"Group {group} does not exist")
    if not password and not fields.get("email"):
        raise RefusedError(108, "An email address is required, to send a password link to the user.")
    if not USER_ID.fullmatch(user_id):
        raise RefusedError(
            101, "Only the following characters are allowed in an Username: a-z, A-Z, 0-9, spaces and _.@-'"
        )
    if password and len(password) < 10:
        raise RefusedError(107, "Password needs to be at least 10 characters long.")
    return _keep_user(host, user_id, fields)


def _keep_user(host: dict[str, Any], user_id: str, fields: QueryDict) -> dict[str, Any]:
    host["users"][user_id] = {
        "displayname": fields.get("displayName", "") or user_id, "email": fields.get("email") or None, "enabled": True,
        "groups": fields.getlist("groups[]"), "quota": "default", "used": None,
    }  # fmt: skip
    if quota := fields.get("quota"):
        _set_quota(host["users"][user_id], str(quota))
    return {"id": user_id}


@for_admins
def one_user(request: HttpRequest, host: dict[str, Any], user_id: str) -> Any:
    """GET: the account; PUT: one field of it; DELETE."""
    if request.method == "GET":
        if user_id not in host["users"]:
            raise RefusedError(404, "User does not exist")
        return _shown(user_id, host["users"][user_id])
    found = _find(host, user_id)
    if request.method == "DELETE":
        del host["users"][user_id]
        return None
    fields = _fields(request)
    key, value = fields.get("key", ""), fields.get("value", "")
    if key == "quota" and faults.mode(request) == "quota_ignored":
        return None
    if key == "quota":
        _set_quota(found, value)
    elif key in ("displayname", "email"):
        found[key] = value
    else:
        raise RefusedError(113, "Invalid field")
    return None


@for_admins
def enable(_request: HttpRequest, host: dict[str, Any], user_id: str) -> Any:
    """Let the account in again."""
    _find(host, user_id)["enabled"] = True


@for_admins
def disable(_request: HttpRequest, host: dict[str, Any], user_id: str) -> Any:
    """Let it in no more, whatever its passwords."""
    _find(host, user_id)["enabled"] = False


@for_admins
def memberships(request: HttpRequest, host: dict[str, Any], user_id: str) -> Any:
    """GET: the groups of the account; POST: one more."""
    if request.method == "GET":
        return {"groups": _find(host, user_id)["groups"]}
    group = _fields(request).get("groupid", "")
    if not group:
        raise RefusedError(101)
    if group not in host["groups"]:
        raise RefusedError(102)
    if user_id not in host["users"]:
        raise RefusedError(103)
    groups = host["users"][user_id]["groups"]
    groups += [] if group in groups else [group]
    return None


@for_admins
def all_groups(request: HttpRequest, host: dict[str, Any]) -> Any:
    """GET: the names; POST: a new one."""
    if request.method == "GET":
        return {"groups": host["groups"]}
    group = _fields(request).get("groupid", "")
    if not group:
        raise RefusedError(101, "Invalid group name")
    if group in host["groups"]:
        raise RefusedError(102, "group exists")
    host["groups"].append(group)
    return None


def _fields(request: HttpRequest) -> QueryDict:
    """The form, also of a PUT."""
    return request.POST if request.method == "POST" else QueryDict(request.body)


def _find(host: dict[str, Any], user_id: str) -> dict[str, Any]:
    if user_id not in host["users"]:
        raise RefusedError(998)
    found: dict[str, Any] = host["users"][user_id]
    return found


def _set_quota(found: dict[str, Any], value: str) -> None:
    if value not in ("none", "default"):
        try:
            value = size_as_text(size_in_bytes(value))
        except ValueError:
            raise RefusedError(101, f"Invalid quota value: {value}") from None
    found["quota"] = value


def _shown(user_id: str, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "enabled": found["enabled"], "storageLocation": f"/var/www/html/data/{user_id}", "id": user_id, "firstLoginTimestamp": -1,
        "lastLogin": 0, "backend": "Database", "subadmin": [], "quota": _storage(found), "manager": "", "email": found["email"],
        "additional_mail": [], "displayname": found["displayname"], "display-name": found["displayname"], "phone": "", "address": "",
        "website": "", "twitter": "", "fediverse": "", "organisation": "", "role": "", "headline": "", "biography": "",
        "profile_enabled": "1", "pronouns": "", "groups": found["groups"], "language": "en", "locale": "", "notify_email": None,
        "backendCapabilities": {"setDisplayName": True, "setPassword": True},
    }  # fmt: skip


def _storage(found: dict[str, Any]) -> dict[str, Any]:
    """Two keys of an account that nobody has logged in to; afterwards five, with numbers of either kind."""
    limit = None if found["quota"] in ("none", "default") else size_in_bytes(found["quota"])
    if found["used"] is None:
        return {"quota": "none" if limit is None else limit, "used": 0}
    used = int(found["used"])
    if limit is None:
        return {"free": 10**13, "used": used, "total": 10**13 + used, "relative": 0.01, "quota": NO_LIMIT}
    share = round(used / limit * 100, 2) if limit else 100
    return {"free": max(0, limit - used), "used": used, "total": limit, "relative": share, "quota": float(limit)}
