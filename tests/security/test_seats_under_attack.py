"""Unpaid payments held all seats (H4): now they hold a share, end when others need the seat, and are bounded by who opens them."""

import itertools
from functools import partial

import pytest
from django.contrib.auth.models import User

from apps.accounts.models import Signup, UserProfile
from apps.billing import checkout
from apps.catalog.models import Product
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.metrics import read_rows
from apps.core.models import AttentionItem
from apps.instances import capacity
from apps.instances.models import Instance, Seat
from apps.onboarding import checkout_result, signup_checkout, unpaid_seats
from apps.operations import gauges
from tests.instances import house
from tests.world import World

numbers = itertools.count(1)


def stranger(world: World, *, network: str = "", domain: str = "") -> Signup:
    """Somebody with a network and a mail domain of their own, unless told otherwise."""
    number = next(numbers)
    signup = world.signup(f"stranger{number}")
    signup.network, signup.email = network or f"network {number}", f"x{number}@{domain or f'domain{number}.example'}"
    signup.save()
    return signup


def open_one(signup: Signup) -> signup_checkout.OpenCheckout:
    return signup_checkout.open_checkout(signup, ui="embedded")


def held() -> int:
    return Seat.objects.filter(state="reserved", product__slug="nextcloud").count()


def thousand_held(product: Product) -> None:
    """A thousand unpaid payments, begun just now, by 500 networks; no Checkout can be found at Stripe."""
    now, instance = clock.now(), Instance.objects.filter(product=product).first()
    users = User.objects.bulk_create(User(username=f"u{number}") for number in range(1000))
    profiles = UserProfile.objects.bulk_create(
        UserProfile(user=user, email=f"{user.username}@d{user.username}.example", created_at=now) for user in users
    )
    ends = checkout.session_expiry()
    Signup.objects.bulk_create(
        Signup(
            state="checkout", profile=one, username=one.user.username, email=one.email, email_proven_at=now, created_at=now,
            network=f"network {number % 500}", checkout_expires_at=ends, checkout_session_id=f"cs_{number}" if number % 2 else None,
        )
        for number, one in enumerate(profiles)
    )  # fmt: skip
    until = ends + checkout_result.RESERVATION_MARGIN
    Seat.objects.bulk_create(
        Seat(
            profile=one, product=product, instance=instance, state="reserved", reserved_until=until, created_at=now,
            changed_at=now,
        )
        for one in profiles
    )  # fmt: skip
    Instance.objects.filter(pk=instance.pk).update(allocated_seats=1000, reserved=1000)  # type: ignore[union-attr]


@pytest.mark.fault("F26")
def test_with_a_thousand_hostile_payments_open_an_honest_visitor_gets_a_seat(world: World) -> None:
    cloud = world.only_room_for(1000).product
    thousand_held(cloud)
    assert capacity.has_room(cloud)  # the plan is offered
    dana = world.subscriber("dana")
    assert world.state(dana).access == "active"
    assert world.state(dana).seats[0] == ("nextcloud", "assigned")
    assert capacity.find_miscounted() == []
    assert AttentionItem.objects.filter(cause="limit_reached", key="seats:nextcloud").exists()


def test_a_rush_holds_half_and_spares_who_came_before_and_who_has_paid(world: World) -> None:
    world.only_room_for(11)
    paid = world.subscriber("paula")
    early = world.signup("emil")
    first = open_one(early)
    for _ in range(25):
        open_one(stranger(world))
        assert held() <= 9
    assert held() <= 5
    late = world.signup("lena")
    open_one(late)
    assert Seat.objects.get(profile=late.profile, product__slug="nextcloud").state == "reserved"
    assert checkout.fetch_session(first.session_id).status == "open"
    world.shop.pay({"url": "", "client_secret": first.client_secret})
    world.deliver()
    early.refresh_from_db()
    assert early.profile
    assert world.state(early.profile).access == world.state(paid).access == "active"
    assert capacity.find_miscounted() == []
    (statement,) = (source for name, _, _, source in gauges.GAUGES if name == "frontdesk_seats_by_state")
    told = {(slug, state): count for slug, state, count in read_rows(str(statement))}
    assert told["nextcloud-1", "reserved"] == held() > 0


