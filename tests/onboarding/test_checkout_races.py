"""Faults F17 to F20 and F29: tabs that race for one payment, answers of Stripe's that are lost, and a name that is taken."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout
from apps.billing import customers as billing_customers
from apps.core import jobs
from apps.core.errors import BadInput, DependencyDown, RetryLater, WorkError
from apps.core.models import Job
from apps.onboarding import checkout_attempt, checkout_result, signup_checkout
from tests.instances import house
from tests.world import World

ROUNDS = 5
BASKETS = ({"personal": 1}, {"plus": 1}, {"personal": 1, "storage_100": 2}, {"plus": 1, "storage_100": 1})


@pytest.fixture
def tabs(transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with real transactions; each thread of the tests is a tab with a connection of its own."""
    monkeypatch.setattr(signup_checkout, "refuse_taken_in_keycloak", lambda _signup: None)  # not what is raced for
    world.only_room_for(200)
    return world


def tab(signup: Signup, basket: dict[str, int]) -> signup_checkout.OpenCheckout:
    """One tab in which this basket was chosen and the payment is begun."""
    mine = Signup.objects.get(pk=signup.pk)
    mine.basket = basket
    return signup_checkout.open_checkout(mine, ui="embedded")


def at_once(signup: Signup, baskets: list[dict[str, int]]) -> list[signup_checkout.OpenCheckout]:
    """What the tabs got; those that were sent to another tab got nothing."""
    answers = house.at_once([partial(tab, signup, basket) for basket in baskets], clients=len(baskets))
    odd = [one for one in answers if isinstance(one, Exception) and not isinstance(one, BadInput | WorkError)]
    assert odd == []
    return [one for one in answers if isinstance(one, signup_checkout.OpenCheckout)]


def customers(world: World, signup: Signup) -> list[str]:
    listed = world.shop.v1.customers.list({"limit": 100}).data
    return [one.id for one in listed if one.email == signup.email]


def sessions(world: World, customer: str, status: str = "open") -> list[str]:
    wish: Any = {"customer": customer, "status": status, "limit": 100}
    return [one.id for one in world.shop.v1.checkout.sessions.list(wish).data]


@pytest.mark.fault("F18")
@pytest.mark.times(20)
def test_f18_sixteen_who_begin_the_same_payment_at_once_get_one_customer_and_one_session(tabs: World) -> None:
    for number in range(ROUNDS):
        signup = tabs.signup(f"dana{number}")
        opened = at_once(signup, [BASKETS[0]] * 16)
        (customer,) = customers(tabs, signup)
        assert len(opened) == 16
        assert sessions(tabs, customer) == [opened[0].session_id]
        assert {one.session_id for one in opened} == {opened[0].session_id}


@pytest.mark.fault("F18")
@pytest.mark.times(20)
def test_f18_sixteen_who_begin_different_payments_at_once_leave_one_that_can_be_paid(tabs: World) -> None:
    for number in range(ROUNDS):
        signup = tabs.signup(f"dana{number}")
        opened = at_once(signup, [*BASKETS] * 4)
        (customer,) = customers(tabs, signup)
        signup.refresh_from_db()
        assert opened
        assert sessions(tabs, customer) in ([], [signup.checkout_session_id])
        again = tab(signup, BASKETS[number % 4])
        assert sessions(tabs, customer) == [again.session_id]


def paid_in_every_tab(world: World, opened: list[signup_checkout.OpenCheckout]) -> None:
    """Everybody fills in the form that is open."""
    for one in opened:
        world.shop.pay({"url": "", "client_secret": one.client_secret})


@pytest.mark.fault("F17")
@pytest.mark.times(10)
def test_f17_two_tabs_with_two_baskets_both_paid_make_one_subscription(tabs: World) -> None:
    order = random.Random(17)
    for number in range(ROUNDS):
        signup = tabs.signup(f"dana{number}")
        opened = at_once(signup, order.sample(BASKETS, 2))
        paid_in_every_tab(tabs, opened)
        (customer,) = customers(tabs, signup)
        assert len(tabs.shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data) == 1
    tabs.deliver()
    assert tabs.jobs() == []


