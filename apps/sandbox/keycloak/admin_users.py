"""The Admin API for users: /admin/realms/{realm}/users and what lies under it.

https://www.keycloak.org/docs-api/latest/rest-api/index.html#_users
"""

import copy
from typing import Any

from django.http import HttpResponse, JsonResponse

from apps.sandbox import clock
from apps.sandbox.keycloak import actions, groups, passwords, permissions, realm, redirects, rights, users
from apps.sandbox.keycloak.answers import created, failed, nothing, refused
from apps.sandbox.keycloak.rights import Call, admin, listing

Row = dict[str, Any]


def user_or_refuse(call: Call, user_id: str) -> Row:
    """The user, or 404 for callers who may look for users, else 403."""
    user = users.find(user_id)
    if user is None:
        raise failed(404, "User not found") if call.may(rights.QUERY) else failed(403)
    return user


def list_users(call: Call) -> HttpResponse:
    """GET /users. Who may look but not view sees an empty list, as in a real realm."""
    found = users.search(call.query) if call.may(rights.VIEW) else []
    brief = call.flag("briefRepresentation", default=False)
    return listing(
        [users.as_json(row, brief=brief, access={"manage": permissions.on_user(call, row)}) for row in call.page(found)]
    )


def create_user(call: Call) -> HttpResponse:
    given = rights.body_object(call)
    permissions.require_creation(call, given.get("groups") or [])
    if call.fault == "drop_attributes":
        given["attributes"] = {}
    user = users.create(given)
    for credential in given.get("credentials") or []:
        set_password(user, credential)
    return created(f"{realm.base()}/admin/realms/{realm.name()}/users/{user['id']}")


def get_user(call: Call, user_id: str) -> HttpResponse:
    user = user_or_refuse(call, user_id)
    return JsonResponse(users.as_json(user, access=permissions.access_to_user(call, user)))


def managed_user(call: Call, user_id: str) -> Row:
    """The user, if the caller may change it. Raises RefusedError (403, 404)."""
    user = user_or_refuse(call, user_id)
    permissions.require_user(call, user)
    return user


def put_user(call: Call, user_id: str) -> HttpResponse:
    user = managed_user(call, user_id)
    if call.body() is None:
        raise refused(400, "Could not update user!")
    given = rights.body_object(call)
    before = copy.deepcopy(user)
    users.update(user, given)
    if call.fault:
        _spoil(user, before, call.fault)
    return nothing()


def _spoil(user: Row, before: Row, fault: str) -> None:
    """Act out a fault of Keycloak's writing: `user` is what should be stored, `before` what was."""
    old, new = before["attributes"], user["attributes"]
    changed = {name for name in new if new[name] != old.get(name)}
    if fault == "lost_update":
        user.update(before)
    elif fault == "drop_attributes":
        user["attributes"] = {name: new[name] for name in new if name not in changed}
    elif fault == "put_wipes":
        user["attributes"] = {name: new[name] for name in changed}
    elif fault == "doubled_values":
        doubled = {name: [*old.get(name, new[name]), *new[name]] for name in changed}
        user["attributes"] = new | doubled


def delete_user(call: Call, user_id: str) -> HttpResponse:
    """DELETE /users/{id}: sessions end, nobody is told."""
    users.delete(managed_user(call, user_id))
    return nothing()


def reset_password(call: Call, user_id: str) -> HttpResponse:
    set_password(managed_user(call, user_id), rights.body_object(call))
    return nothing()


def set_password(user: Row, given: Row) -> None:
    """Give `user` the password of a credential's representation. Raises RefusedError (400) where the policy is broken."""
    value = given.get("value")
    if not isinstance(value, str) or not value:
        raise failed(400, "No password provided")
    policy = realm.settings_of_realm()["passwordPolicy"]
    complaint = passwords.complaint(value, policy=policy, user=user)
    if complaint is not None:
        raise complaint
    user["passwords"].append(passwords.hashed(value))
    user["passwordSet"] = clock.now()
    left = [action for action in user["requiredActions"] if action != "UPDATE_PASSWORD"]
    user["requiredActions"] = [*left, "UPDATE_PASSWORD"] if given.get("temporary") else left