def test_a_few_at_once_lose_nothing_until_a_payment_is_abandoned(world: World) -> None:
    world.only_room_for(1)
    first = world.signup("anna")
    opened = open_one(first)
    second = world.signup("bert")
    with pytest.raises(signup_checkout.ProductFull):
        open_one(second)
    assert checkout.fetch_session(opened.session_id).status == "open"
    world.pass_time(seconds=11 * 60)
    assert capacity.has_room(Product.objects.get(slug="nextcloud"))
    open_one(second)
    assert checkout.fetch_session(opened.session_id).status == "expired"
    first.refresh_from_db()
    assert (first.state, held()) == ("expired", 1)


def test_what_stripe_took_money_for_keeps_its_seat(world: World) -> None:
    """Paid, and no event has come: the last seat is not taken, however late it is."""
    world.only_room_for(1)
    anna = world.signup("anna")
    profile = world.pay(anna)
    world.pass_time(seconds=20 * 60)
    for _ in range(6):
        with pytest.raises(signup_checkout.ProductFull):
            open_one(stranger(world))
    world.deliver()
    assert world.state(profile).seats[0] == ("nextcloud", "assigned")


@pytest.mark.fault("F26")
def test_one_network_and_one_domain_hold_few_seats_and_their_neighbours_any(world: World) -> None:
    for wish, most in (({"network": "one"}, 5), ({"domain": "catchall.example"}, 10)):
        for _ in range(most):
            open_one(stranger(world, **wish))
        with pytest.raises(BadInput, match="Many payments are open from"):
            open_one(stranger(world, **wish))
    with pytest.raises(BadInput, match="catchall"):
        open_one(stranger(world, domain="a.b.catchall.example"))
    for _ in range(12):
        open_one(stranger(world, domain="gmail.com"))
    open_one(stranger(world, domain="neighbour.example"))


def pay_by_invented_debit(world: World, refusals: list[str]) -> None:
    """One more of the same network."""
    try:
        world.pay(stranger(world, network="one"), card="000123456789")
    except BadInput as refused:
        refusals.append(refused.message)


@pytest.mark.parametrize("opens_at_once", [False, True], ids=["reserved", "active at once"])
def test_invented_bank_accounts_of_one_network_hold_a_share_while_room_is_short(
    world: World, opens_at_once: bool
) -> None:
    """An invented IBAN held a seat for days, and each freed the way for the next five."""
    world.shop.control("settings", debits_open=opens_at_once)
    world.only_room_for(12)
    refusals: list[str] = []
    for _ in range(6):
        for _ in range(3):
            pay_by_invented_debit(world, refusals)
        world.deliver()
        world.pass_time(seconds=35 * 60)
        world.deliver()
    assert all("still wait for the bank" in one for one in refusals)
    assert Seat.objects.filter(product__slug="nextcloud").exclude(state="released").count() == 6, "half of the seats"
    other = stranger(world, network="two")
    assert world.pay(other).pk, "a neighbour still pays"


def test_where_there_is_room_a_network_of_many_people_pays_by_debit(world: World) -> None:
    for _ in range(8):
        assert world.pay(stranger(world, network="one"), card="000123456789")
        world.deliver()
        world.pass_time(seconds=35 * 60)
        world.deliver()


def many_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Twelve payments from one network begun in the same moment."""
    monkeypatch.setattr(signup_checkout, "refuse_taken_in_keycloak", lambda _signup: None)  # not what is raced for
    world.only_room_for(90)
    signups = [stranger(world, network="one") for _ in range(12)]
    return list(house.at_once([partial(open_one, one) for one in signups], clients=12))


def test_twelve_at_once_from_one_network_hold_five_seats(
    transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = many_at_once(world, monkeypatch)
    assert sum(isinstance(one, BadInput) for one in answers) == 7, answers
    assert held() == 5


@pytest.mark.mutant
def test_mutant_without_the_lock_they_hold_more(
    transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signup_checkout, "lock_until_commit", lambda *_key: None)
    many_at_once(world, monkeypatch)
    assert held() > 5


def test_a_mail_domain_is_what_somebody_bought() -> None:
    domains = {
        "a@example.com": "example.com",
        "a@b.c.example.com": "example.com",
        "a@x.example.co.uk": "example.co.uk",
        "a@EXAMPLE.de.": "example.de",
    }
    assert {address: unpaid_seats.mail_domain(address) for address in domains} == domains
