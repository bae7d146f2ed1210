"""One of our accounts at Keycloak's Admin API, on python-keycloak: every call ends in time, none is repeated automatically.

None follows a redirect either: the token would go along.
"""

from django.conf import settings
from keycloak import KeycloakAdmin

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0


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
    for manager in (admin.connection, admin.connection.keycloak_openid.connection):
        manager._s.max_redirects = 0  # the library has no option for it
    return admin