def list_credentials(call: Call, user_id: str) -> HttpResponse:
    user = user_or_refuse(call, user_id)
    if not user["passwords"]:
        return listing([])
    since = user.get("passwordSet", user["createdTimestamp"] // 1000) * 1000
    own_id = realm.fixed_id(user["id"], "password")
    return listing([{"id": own_id, "type": "password", "createdDate": since}])


def list_groups(call: Call, user_id: str) -> HttpResponse:
    brief = call.flag("briefRepresentation", default=True)
    rows = groups.of_user(user_or_refuse(call, user_id))
    text = call.query.get("search", "").lower()
    found = call.page([row for row in rows if text in row["name"].lower()])
    return listing([groups.as_json(row, brief=brief, count=False) for row in found])


def join_group(call: Call, user_id: str, group_id: str) -> HttpResponse:
    """PUT /users/{id}/groups/{gid}, as often as you like."""
    user = _user_and_group(call, user_id, group_id)
    if group_id not in user["groups"]:
        user["groups"].append(group_id)
    return nothing()


def leave_group(call: Call, user_id: str, group_id: str) -> HttpResponse:
    """DELETE /users/{id}/groups/{gid}, as often as you like."""
    user = _user_and_group(call, user_id, group_id)
    user["groups"] = [member for member in user["groups"] if member != group_id]
    return nothing()


def _user_and_group(call: Call, user_id: str, group_id: str) -> Row:
    user = user_or_refuse(call, user_id)
    permissions.require_membership(call, user, group_id)
    return user


def execute_actions_email(call: Call, user_id: str) -> HttpResponse:
    user, wanted = managed_user(call, user_id), rights.body_list(call)
    rules = realm.settings_of_realm()
    lifespan = call.number("lifespan", default=rules["actionTokenGeneratedByAdminLifespan"])
    client_id, redirect_uri = _mail_target(call, user)
    if any(action not in users.ACTIONS for action in wanted):
        raise refused(400, "Provided invalid required actions")
    if call.fault == "mail_fails" or not actions.has_mail_server():
        raise refused(
            500,
            "Failed to send execute actions email: Error when attempting to send the email to the server. "
            "More information is available in the server log.",
        )
    actions.mail(
        user, kind="execute-actions", wanted=wanted, lifespan=lifespan, client_id=client_id, redirect_uri=redirect_uri
    )
    return nothing()


def send_verify_email(call: Call, user_id: str) -> HttpResponse:
    user = managed_user(call, user_id)
    rules = realm.settings_of_realm()
    lifespan = call.number("lifespan", default=rules["actionTokenGeneratedByAdminLifespan"])
    client_id, redirect_uri = _mail_target(call, user)
    if call.fault == "mail_fails" or not actions.has_mail_server():
        raise refused(500, "Failed to send verify email")
    actions.mail(
        user,
        kind="verify-email",
        wanted=["VERIFY_EMAIL"],
        lifespan=lifespan,
        client_id=client_id,
        redirect_uri=redirect_uri,
    )
    return nothing()


def _mail_target(call: Call, user: Row) -> tuple[str, str]:
    """The client and redirect address a mail's link leads back to, checked in Keycloak's order."""
    client_id, redirect_uri = call.query.get("client_id", ""), call.query.get("redirect_uri", "")
    if not user["email"]:
        raise refused(400, "User email missing")
    if not user["enabled"]:
        raise refused(400, "User is disabled")
    if redirect_uri and not client_id:
        raise refused(400, "Client id missing")
    if not client_id:
        return "account", ""
    client = realm.client(client_id)
    if client is None:
        raise refused(400, "Client doesn't exist")
    if not client["enabled"]:
        raise refused(400, "Client is not enabled")
    if redirect_uri and not redirects.allowed(client, redirect_uri):
        raise refused(400, "Invalid redirect uri.")
    return client_id, redirect_uri


all_users = admin(GET=(list_users, rights.QUERY), POST=(create_user, rights.QUERY))
user = admin(GET=(get_user, rights.QUERY), PUT=(put_user, rights.QUERY), DELETE=(delete_user, rights.QUERY))
password = admin(PUT=(reset_password, rights.QUERY))
credentials = admin(GET=(list_credentials, rights.VIEW))
memberships = admin(GET=(list_groups, rights.VIEW))
membership = admin(PUT=(join_group, rights.QUERY), DELETE=(leave_group, rights.QUERY))
action_mail = admin(PUT=(execute_actions_email, rights.QUERY))
verify_mail = admin(PUT=(send_verify_email, rights.QUERY))
