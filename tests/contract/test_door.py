"""Who gets in at a hosted product is exactly who should: seen from the product's own door, which knows only Keycloak.

On a real Keycloak the rehearsal's clock moves Stripe and Frontdesk; Keycloak and the product stay in the present.
"""

import datetime as dt
from collections.abc import Iterator

import pytest

from apps.access import overrides
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.core import clock
from apps.onboarding import recovery
from tests.door import Door, door
from tests.sandbox.keycloak_fixture import Browser
from tests.world import World

BY = {"actor": "staff:sam", "reason": "abuse of the service"}


@pytest.fixture
def nextcloud(world: World) -> Iterator[Door]:
    with door(world.standin, "nextcloud") as one:
        yield one


@pytest.fixture
def vaultwarden(world: World) -> Iterator[Door]:
    with door(world.standin, "vaultwarden") as one:
        yield one


def subscriber(world: World, **basket: int) -> UserProfile:
    """Somebody who pays and has set a password."""
    profile = world.subscriber(world.standin.name(), **basket)
    world.standin.set_password(profile.keycloak_id or "")
    return profile


def enters(door: Door, profile: UserProfile) -> str | None:
    """The instance a fresh browser of that person gets to."""
    return door.enter(Browser(), profile.user.username)


def seat(profile: UserProfile, product: str) -> str:
    return str(profile.seats.get(product__slug=product).instance.slug)  # type: ignore[attr-defined]


def test_who_pays_gets_in_to_the_instance_of_the_seat(world: World, nextcloud: Door) -> None:
    dana, erik = subscriber(world), subscriber(world)
    assert enters(nextcloud, dana) == seat(dana, "nextcloud")
    assert enters(nextcloud, erik) == seat(erik, "nextcloud")
    assert seat(dana, "nextcloud") != seat(erik, "nextcloud")  # the emptier one is chosen
    assert nextcloud.enter(Browser(), dana.user.username, "a wrong password") is None
    assert nextcloud.enter(Browser(), "stranger.stan") is None  # known to Keycloak, nobody's customer
    assert nextcloud.enter(Browser(), "support.sam") is None  # staff are not customers


def test_who_has_not_paid_yet_is_unknown(world: World, nextcloud: Door) -> None:
    signup = world.signup(world.standin.name())
    assert nextcloud.enter(Browser(), signup.username) is None


def test_an_add_on_opens_its_door_until_it_is_dropped(world: World, nextcloud: Door, vaultwarden: Door) -> None:
    erik = subscriber(world)
    assert enters(vaultwarden, erik) is None
    dana = subscriber(world, personal=1, vaultwarden=1)
    browser = Browser()
    assert vaultwarden.enter(browser, dana.user.username) == "vaultwarden-1"
    assert nextcloud.enter(browser, dana.user.username) == seat(dana, "nextcloud")  # single sign-on: no second password
    addon = next(
        line for line in world.stripe_state(dana)["items"]["data"] if line["price"]["id"] == world.price("vaultwarden")
    )
    world.shop.v1.subscription_items.delete(addon["id"])
    world.deliver()
    assert enters(vaultwarden, dana) is None
    assert enters(nextcloud, dana) == seat(dana, "nextcloud")


def test_a_failed_payment_shuts_every_door_at_once_and_the_repair_opens_them(world: World, nextcloud: Door) -> None:
    world.shop.control("settings", end="past_due")
    dana = subscriber(world)
    browser, place = Browser(), seat(dana, "nextcloud")
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    assert nextcloud.enter(browser, dana.user.username) == place  # nothing of it has been heard yet
    world.deliver()
    assert world.state(dana).access == "suspended"
    assert nextcloud.thrown_out(browser)  # the session it had is over too
    assert enters(nextcloud, dana) is None

    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    invoice = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or "", "status": "open"}).data[0]
    world.shop.v1.invoices.pay(invoice.id or "")
    world.deliver()
    assert enters(nextcloud, dana) == place


def test_canceled_then_recovering_then_back(world: World, nextcloud: Door) -> None:
    dana = subscriber(world)
    place = seat(dana, "nextcloud")
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    assert enters(nextcloud, dana) is None
    dana.refresh_from_db()
    recovery.open_window(dana, actor="customer", reason="the mailbox was proven by a code")
    world.work()
    assert world.state(dana).account is True
    assert enters(nextcloud, dana) is None  # in to the dashboard to pay, and nowhere else
    dana.refresh_from_db()
    answer = world.shop.pay({"url": recovery.payment_url(dana), "client_secret": ""})
    assert answer.headers["X-Sandbox-Outcome"] == "paid"
    world.deliver()
    assert enters(nextcloud, dana) == place


def test_a_hold_shuts_the_door_on_who_pays_and_ends_what_is_open(world: World, nextcloud: Door) -> None:
    dana = subscriber(world)
    laptop, phone = Browser(), Browser()
    assert nextcloud.enter(laptop, dana.user.username)
    assert nextcloud.enter(phone, dana.user.username)
    hold = overrides.hold(profile=dana, **BY)
    world.work()
    assert nextcloud.thrown_out(laptop)
    assert nextcloud.thrown_out(phone)
    assert nextcloud.logouts == 2
    assert enters(nextcloud, dana) is None
    overrides.lift(override=hold, actor="staff:sam", reason="it was a mistake")
    world.work()
    assert enters(nextcloud, dana) == seat(dana, "nextcloud")


def test_a_grant_opens_it_without_payment_until_its_end(world: World, nextcloud: Door, vaultwarden: Door) -> None:
    dana = subscriber(world)
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    plus = Product.objects.get(slug="plus")
    overrides.grant(profile=dana, products=[plus], until=clock.now() + dt.timedelta(days=5), **BY)
    world.work()
    assert enters(vaultwarden, dana) == "vaultwarden-1"
    world.pass_time(days=6)
    world.work()
    assert enters(vaultwarden, dana) is None
    assert enters(nextcloud, dana) is None


def test_who_has_expired_stays_outside(world: World, nextcloud: Door) -> None:
    dana = subscriber(world)
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    world.pass_time(days=31)
    world.work()
    assert world.state(dana).access == "expired"
    assert enters(nextcloud, dana) is None
