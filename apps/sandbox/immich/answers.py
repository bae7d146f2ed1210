"""How an Immich answers at /api: who may ask, what is refused and in which words, by the server's sources of release 3.

Rude as the real one: an unknown account is 400, not 404; a body that does not fit names each field; what breaks a rule of its database
is a bare 500; what is in the trash for too long is gone, and a forced deletion goes on after the answer.
"""

import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox import clock, faults
from apps.sandbox.immich_account import ADMIN, API_KEY
from apps.sandbox.products import server_of

PERMISSIONS = (
    "adminUser.create", "adminUser.read", "adminUser.update", "adminUser.delete", "systemConfig.read", "user.read"
)  # fmt: skip
DELETE_DELAY = 3650  # days; Immich's own is 7, and the manual says to change it
DAY = 86_400
Server = dict[str, Any]
User = dict[str, Any]
View = Callable[..., Any]


class RefusedError(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, message: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status, self.body = status, {"message": message} | ({"errors": errors} if errors else {})


def host_of(name: str) -> Server:
    """The state of one Immich, without what its own jobs have removed by now; every name is one, with its first administrator."""
    server = server_of("immich", name, _fresh)
    now = clock.now()
    kept = {key: user for key, user in server["users"].items() if not _is_over(server, user, now)}
    server["users"] = kept
    return server


def _fresh(name: str) -> Server:
    admin = new_user({"email": ADMIN, "name": "Admin", "isAdmin": True, "storageLabel": "admin"}, key=name)
    admin["created_at"] -= DAY
    return {
        "users": {admin["id"]: admin}, "permissions": list(PERMISSIONS), "delete_delay": DELETE_DELAY, "oauth": True,
        "auto_register": False,
    }  # fmt: skip


def _is_over(server: Server, user: User, now: float) -> bool:
    if user["status"] == "removing":
        return not user["stuck"]
    return user["deleted_at"] is not None and now - user["deleted_at"] >= server["delete_delay"] * DAY


def new_user(fields: dict[str, Any], *, key: str = "") -> User:
    """An account; `key`: of one whose id is always the same."""
    made = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, key)) if key else str(uuid.uuid4()), "name": "", "storageLabel": None, "isAdmin": False,
        "oauthId": "", "quotaSizeInBytes": None, "shouldChangePassword": True, "status": "active", "created_at": clock.now(),
        "deleted_at": None, "used": 0, "stuck": False,
    }  # fmt: skip
    return made | fields


def view(permission: str, *, for_admins: bool = True) -> Callable[[View], Callable[..., HttpResponse]]:
    """A view of the API: checks who asks, calls `view(request, server, ...)`, and answers with what it returns."""

    def wrap(inner: View) -> Callable[..., HttpResponse]:
        def answer(request: HttpRequest, host: str, **parts: str) -> HttpResponse:
            server = host_of(host)
            try:
                _refuse_stranger(request, server, permission, for_admins=for_admins)
                found = inner(request, server, **parts)
            except RefusedError as refused:
                return JsonResponse(refused.body, status=refused.status)
            status = 201 if request.method == "POST" and not request.path.endswith("/restore") else 200
            return JsonResponse(found, safe=False, status=status)

        answer.csrf_exempt = True  # type: ignore[attr-defined]
        return answer

    return wrap


def _refuse_stranger(request: HttpRequest, server: Server, permission: str, *, for_admins: bool) -> None:
    key = request.headers.get("x-api-key", "")
    if not key:
        raise RefusedError(401, "Authentication required")
    if key != API_KEY:
        raise RefusedError(401, "Invalid API key")
    if for_admins and faults.mode(request) == "no_rights":
        raise RefusedError(403, "Forbidden")
    needed = permission.format(
        verb={"GET": "read", "POST": "create", "PUT": "update", "DELETE": "delete"}.get(request.method or "", "")
    )
    if needed and needed not in server["permissions"] and "all" not in server["permissions"]:
        raise RefusedError(403, f"Missing required permission: {needed}")


def no_route(request: HttpRequest, **_parts: str) -> HttpResponse:
    """What is none of its paths."""
    return JsonResponse({"message": f"Cannot {request.method} {request.path}"}, status=404)


no_route.csrf_exempt = True  # type: ignore[attr-defined]


def fields_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON body; an empty one has no fields."""
    try:
        found = json.loads(request.body or b"{}")
    except ValueError:
        raise RefusedError(400, "Unexpected token in JSON") from None
    if not isinstance(found, dict):
        raise RefusedError(400, "Validation failed", [issue("invalid_type", [], "Invalid input: expected object")])
    return found


def issue(code: str, path: list[str], message: str) -> dict[str, Any]:
    """One finding of the validator."""
    return {"code": code, "path": path, "message": message}


def shown(user: User) -> dict[str, Any]:
    """An account as administrators see it."""
    created, deleted = _iso(user["created_at"]), user["deleted_at"]
    return {
        "id": user["id"], "name": user["name"], "email": user["email"], "profileImagePath": "", "avatarColor": "primary",
        "profileChangedAt": created, "storageLabel": user["storageLabel"], "shouldChangePassword": user["shouldChangePassword"],
        "isAdmin": user["isAdmin"], "createdAt": created, "deletedAt": None if deleted is None else _iso(deleted),
        "updatedAt": created, "oauthId": user["oauthId"], "quotaSizeInBytes": user["quotaSizeInBytes"],
        "quotaUsageInBytes": user["used"], "status": user["status"], "license": None, "clusterGroupId": user["id"],
    }  # fmt: skip


def _iso(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
