"""The verbs of the identity Protocol that tell what is free and what is up, by our own client, on both servers."""

import secrets
from typing import Any

import pytest

from apps.core.errors import DependencyDown, RetryLater
from apps.identity import keycloak as module
from apps.identity.protocol import Identity
from tests.contract.servers import Server


class TestTaken:
    """username_taken, email_taken, and the canary behind them."""

    def test_names_and_addresses_in_any_case_and_nothing_like_them(
        self, identity: Identity, server: Server, settings: Any
    ) -> None:
        settings.KEYCLOAK_CANARY_USERNAME = "stranger.stan"
        _, name = server.make()
        assert identity.username_taken(name.upper()) is True
        assert identity.email_taken(f"{name.upper()}@example.com") is True
        assert identity.username_taken(name[:-1]) is False
        assert identity.email_taken(f"{name[:-1]}@example.com") is False

    def test_without_the_canary_nobody_is_believed_to_be_free(
        self, identity: Identity, server: Server, settings: Any
    ) -> None:
        settings.KEYCLOAK_CANARY_USERNAME = f"canary-{secrets.token_hex(4)}"
        assert identity.username_taken(server.name()) is None
        assert identity.email_taken(f"{server.name()}@example.com") is None


class TestPing:
    """ping."""

    def test_it_returns(self, identity: Identity) -> None:
        identity.ping()

    def test_a_wrong_secret(self, identity: Identity, settings: Any) -> None:
        settings.KEYCLOAK_ADMIN_CLIENT_SECRET = "wrong"
        module._client.cache_clear()
        with pytest.raises((DependencyDown, RetryLater)):
            module.client().ping()

    def test_a_server_that_is_away(self, identity: Identity, settings: Any) -> None:
        settings.KEYCLOAK_SERVER_URL = "http://127.0.0.1:9"
        module._client.cache_clear()
        with pytest.raises(DependencyDown):
            module.client().ping()
