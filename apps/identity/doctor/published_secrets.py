"""Whether the realm accepts what everybody can read in our repository: client secrets, and the people of the rehearsals.

A secret is found by trying it, which costs nothing: Keycloak counts failed logins of people, not of clients. The people are
searched for, since their password may only be typed into a page.
"""

from collections.abc import Iterator

import requests
from django.conf import settings

from apps.core.errors import WorkError
from apps.core.findings import Finding, Severity, judge
from apps.identity import api_errors
from apps.identity.admin_client import admin_client
from apps.identity.doctor.expected import Expected

TIMEOUT_SECONDS = 5
APPS = ("nextcloud", "vaultwarden")
PEOPLE = ("admin.ada", "support.sam", "stranger.stan")  # all with one published password
KEY, PEOPLE_KEY = "realm.published_secrets", "realm.published_people"


def check_published_secrets(expected: Expected, *, warn: bool) -> Iterator[Finding]:
    """One finding about secrets, one about people; skipped when Keycloak does not answer."""
    token_url = f"{expected.issuer}/protocol/openid-connect/token"
    # Keycloak's import keeps a variable that nobody has set as it is written in config/keycloak/realm.json.
    ours = {
        (id_, name)
        for name in ("web", "sync", "doctor")
        for id_ in (getattr(expected, name), f"frontdesk-{name}")
        if id_
    }
    tried = [(id_, f"${{FRONTDESK_{name.upper()}_SECRET}}") for id_, name in sorted(ours)]
    tried += [(id_, f"dev-only-{name}-secret") for id_, name in (*sorted(ours), *((app, app) for app in APPS))]
    try:
        accepted = [client for client, secret in tried if _is_accepted(token_url, client, secret)]
    except (requests.RequestException, ValueError):
        message, fix = "Keycloak could not be asked about published secrets.", "Try again in a moment."
        yield Finding(id=KEY, severity=Severity.SKIPPED, message=message, fix=fix)
        return
    yield judge(
        not accepted, KEY, "Keycloak accepts no secret that is published.",
        f"Keycloak accepts secrets that are published in our repository: {', '.join(accepted)}.", warn=warn,
        why="Anyone can act as these clients.", fix="In Keycloak regenerate their secrets, and set the new ones where they are used.",
    )  # fmt: skip
    yield _check_people(warn=warn)


def _check_people(*, warn: bool) -> Finding:
    try:
        found = [name for name in PEOPLE if _is_there(name)]
    except (WorkError, api_errors.Refusal):
        message, fix = (
            "The rehearsal accounts could not be searched for.",
            "Check KEYCLOAK_ADMIN_CLIENT_SECRET, then try again.",
        )
        return Finding(id=PEOPLE_KEY, severity=Severity.SKIPPED, message=message, fix=fix)
    return judge(
        not found, PEOPLE_KEY, "No rehearsal account is in the realm.",
        f"The realm has accounts whose password is published in our repository: {', '.join(found)}.", warn=warn,
        why="Anyone can log in with them, even as an administrator.", fix="Delete them in Keycloak.",
    )  # fmt: skip


def _is_there(name: str) -> bool:
    """Whether this person is there as in the file: another one of that name has another address."""
    admin = admin_client(
        settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET, patience=TIMEOUT_SECONDS
    )
    query = {"username": name, "exact": True, "max": 1}
    rows = api_errors.read("search the rehearsals' people", lambda: admin.get_users(query), expect=(401, 403))
    return any(row.get("email") == f"{name}@example.com" for row in rows)


def _is_accepted(token_url: str, client: str, secret: str) -> bool:
    """Keycloak checks the client before the grant: with the right secret it refuses the code, or gives a token."""
    for grant in ({"grant_type": "client_credentials"}, {"grant_type": "authorization_code", "code": "none"}):
        data = grant | {"client_id": client, "client_secret": secret, "redirect_uri": "https://nowhere.invalid/"}
        answer = requests.post(token_url, data=data, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        if answer.status_code == 200 or answer.json().get("error") == "invalid_grant":
            return True
    return False
