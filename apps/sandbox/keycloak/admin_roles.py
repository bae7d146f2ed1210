"""The Admin API of roles: what there are, what they bring, which groups have them; given and taken by administrators.

https://www.keycloak.org/docs-api/latest/rest-api/index.html#_roles
"""

from typing import Any

from django.http import HttpResponse, JsonResponse

from apps.sandbox.keycloak import admin_realm, groups, realm, rights, roles, users
from apps.sandbox.keycloak.answers import failed, nothing
from apps.sandbox.keycloak.rights import Call, admin, listing

Row = dict[str, Any]
SEES = frozenset({"view-realm"})
SEES_CLIENTS = frozenset({"view-clients"})


def list_roles(_call: Call) -> HttpResponse:
    return listing([roles.plain(name) for name in (*roles.PLAIN, roles.default_name())])


def get_role(_call: Call, name: str) -> HttpResponse:
    return JsonResponse(roles.plain(name))


def list_role_groups(_call: Call, name: str) -> HttpResponse:
    """GET /roles/{name}/groups: the sandbox's groups get rights, never roles of the realm."""
    roles.plain(name)
    return listing([])


def list_composites(_call: Call, role_id: str) -> HttpResponse:
    return listing(roles.composites(role_id))


def add_composites(call: Call, role_id: str) -> HttpResponse:
    """POST /roles-by-id/{id}/composites: only the default role takes any here."""
    return _change_composites(call, role_id, add=True)


def remove_composites(call: Call, role_id: str) -> HttpResponse:
    return _change_composites(call, role_id, add=False)


def _change_composites(call: Call, role_id: str, *, add: bool) -> HttpResponse:
    roles.composites(role_id)
    roles.change(realm.state()["default_role"][roles.CLIENT], rights.body_list(call), add=add)
    return nothing()


def list_rights(_call: Call, client_uuid: str) -> HttpResponse:
    """GET /clients/{uuid}/roles: only the client of the rights has any here."""
    _known(client_uuid)
    return listing([roles.right(name) for name in roles.RIGHTS] if client_uuid == roles.client_uuid() else [])


def get_right(_call: Call, client_uuid: str, name: str) -> HttpResponse:
    _known(client_uuid)
    return JsonResponse(roles.right(name) | {"attributes": {}})


def list_right_groups(call: Call, client_uuid: str, name: str) -> HttpResponse:
    _known(client_uuid)
    found = call.page(roles.groups_with(name))
    return listing([groups.as_json(row, brief=True, count=False) for row in found])


def _known(client_uuid: str) -> None:
    if realm.client_by_uuid(client_uuid) is None:
        raise failed(404, "Could not find client")


def of_user(call: Call, user_id: str) -> HttpResponse:
    """GET /users/{id}/role-mappings: what a service account was given; rights of clients the caller may not see are left out."""
    user = _user(user_id)
    held = user["clientRoles"].get(roles.CLIENT, [])
    if not held or not call.may(SEES_CLIENTS):
        return JsonResponse({})
    shown = {"id": roles.client_uuid(), "client": roles.CLIENT, "mappings": [roles.right(name) for name in held]}
    return JsonResponse({"clientMappings": {roles.CLIENT: shown}})


def rights_of_user(_call: Call, user_id: str, client_uuid: str) -> HttpResponse:
    """GET /users/{id}/role-mappings/clients/{uuid}/composite: all that the account has of a client, by whatever way."""
    _known(client_uuid)
    user = _user(user_id)
    held = roles.held_by(user) if client_uuid == roles.client_uuid() else ()
    return listing([roles.right(name) for name in sorted(held)])


def give_user_plain(call: Call, user_id: str) -> HttpResponse:
    """POST /users/{id}/role-mappings/realm: manage-users is enough for the realm's plain roles."""
    _user(user_id)
    if any(role.get("name") not in roles.PLAIN for role in rights.body_list(call)):
        raise failed(404, "Role not found")
    return nothing()


def _user(user_id: str) -> Row:
    user = users.find(user_id)
    if user is None:
        raise failed(404, "User not found")
    return user


def give_user(call: Call, user_id: str, client_uuid: str) -> HttpResponse:
    return _change(call, _user(user_id), client_uuid, add=True)


def take_user(call: Call, user_id: str, client_uuid: str) -> HttpResponse:
    return _change(call, _user(user_id), client_uuid, add=False)


def give_group(call: Call, group_id: str, client_uuid: str) -> HttpResponse:
    return _change(call, groups.find(group_id), client_uuid, add=True)


def take_group(call: Call, group_id: str, client_uuid: str) -> HttpResponse:
    return _change(call, groups.find(group_id), client_uuid, add=False)


def _change(call: Call, holder: Row, client_uuid: str, *, add: bool) -> HttpResponse:
    _known(client_uuid)
    held = holder.setdefault("clientRoles", {}).setdefault(roles.CLIENT, [])
    roles.change(held, rights.body_list(call), add=add)
    return nothing()


NO = (admin_realm.refuse, rights.ANYBODY)
realm_roles = admin(GET=(list_roles, SEES), POST=NO)
realm_role = admin(GET=(get_role, SEES), PUT=NO, DELETE=NO)
realm_role_groups = admin(GET=(list_role_groups, SEES))
role_composites = admin(
    GET=(list_composites, SEES), POST=(add_composites, rights.NOBODY), DELETE=(remove_composites, rights.NOBODY)
)
client_roles = admin(GET=(list_rights, SEES_CLIENTS), POST=NO)
client_role = admin(GET=(get_right, SEES_CLIENTS))
client_role_groups = admin(GET=(list_right_groups, SEES_CLIENTS))
user_mappings = admin(GET=(of_user, rights.VIEW))
user_realm_mappings = admin(POST=(give_user_plain, rights.MANAGE))
user_client_mappings = admin(POST=(give_user, rights.NOBODY), DELETE=(take_user, rights.NOBODY))
user_client_rights = admin(GET=(rights_of_user, SEES_CLIENTS))
group_client_mappings = admin(POST=(give_group, rights.NOBODY), DELETE=(take_group, rights.NOBODY))
