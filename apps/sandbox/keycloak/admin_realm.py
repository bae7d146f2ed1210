"""The rest of the Admin API: groups, the realm itself, its user profile; and what is refused.

https://www.keycloak.org/docs-api/latest/rest-api/index.html
"""

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox import clock
from apps.sandbox.keycloak import groups, permissions, realm, rights, sessions, users
from apps.sandbox.keycloak.answers import RefusedError, created, failed, nothing
from apps.sandbox.keycloak.rights import Call, admin, listing

Row = dict[str, Any]


def list_groups(call: Call) -> HttpResponse:
    """GET /groups: the top level; with `search` the branches that lead to a match."""
    brief = call.flag("briefRepresentation", default=True)
    text = call.query.get("search", "")
    rows = call.page([row for row in groups.children(None) if groups.contains(row, text)])
    return listing([groups.as_json(row, brief=brief, access=_access(call), search=text) for row in rows])


def _access(call: Call) -> Callable[[Row], Row]:
    return functools.partial(permissions.access_to_group, call)


def create_group(call: Call) -> HttpResponse:
    """POST /groups: at the top; the answer has no body."""
    permissions.require_group(call, None)
    return created(_address(_put_below(call, None)))


def _put_below(call: Call, parent: Row | None) -> Row:
    """A new group below `parent`, or one that is there, moved with all below it."""
    given = rights.body_object(call)
    if not given.get("id"):
        return groups.create(given, parent=parent)
    moved = groups.find(given["id"])
    permissions.require_group(call, moved)
    groups.change(moved, moved["name"], parent)
    return moved


def _address(group: Row) -> str:
    return f"{realm.base()}/admin/realms/{realm.name()}/groups/{group['id']}"


def get_group(call: Call, group_id: str) -> HttpResponse:
    row = groups.find(group_id)
    return JsonResponse(groups.as_json(row, brief=False, access=_access(call)))


def put_group(call: Call, group_id: str) -> HttpResponse:
    """PUT /groups/{id}: its name."""
    row = groups.find(group_id)
    permissions.require_group(call, row)
    groups.change(row, groups.name_in(rights.body_object(call)), groups.every().get(row["parentId"] or ""))
    return nothing()


def delete_group(call: Call, group_id: str) -> HttpResponse:
    """DELETE /groups/{id}, with all below it."""
    permissions.require_group(call, groups.find(group_id))
    groups.delete(groups.find(group_id))
    return nothing()


def list_children(call: Call, group_id: str) -> HttpResponse:
    """GET /groups/{id}/children: full unless asked for brief ones."""
    brief = call.flag("briefRepresentation", default=False)
    text = call.query.get("search", "").lower()
    rows = groups.children(groups.find(group_id)["id"])
    found = call.page([row for row in rows if text in row["name"].lower()])
    return listing([groups.as_json(row, brief=brief, access=_access(call)) for row in found])


def create_child(call: Call, group_id: str) -> HttpResponse:
    """POST /groups/{id}/children: the answer has the group as its body."""
    parent = groups.find(group_id)
    permissions.require_group(call, parent)
    row = _put_below(call, parent)
    shown = groups.as_json(row, brief=False, count=False, access=_access(call))
    return created(_address(row), shown)


def list_members(call: Call, group_id: str) -> HttpResponse:
    """GET /groups/{id}/members: those directly in it."""
    groups.find(group_id)
    brief = call.flag("briefRepresentation", default=False)
    rows = [row for row in users.every().values() if group_id in row["groups"]]
    rows.sort(key=lambda row: row["username"])
    return listing([users.as_json(row, brief=brief) for row in call.page(rows)])


def group_by_path(_call: Call, path: str) -> HttpResponse:
    row = groups.by_path(path)
    if row is None:
        raise failed(404, "Group path does not exist")
    return JsonResponse(groups.as_json(row, brief=False))


