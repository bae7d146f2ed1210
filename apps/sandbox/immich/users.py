"""The accounts of an Immich stand-in, by the types of @immich/sdk and what its user-admin service refuses; and its OpenID login."""

import re
import uuid
from typing import Any

from django.http import HttpRequest

from apps.sandbox import clock, faults
from apps.sandbox.immich.answers import RefusedError, Server, User, fields_of, issue, new_user, shown, view
from apps.sandbox.immich_account import ADMIN

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
ADMIN_USER = "adminUser.{verb}"


@view("", for_admins=False)
def my_key(_request: HttpRequest, server: Server) -> Any:
    """What our own API key may do."""
    return {"id": str(uuid.NAMESPACE_URL), "name": "frontdesk", "permissions": server["permissions"]}


@view("user.read", for_admins=False)
def me(request: HttpRequest, server: Server) -> Any:
    """Our own account."""
    found = next(user for user in server["users"].values() if user["email"] == ADMIN)
    return shown(found) | {"isAdmin": faults.mode(request) != "no_rights"}


@view("systemConfig.read")
def config(_request: HttpRequest, server: Server) -> Any:
    """What of the settings concerns accounts."""
    return {
        "oauth": {"enabled": server["oauth"], "autoRegister": server["auto_register"]},
        "passwordLogin": {"enabled": True},
        "user": {"deleteDelay": server["delete_delay"]},
    }


@view(ADMIN_USER)
def all_users(request: HttpRequest, server: Server) -> Any:
    """GET: the accounts, those in the trash if asked for; POST: a new one."""
    if request.method == "GET":
        everybody = request.GET.get("withDeleted") == "true"
        found = [user for user in server["users"].values() if everybody or user["deleted_at"] is None]
        return [shown(user) for user in sorted(found, key=lambda user: -user["created_at"])]
    fields = _checked(fields_of(request), needed=("email", "name", "password"))
    if _holder(server, "email", fields["email"], live=True):
        raise RefusedError(400, "User exists")
    _refuse_double(server, fields)
    made = new_user({name: value for name, value in fields.items() if name not in ("password", "notify")})
    server["users"][made["id"]] = made
    return shown(made)


@view(ADMIN_USER)
def one_user(request: HttpRequest, server: Server, user_id: str) -> Any:
    """GET: the account, also in the trash; PUT: some fields of it; DELETE: into the trash, or for good."""
    if request.method == "GET":
        return shown(_find(server, user_id))
    found, fields = _find(server, user_id, live=True), fields_of(request)
    if request.method == "DELETE":
        return _delete(request, found, force=fields.get("force") is True)
    fields = _checked(fields)
    holder = _holder(server, "email", fields.get("email"), live=True)
    if holder and holder is not found:
        raise RefusedError(400, "Email already in use by another account")
    _refuse_double(server, fields, besides=found)
    if faults.mode(request) == "quota_ignored":
        fields.pop("quotaSizeInBytes", None)
    found.update({name: value for name, value in fields.items() if name != "password"})
    return shown(found)


def _delete(request: HttpRequest, found: User, *, force: bool) -> Any:
    if found["email"] == ADMIN:
        raise RefusedError(403, "Cannot delete your own account")
    found["status"], found["deleted_at"] = "removing" if force else "deleted", clock.now()
    found["stuck"] = faults.mode(request) == "removal_stuck"
    return shown(found)


@view("adminUser.delete")
def restore(_request: HttpRequest, server: Server, user_id: str) -> Any:
    """Take an account out of the trash."""
    found = _find(server, user_id)
    found["status"], found["deleted_at"] = "active", None
    return shown(found)


def _find(server: Server, user_id: str, *, live: bool = False) -> User:
    try:
        key = str(uuid.UUID(user_id))
    except ValueError:
        raise RefusedError(400, "Validation failed", [issue("invalid_format", ["id"], "Invalid UUID")]) from None
    found: User | None = server["users"].get(key)
    if found is None or (live and found["deleted_at"] is not None):
        raise RefusedError(400, "User not found")
    return found


def _holder(server: Server, field: str, value: Any, *, live: bool = False) -> User | None:
    users = (user for user in server["users"].values() if value and user[field] == value)
    return next((user for user in users if not live or user["deleted_at"] is None), None)


def _refuse_double(server: Server, fields: dict[str, Any], besides: User | None = None) -> None:
    """The database's own rules, which count what is in the trash, too."""
    for name in ("email", "storageLabel"):
        holder = _holder(server, name, fields.get(name))
        if holder and holder is not besides:
            raise RefusedError(500, "Internal server error")


def _checked(fields: dict[str, Any], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields that there are, the address in small letters; whatever else was sent is dropped."""
    wrong = [
        issue("invalid_type", [name], "Invalid input: expected string, received undefined")
        for name in needed
        if name not in fields
    ]
    texts = {name: fields[name] for name in ("email", "name", "password") if name in fields}
    wrong += [
        issue("invalid_type", [name], "Invalid input: expected string")
        for name, value in texts.items()
        if not isinstance(value, str)
    ]
    if isinstance(fields.get("email"), str) and not EMAIL.fullmatch(fields["email"]):
        wrong.append(issue("invalid_format", ["email"], "Invalid email address"))
    quota = fields.get("quotaSizeInBytes")
    if quota is not None and (not isinstance(quota, int) or isinstance(quota, bool)):
        wrong.append(issue("invalid_type", ["quotaSizeInBytes"], "Invalid input: expected int"))
    elif quota is not None and not 0 <= quota < 2**53:
        wrong.append(
            issue("too_small" if quota < 0 else "too_big", ["quotaSizeInBytes"], "Too small: expected number to be >=0")
        )
    if wrong:
        raise RefusedError(400, "Validation failed", wrong)
    known = (
        "email",
        "name",
        "password",
        "quotaSizeInBytes",
        "shouldChangePassword",
        "storageLabel",
        "isAdmin",
        "notify",
    )
    kept = {name: fields[name] for name in known if name in fields}
    if "email" in kept:
        kept["email"] = kept["email"].lower()
    if kept.get("storageLabel"):
        kept["storageLabel"] = kept["storageLabel"].replace(".", "")
    return kept


def log_in(server: Server, *, sub: str, email: str) -> User:
    """What Immich does when somebody comes from Keycloak: by `oauthId`, then by the address, else a new account if it may make one.

    RefusedError with its words when they stay outside.
    """
    live: list[User] = [user for user in server["users"].values() if user["deleted_at"] is None]
    if linked := next((user for user in live if user["oauthId"] == sub), None):
        return linked
    if same := next((user for user in live if user["email"] == email.lower()), None):
        if same["oauthId"]:
            raise RefusedError(400, "OAuth authentication failed")
        same["oauthId"] = sub
        return same
    if not server["auto_register"]:
        raise RefusedError(400, "OAuth authentication failed")
    _refuse_double(server, {"email": email.lower()})
    made = new_user({"email": email.lower(), "name": email, "oauthId": sub})
    server["users"][made["id"]] = made
    return made


def find_account(server: Server, key: str) -> User | None:
    """By its id, its label, its `oauthId` or its address."""
    fields = ("id", "storageLabel", "oauthId", "email")
    return next((user for user in server["users"].values() if key in [user[field] for field in fields]), None)
