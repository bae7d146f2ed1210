"""A seat that somebody may come back to is kept, whatever else gives access in the meantime."""

import datetime as dt
from typing import Any

import pytest

from apps.access import overrides
from apps.access.upcoming import Change, read_all
from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.console.columns import seat_until, timed
from apps.core import clock
from apps.dashboard import overview
from apps.instances.models import Seat
from apps.operations import safeguard
from tests.access.people import late, sync_now
from tests.field.test_second_subscription import subscribe_again
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)
DAY = dt.timedelta(days=1)
WAITS = ("nextcloud", "retained")
IN_USE = ("nextcloud", "assigned")


def grant(world: World, profile: UserProfile, *, slug: str = "vaultwarden", days: int = 2) -> None:
    """Free access to something that the plan does not have."""
    products = [Product.objects.get(slug=slug)]
    overrides.grant(
        profile=profile, products=products, until=clock.now() + days * DAY, actor="staff:ada", reason="a favor"
    )
    world.work()


def cancel(world: World, profile: UserProfile) -> None:
    world.shop.v1.subscriptions.cancel(profile.stripe_subscription_id or "")
    world.deliver()


def seat_of(profile: UserProfile) -> Any:
    """The seat on Nextcloud, as row and instance."""
    found = Seat.objects.exclude(state="released").get(profile=profile, product__slug="nextcloud")
    return found.pk, found.instance_id


def test_a_grant_to_a_suspended_subscriber_keeps_the_seat_of_the_plan(world: World) -> None:
    dana = late(world)
    assert world.state(dana).seats == (WAITS,)
    had = seat_of(dana)
    grant(world, dana)
    state = world.state(dana)
    assert (state.access, state.seats) == ("active", (WAITS, ("vaultwarden", "assigned")))
    assert (state.groups, state.attributes) == (
        ("/frontdesk/vaultwarden-1",),
        {"has_vaultwarden": "true", "vaultwarden_instance": "vaultwarden-1"},
    )
    shown = {app.name: app.status for app in overview.of(dana).apps}
    assert shown == {"Nextcloud": "paused", "Vaultwarden": "open"}
    assert safeguard.find_losing([dana.pk]) == [], "a seat that waits is not in use, so nothing is taken"
    world.assert_laws_hold()

    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    invoice = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or "", "status": "open"}).data[0]
    world.shop.v1.invoices.pay(invoice.id)
    world.deliver()
    assert IN_USE in world.state(dana).seats
    assert seat_of(dana) == had


def test_the_seat_of_an_ended_subscription_is_kept_until_its_final_expiry_beside_a_grant(world: World) -> None:
    dana = world.subscriber("dana")
    cancel(world, dana)
    grant(world, dana, days=60)
    assert world.state(dana).seats == (WAITS, ("vaultwarden", "assigned"))
    ends = [one for one in read_all(dana.forecast) if one.change == Change.KEPT_SEAT_ENDS]
    assert [one.at.date() for one in ends] == [(clock.now() + 30 * DAY).date()]
    seat = Seat.objects.select_related("profile").get(profile=dana, state="retained")
    assert seat_until(seat) == timed(ends[0].at, is_end=True), "staff read it at the seat"
    world.pass_time(days=31)
    world.sweep()
    assert world.state(dana).seats == (("vaultwarden", "assigned"),)
    world.assert_laws_hold()


def test_an_app_that_the_second_subscription_lacks_waits_while_the_first_is_not_paid(world: World) -> None:
    dana = late(world)
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    subscribe_again(world, dana, "vaultwarden")
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.seats) == ("active", (WAITS, ("vaultwarden", "assigned")))


def test_a_reserved_seat_that_is_paid_is_kept_through_a_hold(world: World) -> None:
    profile = world.pay(world.signup("dana"))
    had = seat_of(profile)
    overrides.hold(profile=profile, actor="staff:ada", reason="a name on the list", until=clock.now() + 3 * DAY)
    world.deliver()
    assert (world.state(profile).access, world.state(profile).seats) == ("on_hold", (WAITS,))
    world.pass_time(days=2)
    world.sweep()
    assert seat_of(profile) == had, "the reservation is over, the seat is not"
    world.pass_time(days=1, seconds=5)
    world.work()
    assert (world.state(profile).access, world.state(profile).seats) == ("active", (IN_USE,))
    assert seat_of(profile) == had


def test_a_hold_does_not_keep_what_nobody_has_paid(world: World) -> None:
    signup = world.signup("dana")
    with pytest.raises(AssertionError):  # the card is declined
        world.pay(signup, card="4000000000000002")
    signup.refresh_from_db()
    assert signup.profile is not None
    overrides.hold(profile=signup.profile, actor="staff:ada", reason="odd name")
    world.work()
    sync_now(world, signup.profile)
    assert world.state(signup.profile).seats == (("nextcloud", "reserved"),)