def get_realm(call: Call) -> HttpResponse:
    """GET /: everything with view-realm, otherwise the few fields any administrator may see."""
    rules = realm.settings_of_realm()
    if call.may(frozenset({"view-realm", "manage-realm"})):
        return JsonResponse({name: value for name, value in rules.items() if name != "era"})
    return JsonResponse(
        {
            "realm": rules["realm"],
            "displayName": rules["displayName"],
            "registrationEmailAsUsername": rules["registrationEmailAsUsername"],
            "bruteForceProtected": rules["bruteForceProtected"],
            "supportedLocales": rules.get("supportedLocales", []),
            **({"defaultLocale": rules["defaultLocale"]} if "defaultLocale" in rules else {}),
            "organizationsEnabled": False,
        }
    )


def put_realm(call: Call) -> HttpResponse:
    """PUT /: what is not sent stays."""
    kept = {name: realm.settings_of_realm()[name] for name in ("id", "realm", "era", "notBefore")}
    realm.state()["realm"] |= rights.body_object(call) | kept
    return nothing()


def get_profile(_call: Call) -> HttpResponse:
    return JsonResponse(realm.state()["profile"])


def put_profile(call: Call) -> HttpResponse:
    """PUT /users/profile: takes the whole profile."""
    given = rights.body_object(call)
    if not isinstance(given.get("attributes"), list):
        raise failed(400, "invalid_request", "Cannot parse the JSON")
    realm.state()["profile"] = given
    return JsonResponse(given)


def get_texts(_call: Call, language: str) -> HttpResponse:
    """GET /localization/{language}: the realm's own texts; none is an empty object."""
    return JsonResponse(realm.texts(language))


def post_texts(call: Call, language: str) -> HttpResponse:
    """POST /localization/{language}: adds texts, or takes the place of those that are there."""
    realm.state().setdefault("texts", {}).setdefault(language, {}).update(rights.body_object(call))
    return nothing()


def delete_texts(_call: Call, language: str) -> HttpResponse:
    """DELETE /localization/{language}: Keycloak's own texts are back."""
    if realm.state().setdefault("texts", {}).pop(language, None) is None:
        raise failed(404, f"No localization texts for locale {language} found.")
    return nothing()


def logout_all(_call: Call) -> HttpResponse:
    """POST /logout-all: every session ends and every token made before is void, the caller's too."""
    rules = realm.settings_of_realm()
    rules["notBefore"] = clock.now()
    rules["era"] += 1
    sessions.end(realm.state()["sessions"].values())
    return JsonResponse({})


def refuse(_call: Call, **_parts: str) -> HttpResponse:
    """Everything else of the Admin API is out of reach for the realm's service accounts."""
    raise failed(403)


def unknown(_call: Call, **_parts: str) -> HttpResponse:
    """A path the Admin API does not have."""
    raise failed(404)


def server_info(request: HttpRequest) -> HttpResponse:
    """GET /admin/serverinfo: the version is shown to the server's own administrator only."""
    try:
        _, roles = rights.caller_of(request)
    except RefusedError as refusal:
        return refusal.response()
    shown: Row = {"profileInfo": {"name": "default"}, "features": [], "enums": {}, "themes": {}}
    if roles == rights.ALL:
        shown["systemInfo"] = {"version": "26.7.3", "serverTime": clock.now_utc().isoformat()}
    return JsonResponse(shown)


top_groups = admin(GET=(list_groups, rights.GROUPS), POST=(create_group, rights.GROUPS))
group = admin(GET=(get_group, rights.VIEW), PUT=(put_group, rights.VIEW), DELETE=(delete_group, rights.VIEW))
children = admin(GET=(list_children, rights.VIEW), POST=(create_child, rights.VIEW))
members = admin(GET=(list_members, rights.VIEW))
by_path = admin(GET=(group_by_path, rights.VIEW))
the_realm = admin(GET=(get_realm, rights.ANYBODY), PUT=(put_realm, rights.NOBODY), DELETE=(refuse, rights.ANYBODY))
user_profile = admin(GET=(get_profile, rights.QUERY | {"view-realm"}), PUT=(put_profile, rights.NOBODY))
localization = admin(
    GET=(get_texts, rights.ANYBODY), POST=(post_texts, rights.NOBODY), DELETE=(delete_texts, rights.NOBODY)
)
logout_everyone = admin(POST=(logout_all, rights.MANAGE))
forbidden = admin(ANY=(refuse, rights.ANYBODY))
unknown_path = admin(ANY=(unknown, rights.ANYBODY))
