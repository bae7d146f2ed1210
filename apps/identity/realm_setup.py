"""What `manage.py setup` makes in Keycloak, by an administrator of the server: the realm of config/keycloak/realm.json, the account
that has to be found always, and the first member of staff.

It can be repeated: what is there stays, and the secrets of our clients are read from it. What differs in a realm that was there
before, the doctor says, with commands.
"""

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from keycloak import KeycloakAdmin, KeycloakError

from apps.core.setup_steps import Outcome, Step
from apps.identity import realm_file
from apps.identity.admin_client import NOT_KNOWN, administrator
from apps.identity.doctor.checks import check_version
from apps.identity.doctor.report import Severity

# The client of the realm file, and the variable that has its secret.
CLIENTS = {
    "frontdesk-web": "OIDC_RP_CLIENT_SECRET",
    "frontdesk-sync": "KEYCLOAK_ADMIN_CLIENT_SECRET",
    "frontdesk-doctor": "KEYCLOAK_DOCTOR_CLIENT_SECRET",
}
CANARY, CANARY_NAME = "KEYCLOAK_CANARY_USERNAME", "frontdesk-canary"
NOT_FOUND = 404
DENY_LIST = "Put config/keycloak/password-deny-list.txt into data/password-blacklists/ of Keycloak's folder, and run this again."


def set_up(username: str, password: str, *, values: Mapping[str, str], staff: tuple[str, str]) -> Iterator[Step]:
    """Every step at Keycloak. `values`: variables by name, for the placeholders of the realm file; `staff`: username and address."""
    try:
        server = administrator(username, password)
        if server is None:
            yield Step(Outcome.FAILED, NOT_KNOWN)
            return
        yield _check_version(server)
        yield (realm := _set_up_realm(server, values))
        if realm.outcome == Outcome.TO_DO:
            return
        server.change_current_realm(settings.KEYCLOAK_REALM)
        yield from _read_secrets(server, values)
        yield _set_up_canary(server, values.get(CANARY) or CANARY_NAME)
        yield _set_up_staff(server, *staff)
    except KeycloakError as error:
        yield Step(Outcome.FAILED, _in_words(error))


def _check_version(server: KeycloakAdmin) -> Step:
    """What the doctor cannot see: only an administrator of the whole server is told."""
    found = check_version(str(server.get_server_info().get("systemInfo", {}).get("version", "")))
    if found.severity == Severity.PASSED:
        return Step(Outcome.KEPT, found.message)
    return Step(Outcome.TO_DO, f"{found.message} {found.fix}")


def _set_up_canary(server: KeycloakAdmin, username: str) -> Step:
    """The account of nobody: as long as it is found, Keycloak's answer that a username is free can be believed."""
    if server.get_user_id(username) is not None:
        return Step(
            Outcome.KEPT,
            f"The account {username} is there, by which we know that accounts are found.",
            {CANARY: username},
        )
    server.create_user({"username": username, "enabled": False})
    said = f"The account {username}, which nobody can use: as long as it is found, we believe Keycloak that a username is free."
    return Step(Outcome.MADE, said, {CANARY: username})


def _set_up_realm(server: KeycloakAdmin, values: Mapping[str, str]) -> Step:
    realm = settings.KEYCLOAK_REALM
    if realm in {one["realm"] for one in server.get_realms()}:
        return Step(Outcome.KEPT, f"The realm {realm} is there; the doctor says what it lacks.")
    try:
        server.create_realm(_realm(values))
    except KeycloakError as error:
        if "blacklist" in str(error.response_body).lower():
            return Step(Outcome.TO_DO, f"Keycloak has no list of passwords to refuse. {DENY_LIST}")
        raise
    return Step(Outcome.MADE, f"The realm {realm}, with our clients, groups and login.")


def _realm(values: Mapping[str, str]) -> dict[str, Any]:
    given = dict.fromkeys(("SMTP_HOST", "SMTP_FROM", "SMTP_USER", "SMTP_PASSWORD"), "") | dict(values)
    return realm_file.with_new_ids(realm_file.filled(realm_file.read(), given)) | {"realm": settings.KEYCLOAK_REALM}


def _read_secrets(server: KeycloakAdmin, values: Mapping[str, str]) -> Iterator[Step]:
    """Take the secrets that the realm's clients have, where ours differ."""
    for client, variable in CLIENTS.items():
        id_ = server.get_client_id(client)
        if id_ is None:
            yield Step(
                Outcome.TO_DO, f"The realm has no client {client}: `manage.py doctor` has the commands that make it."
            )
            continue
        secret = server.get_client_secrets(id_).get("value", "")
        if secret and secret != values.get(variable):
            yield Step(Outcome.MADE, f"{variable} is what the realm's client {client} has.", {variable: secret})


def _set_up_staff(server: KeycloakAdmin, username: str, address: str) -> Step:
    path = f"{settings.KEYCLOAK_STAFF_GROUP}/admin"
    try:
        group = server.get_group_by_path(path)
    except KeycloakError as error:
        if error.response_code != NOT_FOUND:
            raise
        return Step(Outcome.TO_DO, f"The realm has no group {path}: `manage.py doctor` has the commands that make it.")
    members = server.get_group_members(group["id"], {"max": 1})
    if members:
        return Step(Outcome.KEPT, f"{members[0]['username']} is a member of {path}.")
    if not username:
        return Step(Outcome.TO_DO, f"Nobody can log in to the console yet: put somebody into the group {path}.")
    user = server.get_user_id(username)
    if user is not None:
        if str(server.get_user(user).get("email", "")).lower() != address.lower():
            said = f"{username} is somebody with another address: choose another username, or put them into the group {path} yourself."
            return Step(Outcome.TO_DO, said)
        server.group_user_add(user, group["id"])
        return Step(Outcome.MADE, f"{username} is a member of {path} now.")
    password = secrets.token_urlsafe(12)
    server.create_user({
        "username": username, "email": address, "enabled": True, "emailVerified": True, "firstName": username, "lastName": "Staff",
        "groups": [path], "credentials": [{"type": "password", "value": password, "temporary": True}],
    })  # fmt: skip
    said = f"{username} can log in to the console with the password {password}, chooses another one, and sets up an authenticator app."
    return Step(Outcome.MADE, said)


def _in_words(error: KeycloakError) -> str:
    status = error.response_code
    if status == 403:
        return "This administrator of Keycloak may not do that: it has to be one of the whole server."
    return f"Keycloak refused ({status})." if status else "Keycloak does not answer."
