"""Who may call the Admin API: the bearer token of a service account, and the roles that account has."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox import faults
from apps.sandbox.keycloak import realm, roles, tokens, users
from apps.sandbox.keycloak.answers import RefusedError, failed, unknown_error

VIEW = frozenset({"view-users", "manage-users"})
QUERY = VIEW | {"query-users"}
MANAGE = frozenset({"manage-users"})
GROUPS = VIEW | {"query-groups"}
ANYBODY = frozenset[str]()
NOBODY = frozenset({"manage-realm"})

type Handler = Callable[..., HttpResponse]


@dataclass(frozen=True)
class Call:
    """One authenticated call of the Admin API."""

    request: HttpRequest
    roles: frozenset[str]
    caller: str = ""  # the username of the account

    def may(self, any_of: frozenset[str]) -> bool:
        """Whether the caller has one of these roles (or none is needed)."""
        return not any_of or bool(self.roles & any_of)

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, the last value of each."""
        return {name: str(value) for name, value in self.request.GET.items()}

    @property
    def fault(self) -> str:
        """The fault this call has to act out (faults.py)."""
        return faults.mode(self.request)

    def flag(self, name: str, *, default: bool) -> bool:
        """A yes/no parameter, read without regard to case as Keycloak does."""
        value = self.query.get(name, "")
        return value.lower() == "true" if value else default

    def number(self, name: str, *, default: int) -> int:
        """A whole-number parameter; Keycloak answers 404 to anything else."""
        value = self.query.get(name, "")
        if not value:
            return default
        if not value.removeprefix("-").isdecimal() or len(value) > 10:
            raise failed(404)
        return int(value)

    def body(self) -> object:
        """The JSON sent; None when nothing was. Raises RefusedError (400) when it cannot be read."""
        if not self.request.body.strip():
            return None
        try:
            return json.loads(self.request.body)
        except ValueError:
            raise failed(400, "invalid_request", "Cannot parse the JSON") from None

    def page(self, rows: list[Any]) -> list[Any]:
        """The part of `rows` that `first` and `max` (default 100, negative: all) ask for."""
        first, most = max(self.number("first", default=0), 0), self.number("max", default=100)
        return rows[first:] if most < 0 else rows[first : first + most]


def admin(**by_method: tuple[Handler, frozenset[str]]) -> Handler:
    """A Django view of the Admin API: `admin(GET=(handler, roles))`; handlers take a Call and the path's parts.

    Checks in Keycloak's order: token (401), realm (404), method (404; 405 for PATCH), role (403).
    """

    def view(request: HttpRequest, realm_name: str, **parts: str) -> HttpResponse:
        try:
            caller, held = caller_of(request)
            if realm_name != realm.name():
                raise failed(404, "Realm not found.")
            handler, needed = _chosen(by_method, request.method or "GET")
            call = Call(request, held, caller)
            if not call.may(needed):
                raise failed(403)
            return handler(call, **parts)
        except RefusedError as refusal:
            return refusal.response()

    return view


def _chosen(by_method: dict[str, tuple[Handler, frozenset[str]]], method: str) -> tuple[Handler, frozenset[str]]:
    found = by_method.get(method) or by_method.get("ANY")
    if found is None:
        raise failed(405 if method == "PATCH" else 404)
    return found


def caller_of(request: HttpRequest) -> tuple[str, frozenset[str]]:
    """The account behind the request's bearer token, and its roles. Raises RefusedError (401, or 403 without any)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    claims = tokens.read(token.strip()) if scheme.lower() == "bearer" else None
    if claims is None or claims.get("typ") != "Bearer" or not tokens.live(claims):
        raise failed(401)
    if claims.get("master"):
        return "", ALL
    user = users.find(claims["sub"])
    if user is None or not user["enabled"] or claims["era"] != tokens.era(user):
        raise failed(401)
    found = roles.of_account(user, realm.client(claims["azp"]) or {})
    if not found:
        raise failed(403)
    return user["username"], found


ALL = frozenset(roles.RIGHTS)


def body_list(call: Call) -> list[Any]:
    """The JSON list sent; RefusedError as Keycloak answers to something else."""
    given = call.body()
    if given is None:
        return []
    if not isinstance(given, list):
        raise failed(400, "unknown_error", "Cannot parse the JSON")
    return given


def body_object(call: Call) -> dict[str, Any]:
    """The JSON object sent; RefusedError as Keycloak answers to something else."""
    given = call.body()
    if given is None:
        raise unknown_error()
    if not isinstance(given, dict):
        raise failed(400, "unknown_error", "Cannot parse the JSON")
    return given


def listing(rows: list[Any]) -> HttpResponse:
    """A JSON list."""
    return JsonResponse(rows, safe=False)
