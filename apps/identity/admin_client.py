"""Calls to Keycloak's Admin API, on python-keycloak: by one of our accounts, or by an administrator of the server, to set it up.

Promises: every call of ours ends in time, none is repeated automatically, and none follows a redirect: the token would go along.
"""

from django.conf import settings
from keycloak import KeycloakAdmin, KeycloakError

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
LOGIN_REFUSED = {400, 401}  # 26.7.3 answers a wrong password with 400
NOT_KNOWN = "Keycloak does not know this administrator, or not with this password."


def admin_client(client_id: str, secret: str, *, patience: float = READ_SECONDS) -> KeycloakAdmin:
    """The service account of `client_id`; logs in at its first call. `patience` is in seconds, for each answer."""
    # max_retries: the library's default repeats POST and PUT after a lost answer.
    admin = KeycloakAdmin(
        server_url=settings.KEYCLOAK_SERVER_URL + "/",
        realm_name=settings.KEYCLOAK_REALM,
        client_id=client_id,
        client_secret_key=secret,
        timeout=(min(CONNECT_SECONDS, patience), patience),  # type: ignore[arg-type]  # handed to requests as it is
        max_retries=0,
        pool_maxsize=10,
    )
    return _without_redirects(admin)


def administrator(username: str, password: str) -> KeycloakAdmin | None:
    """An administrator of the whole server, logged in, at its master realm; None when the password is not right.

    Raises the library's KeycloakError.
    """
    admin = KeycloakAdmin(
        server_url=settings.KEYCLOAK_SERVER_URL + "/", realm_name="master", user_realm_name="master", client_id="admin-cli",
        username=username, password=password, timeout=(CONNECT_SECONDS, 3 * READ_SECONDS), max_retries=0,  # type: ignore[arg-type]
    )  # fmt: skip
    _without_redirects(admin)
    try:
        admin.get_server_info()
    except KeycloakError as error:
        if error.response_code in LOGIN_REFUSED:
            return None
        raise
    return admin


def _without_redirects(admin: KeycloakAdmin) -> KeycloakAdmin:
    for manager in (admin.connection, admin.connection.keycloak_openid.connection):
        manager._s.max_redirects = 0  # the library has no option for it
    return admin
