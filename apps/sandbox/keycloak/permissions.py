"""Fine-grained admin permissions: what those of the client `admin-permissions` let an account do to groups and people.

As seen on 26.7.3: a permission for a group says nothing of the groups below it, and takes the place of those for all groups;
a person in several groups is out of reach when one of them refuses; the role manage-users passes all of it.
https://www.keycloak.org/docs/latest/server_admin/#_fine_grained_permissions
"""

import json
import uuid
from typing import Any

from django.http import HttpResponse, JsonResponse

from apps.sandbox.keycloak import groups, realm, rights, users
from apps.sandbox.keycloak.answers import failed, nothing, refused
from apps.sandbox.keycloak.rights import Call, admin, listing

Row = dict[str, Any]

CLIENT = "admin-permissions"
ALL_GROUPS = "Groups"
MANAGE, MANAGE_MEMBERS, MEMBERSHIP = "manage", "manage-members", "manage-membership"
MEMBERSHIP_OF_MEMBERS = "manage-membership-of-members"


def policies() -> list[Row]:
    """The realm's policies and permissions, as the realm file and Keycloak's exports have them."""
    client = realm.state()["clients"].get(CLIENT) or {}
    found: list[Row] = client.get("authorizationSettings", {}).get("policies", [])
    for row in found:
        row.setdefault("id", realm.fixed_id(realm.name(), "policy", row["name"]))
    return found


def on_group(call: Call, group: Row | None, scope: str) -> bool:
    """Whether the caller may do that to the group; None: to all groups."""
    return call.may(rights.MANAGE) or _decided(call, group["id"] if group else ALL_GROUPS, scope) is True


def on_user(call: Call, user: Row, scope: str = MANAGE_MEMBERS) -> bool:
    """Whether one of the person's groups gives the caller that over its members, and none refuses it."""
    said = {_decided(call, group_id, scope) for group_id in user["groups"]}
    return call.may(rights.MANAGE) or (True in said and False not in said)


def _decided(call: Call, group_id: str, scope: str) -> bool | None:
    """What the permissions for a group say, else those for all groups; None when there are none."""
    if not realm.settings_of_realm().get("adminPermissionsEnabled"):
        return None
    rows = [row for row in policies() if row["type"] == "scope" and scope in _listed(row, "scopes")]
    for resource in (group_id, ALL_GROUPS):
        named = [row for row in rows if resource in _listed(row, "resources")]
        if named:
            return all(_holds(call, name) for row in named for name in _listed(row, "applyPolicies"))
    return None


def _holds(call: Call, name: str) -> bool:
    policy = next(row for row in policies() if row["name"] == name)
    return (call.caller in _listed(policy, "users")) is (policy["logic"] == "POSITIVE")


def _listed(row: Row, name: str) -> list[str]:
    found: list[str] = json.loads(row["config"].get(name, "[]"))
    return found


def require_group(call: Call, group: Row | None, scope: str = MANAGE) -> None:
    """Raises RefusedError (403)."""
    if not on_group(call, group, scope):
        raise failed(403)


def require_user(call: Call, user: Row, scope: str = MANAGE_MEMBERS) -> None:
    """Raises RefusedError (403)."""
    if not on_user(call, user, scope):
        raise failed(403)


def require_membership(call: Call, user: Row, group_id: str) -> Row:
    """The group, if the caller may put that person into it. Raises RefusedError (403, 404)."""
    require_user(call, user, MEMBERSHIP_OF_MEMBERS)
    if group_id not in groups.every():
        raise failed(404, "Group not found")
    require_group(call, groups.find(group_id), MEMBERSHIP)
    return groups.find(group_id)


def require_creation(call: Call, paths: list[str]) -> None:
    """A person is created by who manages everybody, or all the groups it is created in. Raises RefusedError (403)."""
    found = [row for path in paths if (row := groups.by_path(path))]
    allowed = all(on_group(call, row, scope) for row in found for scope in (MANAGE_MEMBERS, MEMBERSHIP))
    if not call.may(rights.MANAGE) and not (found and allowed):
        raise failed(403)


def access_to_group(call: Call, group: Row) -> Row:
    """What the caller may do to the group, as answers show it."""
    return {
        "view": True,
        "viewMembers": call.may(rights.VIEW),
        "manageMembers": on_group(call, group, MANAGE_MEMBERS),
        "manage": on_group(call, group, MANAGE),
        "manageMembership": on_group(call, group, MEMBERSHIP),
    }


def access_to_user(call: Call, user: Row) -> Row:
    """What the caller may do to the person, as answers show it."""
    manages = on_user(call, user)
    return {
        "manageGroupMembership": on_user(call, user, MEMBERSHIP_OF_MEMBERS),
        "resetPassword": manages,
        "view": True,
        "mapRoles": call.may(rights.MANAGE),
        "impersonate": False,
        "manage": manages,
    }


# --- how an administrator makes them ------------------------------------------------------------------------------------


def list_policies(call: Call, client_uuid: str) -> HttpResponse:
    """GET …/policy: permissions too, unless `permission` is false."""
    _check_client(client_uuid)
    return listing([row for row in policies() if row["type"] != "scope" or call.flag("permission", default=True)])


def list_permissions(_call: Call, client_uuid: str) -> HttpResponse:
    _check_client(client_uuid)
    return listing([row for row in policies() if row["type"] == "scope"])


def delete_policy(_call: Call, client_uuid: str, policy_id: str) -> HttpResponse:
    """DELETE …/policy/{id}, of a permission too."""
    _check_client(client_uuid)
    policies()[:] = [row for row in policies() if row["id"] != policy_id]
    return nothing()


def create_policy(call: Call, client_uuid: str) -> HttpResponse:
    """POST …/policy/user."""
    given = rights.body_object(call)
    names = [row["username"] for key in given["users"] if (row := users.find(key) or users.find_by("username", key))]
    return _create(client_uuid, given, "user", {"users": names})


def create_permission(call: Call, client_uuid: str) -> HttpResponse:
    """POST …/permission/scope; without resources it is for all groups."""
    given = rights.body_object(call)
    config = {name: given.get(name) or [] for name in ("resources", "scopes")} | {"applyPolicies": given["policies"]}
    return _create(client_uuid, given, "scope", config | {"resources": config["resources"] or [given["resourceType"]]})


def _create(client_uuid: str, given: Row, kind: str, config: dict[str, list[str]]) -> HttpResponse:
    client = _check_client(client_uuid)
    if any(row["name"] == given["name"] for row in policies()):
        raise refused(409, f"Policy with name [{given['name']}] already exists")
    row = {"id": str(uuid.uuid4()), "name": given["name"], "type": kind, "logic": given.get("logic", "POSITIVE")}
    row["config"] = {name: json.dumps(values) for name, values in config.items()}
    client["authorizationSettings"].setdefault("policies", []).append(row)
    return JsonResponse(row, status=201)


def _check_client(client_uuid: str) -> Row:
    client: Row = realm.state()["clients"].get(CLIENT) or {}
    if client.get("id") != client_uuid:
        raise failed(404, "Could not find client")
    return client


SEES, MANAGES = frozenset({"view-clients", "view-authorization"}), frozenset({"manage-authorization"})
all_policies = admin(GET=(list_policies, SEES))
user_policies = admin(POST=(create_policy, MANAGES))
policy = admin(DELETE=(delete_policy, MANAGES))
permission_list = admin(GET=(list_permissions, SEES))
scope_permissions = admin(POST=(create_permission, MANAGES))
