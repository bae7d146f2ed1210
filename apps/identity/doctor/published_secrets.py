"""Whether the realm accepts a client secret that everybody can read in our repository: found by trying each.

A wrong secret costs nothing: Keycloak counts failed logins of people, not of clients.
"""

from collections.abc import Iterator

import requests

from apps.core.findings import Finding, Severity, judge
from apps.identity.doctor.expected import Expected

TIMEOUT_SECONDS = 5
PUBLISHED = ("web", "sync", "doctor")  # our clients: frontdesk-web has dev-only-web-secret
APPS = ("nextcloud", "vaultwarden")
KEY = "realm.published_secrets"


def check_published_secrets(expected: Expected, *, warn: bool) -> Iterator[Finding]:
    """One finding about all of them; skipped when Keycloak does not answer."""
    token_url = f"{expected.issuer}/protocol/openid-connect/token"
    tried = {f"frontdesk-{name}": f"dev-only-{name}-secret" for name in PUBLISHED}
    tried |= {name: f"dev-only-{name}-secret" for name in APPS}
    try:
        accepted = [client for client, secret in tried.items() if _is_accepted(token_url, client, secret)]
    except (requests.RequestException, ValueError):
        message, fix = "Keycloak could not be asked about published secrets.", "Try again in a moment."
        yield Finding(id=KEY, severity=Severity.SKIPPED, message=message, fix=fix)
        return
    yield judge(
        not accepted, KEY, "Keycloak accepts no secret that is published.",
        f"Keycloak accepts secrets that are published in our repository: {', '.join(accepted)}.", warn=warn,
        why="Anyone can act as these clients.", fix="In Keycloak regenerate their secrets, and set the new ones where they are used.",
    )  # fmt: skip


def _is_accepted(token_url: str, client: str, secret: str) -> bool:
    """Keycloak checks the client before the grant: with the right secret it refuses the code, or gives a token."""
    for grant in ({"grant_type": "client_credentials"}, {"grant_type": "authorization_code", "code": "none"}):
        data = grant | {"client_id": client, "client_secret": secret, "redirect_uri": "https://nowhere.invalid/"}
        answer = requests.post(token_url, data=data, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        if answer.status_code == 200 or answer.json().get("error") == "invalid_grant":
            return True
    return False
