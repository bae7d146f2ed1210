"""A first debit whose subscription is active before the money arrives, as Stripe does for some methods, such as SEPA debit."""

import pytest

from apps.accounts.models import Signup, UserProfile
from apps.onboarding import checkout_result
from tests.field.subscriptions import row
from tests.world import World

DEBIT = "000123456789"


def begin(world: World) -> UserProfile:
    world.shop.control("settings", debits_open=True)
    profile = world.pay(world.signup("dana"), card=DEBIT)
    world.deliver()
    assert world.stripe_state(profile)["status"] == "active"
    assert (world.state(profile).access, world.state(profile).account) == ("active", True)
    return profile


def answer(world: World, profile: UserProfile, *, paid: bool) -> None:
    world.shop.control("async", invoice=world.stripe_state(profile)["latest_invoice"], paid=paid)
    world.deliver()


def test_who_is_active_while_the_bank_thinks_stays_so_when_it_pays(world: World) -> None:
    dana = begin(world)
    answer(world, dana, paid=True)
    assert (world.state(dana).access, world.state(dana).subscription) == ("active", "active")


def test_the_money_is_fetched_when_the_check_finds_it_and_no_event_told(world: World) -> None:
    dana = begin(world)
    assert row(dana).paid_for_period == 0
    world.shop.control("async", invoice=world.stripe_state(dana)["latest_invoice"], paid=True)
    world.skip()
    checkout_result.check_checkout_later(Signup.objects.get(profile=dana))
    world.work()
    assert (Signup.objects.get(profile=dana).state, row(dana).paid_for_period) == ("paid", 500)


@pytest.mark.parametrize("grace", [0, 7])
def test_access_follows_the_policy_when_the_bank_refuses(world: World, settings: object, grace: int) -> None:
    settings.PAYMENT_GRACE_DAYS = grace  # type: ignore[attr-defined]
    dana, eve = begin(world), world.subscriber("eve")
    answer(world, dana, paid=False)
    state = world.state(dana)
    assert state.subscription == "past_due"
    assert (state.access, state.account) == (("grace", True) if grace else ("suspended", False))
    assert dana.user.username == "dana"
    assert world.state(eve).access == "active"
    world.shop.v1.invoices.pay(world.stripe_state(dana)["latest_invoice"], {"payment_method": "pm_card_visa"})
    world.deliver()
    assert (world.state(dana).access, world.state(dana).account) == ("active", True)
