"""What the rows share: a browser at both sites, one event at a time, a subscription changed at Stripe."""

from typing import Any

from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core.models import Job
from tests.login.conftest import Person
from tests.sandbox.keycloak_fixture import Browser
from tests.storefront.visitor import ACCOUNT, SESSION, Visitor
from tests.world import World

CALLBACK = "http://localhost:8000/accounts/oidc/keycloak/login/callback/"


def customer(world: World, name: str = "dana") -> tuple[Visitor, UserProfile]:
    """Somebody who has gone through the wizard with a browser and paid; no event has been delivered."""
    visitor = Visitor().proven(f"{name}@example.com")
    opened = body(visitor.api(SESSION, **ACCOUNT | {"username": name}))
    world.shop.pay({"url": "", "client_secret": opened["client_secret"]})
    profile = visitor.signup.profile
    assert profile is not None
    return visitor, profile


def body(answer: HttpResponse, status: int = 200) -> dict[str, Any]:
    """The JSON of an answer with this status."""
    assert answer.status_code == status, answer.content[:500]
    found: dict[str, Any] = answer.json()  # type: ignore[attr-defined]
    return found


def ring_only(world: World, kind: str) -> None:
    """Deliver the newest event of one type, lose all others, and let the worker do what follows."""
    chosen = [event for event in world.skip() if event["type"] == kind][-1:]
    assert world.post_events(chosen) == [200], kind
    world.work()


def at_keycloak(world: World, settings: Any, profile: UserProfile) -> Person:
    """A browser of a subscriber whose password is known, before the login."""
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]
        | {
            "APPS": [
                settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
                | {"secret": settings.OIDC_RP_CLIENT_SECRET}
            ]
        }
    }
    world.standin.set_password(str(profile.keycloak_id))
    return Person(world.standin)


def session_at_keycloak(world: World, profile: UserProfile) -> None:
    """A login at Keycloak that is still going on."""
    world.standin.set_password(str(profile.keycloak_id))
    world.standin.log_in(Browser(), profile.user.username, redirect_uri=CALLBACK)
    assert sessions(world, profile) == 1


def sessions(world: World, profile: UserProfile) -> int:
    """How many logins of the person Keycloak knows."""
    return len(world.admin("GET", f"/users/{profile.keycloak_id}/sessions").json())


def logged_in(profile: UserProfile) -> Client:
    """A browser with a session of the person's."""
    client = Client()
    client.force_login(profile.user)
    return client


def change_plan(world: World, profile: UserProfile, slug: str, **more: Any) -> None:
    """Another plan on the first line of the subscription, as Stripe's portal changes it."""
    subscription = world.shop.v1.subscriptions.retrieve(profile.stripe_subscription_id or "")
    line = {"id": subscription["items"].data[0].id, "price": world.price(slug)}
    world.shop.v1.subscriptions.update(subscription.id, {"items": [line | more]})


def done(kind: str) -> int:
    """How many jobs of a kind have ended well."""
    return Job.objects.filter(kind=kind, state="done").count()
