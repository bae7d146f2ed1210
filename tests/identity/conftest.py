"""A sandbox of its own and the application's Keycloak client pointed at it."""

from collections.abc import Iterator

import pytest

from apps.identity import keycloak as module
from apps.identity.protocol import Identity, NewUser
from tests.sandbox.keycloak_fixture import Standin


@pytest.fixture
def keycloak(standin: Standin, settings: object) -> Iterator[Identity]:
    """The client, as created by the first caller of a new process."""
    settings.KEYCLOAK_SERVER_URL = standin.keycloak
    settings.KEYCLOAK_ADMIN_CLIENT_ID = "frontdesk-sync"
    settings.KEYCLOAK_ADMIN_CLIENT_SECRET = "dev-only-sync-secret"
    module._client.cache_clear()
    yield module.client()
    module._client.cache_clear()


@pytest.fixture
def nora() -> NewUser:
    return newcomer("nora")


def newcomer(name: str, onboarding_id: str = "") -> NewUser:
    return NewUser(
        username=name,
        email=f"{name}@example.com",
        first_name="Nora",
        last_name="New",
        onboarding_id=onboarding_id or f"signup-of-{name}",
        attributes={"has_nextcloud": "true"},
    )
