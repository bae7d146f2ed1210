"""Who is logged in at Keycloak: everybody, by its lists of the sessions of each client, which only the read-only account may see."""

from collections.abc import Iterator
from functools import partial
from itertools import count

from django.conf import settings
from keycloak import KeycloakAdmin

from apps.identity import api_errors
from apps.identity.admin_client import admin_client

PAGE = 500
REFUSED = (400, 401, 403)


def list_logged_in() -> frozenset[str] | None:
    """The ids of all accounts with a session; None where no read-only account is set up, or it may not see them.

    One call, one for each client that has sessions, and one for each further 500 of them. Raises DependencyDown and RetryLater.
    """
    name = settings.KEYCLOAK_DOCTOR_CLIENT_ID
    if not name:
        return None
    admin = admin_client(name, settings.KEYCLOAK_DOCTOR_CLIENT_SECRET)
    try:
        counted = api_errors.read("count the sessions of each client", admin.get_client_sessions_stats, expect=REFUSED)
        return frozenset(user for row in counted for user in _list_users(admin, str(row["id"])))
    except api_errors.Refusal:
        return None


def _list_users(admin: KeycloakAdmin, client_id: str) -> Iterator[str]:
    for first in count(0, PAGE):
        call = partial(admin.get_client_all_sessions, client_id, {"first": first, "max": PAGE})
        rows = api_errors.read(f"list the sessions of client {client_id}", call, expect=REFUSED)
        yield from (str(row["userId"]) for row in rows)
        if len(rows) < PAGE:
            return