@pytest.mark.mutant
@pytest.mark.fault("F17")
def test_mutant_without_the_second_check_both_tabs_can_pay(tabs: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(signup: Signup, session: checkout.CheckoutSession) -> bool:
        signup.checkout_session_id = session.id
        signup.save(update_fields=["checkout_session_id"])
        return True

    monkeypatch.setattr(checkout_attempt, "_store_session", keep)
    monkeypatch.setattr(signup_checkout, "_refuse_replaced", lambda _signup, _fresh: None)
    bought = 0
    for number in range(ROUNDS):
        signup = tabs.signup(f"dana{number}")
        paid_in_every_tab(tabs, at_once(signup, [*BASKETS]))
        (customer,) = customers(tabs, signup)
        bought = max(bought, len(tabs.shop.v1.subscriptions.list({"customer": customer}).data))
    assert bought > 1


# --- two browsers of one mailbox ---------------------------------------------------------------------------------------


def in_two_browsers(world: World, name: str) -> tuple[list[signup_checkout.OpenCheckout], Signup]:
    """The same mailbox proven in two browsers, which begin to pay at once; what they got, and the first one's sign-up."""
    signups = [world.signup(name) for _ in range(2)]
    answers = house.at_once([partial(tab, one, BASKETS[0]) for one in signups], clients=2)
    odd = [one for one in answers if isinstance(one, Exception) and not isinstance(one, BadInput | WorkError)]
    assert odd == []
    return [one for one in answers if isinstance(one, signup_checkout.OpenCheckout)], signups[0]


def test_two_browsers_that_begin_at_once_leave_one_that_can_be_paid(tabs: World) -> None:
    for number in range(ROUNDS):
        opened, signup = in_two_browsers(tabs, f"dana{number}")
        live = Signup.objects.filter(state="checkout", email=signup.email).values_list("checkout_session_id", flat=True)
        (customer,) = customers(tabs, signup)
        assert opened
        assert sessions(tabs, customer) == list(live)
        paid_in_every_tab(tabs, opened)
        assert len(tabs.shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data) == 1


def test_a_check_that_comes_late_gives_back_nothing_of_the_next_sign_up(world: World) -> None:
    """A job has read the first sign-up and asks Stripe, while another browser of the same mailbox takes over."""
    first, second = (world.signup("dana") for _ in range(2))
    tab(first, BASKETS[0])
    read_before = Signup.objects.select_related("profile__user").get(pk=first.pk)
    tab(second, BASKETS[0])
    checkout_result.expire_signup(read_before)
    assert list(Signup.objects.filter(pk__in=[first.pk, second.pk]).order_by("state").values_list("pk", "state")) == [
        (second.pk, "checkout"),
        (first.pk, "expired"),
    ]
    profile = UserProfile.objects.get()
    assert (profile.user.username, profile.seats.filter(state="reserved").count()) == ("dana", 1)


def test_nor_of_the_same_sign_up_with_another_session(world: World) -> None:
    signup = world.signup("dana")
    tab(signup, BASKETS[0])
    read_before = Signup.objects.select_related("profile__user").get(pk=signup.pk)
    tab(signup, BASKETS[2])
    checkout_result.expire_signup(read_before)
    signup.refresh_from_db()
    assert (signup.state, UserProfile.objects.get().user.username) == ("checkout", "dana")


@pytest.mark.mutant
def test_mutant_that_takes_over_without_closing_at_stripe_sells_twice(
    tabs: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(signup: Signup) -> bool:
        checkout_result.expire_signup(signup)
        return True

    monkeypatch.setattr(checkout_result, "end_unpaid_checkout", end)
    first, second = (tabs.signup("dana") for _ in range(2))
    paid_in_every_tab(tabs, [tab(first, BASKETS[0]), tab(second, BASKETS[0])])
    (customer,) = customers(tabs, first)
    assert len(tabs.shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data) == 2


# --- Stripe's answers ------------------------------------------------------------------------------------------------


def open_through_faults(
    world: World, signup: Signup, fault: Callable[[], None], *, tries: int = 6
) -> signup_checkout.OpenCheckout:
    """Begin until it works, `fault` before the first try; a reload reads the signup again."""
    fault()
    for _ in range(tries):
        try:
            return signup_checkout.open_checkout(Signup.objects.get(pk=signup.pk), ui="embedded")
        except (DependencyDown, RetryLater):
            world.fault("stripe", "ok")
    raise AssertionError("it never worked")


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/checkout/sessions"])
@pytest.mark.fault("F19")
@pytest.mark.times(20)
def test_f19_a_create_whose_answer_is_lost_makes_no_second_one(world: World, path: str) -> None:
    for number in range(ROUNDS):
        signup = world.signup(f"dana{number}")
        lose = partial(world.fault, "stripe", "lost_answer", path=path, method="POST")
        opened = open_through_faults(world, signup, lose)
        (customer,) = customers(world, signup)
        assert sessions(world, customer) == [opened.session_id]


@pytest.mark.fault("F19")
def test_f19_nor_when_the_name_was_corrected_meanwhile(world: World) -> None:
    """To Stripe the same key with another name is a mistake; the customer it has made is found."""
    signup = world.signup("dana")
    world.fault("stripe", "lost_answer", path="/v1/customers", method="POST")
    with pytest.raises(DependencyDown):
        signup_checkout.open_checkout(signup, ui="embedded")
    world.fault("stripe", "ok")
    Signup.objects.update(first_name="Diana")
    opened = signup_checkout.open_checkout(Signup.objects.get(), ui="embedded")
    (customer,) = customers(world, signup)
    assert sessions(world, customer) == [opened.session_id]


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/checkout/sessions"])
@pytest.mark.parametrize("mode", ["http_429", "http_500", "http_503", "500_after_commit", "stored_500", "down"])
@pytest.mark.fault("F20")
def test_f20_an_error_of_stripes_is_over_when_stripe_is_well(world: World, path: str, mode: str) -> None:
    signup = world.signup("dana")
    opened = open_through_faults(world, signup, partial(world.fault, "stripe", mode, path=path, method="POST"))
    (customer,) = customers(world, signup)
    assert opened.session_id in sessions(world, customer)
    assert world.shop.pay({"url": "", "client_secret": opened.client_secret}).headers["X-Sandbox-Outcome"] == "paid"
    world.deliver()
    signup.refresh_from_db()
    assert signup.profile is not None
    assert world.state(signup.profile).access == "active"
    assert world.jobs() == []


@pytest.mark.parametrize(("mode", "number"), [("http_429", 1), ("down", 1), ("stored_500", 2)])
@pytest.mark.fault("F20")
def test_f20_the_key_is_kept_unless_stripe_has_spent_it(world: World, mode: str, number: int) -> None:
    signup = world.signup("dana")
    open_through_faults(
        world, signup, partial(world.fault, "stripe", mode, path="/v1/checkout/sessions", method="POST")
    )
    signup.refresh_from_db()
    assert signup.checkout_number == number


@pytest.mark.mutant
@pytest.mark.parametrize("path", ["/v1/customers", "/v1/checkout/sessions"])
@pytest.mark.fault("F20")
def test_mutant_with_the_same_key_a_stored_error_stays(
    world: World, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Never(Exception):
        """Nothing is that."""

    monkeypatch.setattr(checkout_attempt, "SpentIdempotencyKey", Never)
    monkeypatch.setattr(billing_customers, "CUSTOMER_KEYS", 1)
    fault = partial(world.fault, "stripe", "stored_500", path=path, method="POST")
    with pytest.raises(AssertionError, match="it never worked"):
        open_through_faults(world, world.signup("dana"), fault)


# --- between the check and the payment -------------------------------------------------------------------------------


@pytest.mark.fault("F29")
@pytest.mark.times(100)
def test_f29_a_name_taken_in_keycloak_meanwhile_is_told_to_staff_and_nothing_paid_is_lost(world: World) -> None:
    signup = world.signup("dana")
    opened = signup_checkout.open_checkout(signup, ui="embedded")
    stranger = {"username": "dana", "email": "another.dana@example.com", "enabled": True}
    assert world.admin("POST", "/users", json=stranger).status_code == 201
    with pytest.raises(signup_checkout.NameTaken):
        signup_checkout.open_checkout(world.signup("dana", plus=1), ui="embedded")
    world.shop.pay({"url": "", "client_secret": opened.client_secret})
    world.deliver()
    signup.refresh_from_db()
    profile = signup.profile
    assert profile is not None
    state = world.state(profile)
    assert (state.access, state.subscription, state.account) == ("active", "active", None)
    (blocked,) = Job.objects.filter(state="blocked")
    assert "another account with the username" in blocked.last_error

    (found,) = world.users("another.dana@example.com")
    assert world.admin("DELETE", f"/users/{found['id']}").status_code == 204
    jobs.retry(blocked, actor="staff:ada")
    world.work()
    assert world.state(profile).account is True
    assert world.jobs() == []
