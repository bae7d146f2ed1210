"""Logins against the Keycloak stand-in: a person's browser, here and there."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core import clock
from apps.identity import keycloak as identity
from apps.login import oidc
from tests.sandbox.keycloak_fixture import PASSWORD, Browser, Standin

LOGIN = "/accounts/oidc/keycloak/login/"


def local(url: str) -> str:
    """The path and query of an address of ours."""
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}" == "http://localhost:8000", url
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


class Person:
    """One browser: its cookies at Frontdesk (a Django test client) and at Keycloak."""

    def __init__(self, keycloak: Standin) -> None:
        self.standin = keycloak
        self.here = Client()
        self.there = Browser()

    def to_keycloak(self, target: str = LOGIN) -> str:
        """Start to log in; the address of Keycloak we are sent to."""
        answer = self.here.get(target)
        assert answer.status_code == 302, answer.content
        return str(answer["Location"])

    def at_keycloak(self, address: str, name: str, password: str = PASSWORD) -> str:
        """Fill in Keycloak's form, unless it knows us already; the address we are sent back to."""
        answer = self.there("GET", address)
        if answer.status_code == 200:
            answer = self.standin.fill_in(self.there, answer, name, password)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["Location"])

    def log_in(self, name: str, target: str = LOGIN) -> HttpResponse:
        """The whole way; Frontdesk's answer to the return."""
        back = self.at_keycloak(self.to_keycloak(target), name)
        answer: HttpResponse = self.here.get(local(back))
        return answer

    @property
    def user_id(self) -> str | None:
        """The Django user this browser is logged in as."""
        found = self.here.session.get("_auth_user_id")
        return None if found is None else str(found)


@pytest.fixture(autouse=True)
def fresh_keys() -> Iterator[None]:
    """Each test is a new process as far as keys go."""
    oidc.KEYS.forget()
    yield
    oidc.KEYS.forget()


@pytest.fixture
def keycloak(standin: Standin, settings: Any, db: None) -> Standin:
    """The stand-in, with Frontdesk pointed at it."""
    settings.KEYCLOAK_SERVER_URL = standin.keycloak
    log_in_at(standin, settings)
    return standin


def log_in_at(server: Standin, settings: Any) -> None:
    """Have Frontdesk send people to this Keycloak."""
    settings.KEYCLOAK_ISSUER = server.issuer
    settings.OIDC_RP_CLIENT_SECRET = "dev-only-web-secret"
    settings.KEYCLOAK_ADMIN_CLIENT_ID, settings.KEYCLOAK_ADMIN_CLIENT_SECRET = "frontdesk-sync", "dev-only-sync-secret"
    identity._client.cache_clear()
    providers = settings.SOCIALACCOUNT_PROVIDERS
    app = providers["openid_connect"]["APPS"][0] | {"secret": "dev-only-web-secret"}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": providers["openid_connect"] | {"APPS": [app]}}


@pytest.fixture
def person(keycloak: Standin) -> Person:
    return Person(keycloak)


def subscriber(keycloak_id: str, name: str = "nora", *, state: str = "active", **more: Any) -> UserProfile:
    """A subscriber as onboarding leaves one: user, profile, and the link to the Keycloak account."""
    user = User(username=name)
    user.set_unusable_password()
    user.save()
    SocialAccount.objects.create(user=user, provider="keycloak", uid=keycloak_id)
    return UserProfile.objects.create(
        user=user,
        email=f"{name}@example.com",
        keycloak_id=keycloak_id,
        access_state=state,
        created_at=clock.now(),
        **more,
    )


@pytest.fixture
def nora(keycloak: Standin) -> UserProfile:
    """A subscriber with an account at Keycloak, who can log in as `nora`."""
    keycloak_id = keycloak.new_user("nora", firstName="Nora", lastName="Nyberg")
    keycloak.set_password(keycloak_id)
    return subscriber(keycloak_id)
