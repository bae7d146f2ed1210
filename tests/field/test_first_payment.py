"""How a signup ends when its first payment does not arrive: refused days later, given up, or never answered."""

import datetime as dt
import uuid
from typing import Any

import pytest

from apps.accounts.models import Signup, UserProfile
from apps.core import clock
from apps.core.models import AuditEntry, Job
from apps.instances.models import Seat
from apps.notifications.models import Notification
from apps.onboarding import checkout_result, signup_checkout
from tests.storefront.test_recovery import PAY, canceled, error, prove
from tests.storefront.test_recovery import SEND as RECOVERY_SEND
from tests.storefront.visitor import ACCOUNT, PAGES, SEND, SESSION, Visitor
from tests.world import World

DEBIT = "000123456789"
TEMPLATE = "signup_payment_failed"


@pytest.fixture
def visitor() -> Visitor:
    return Visitor()


def debit(world: World, name: str = "dana") -> Signup:
    """Somebody who has paid by a bank debit that the bank has not answered."""
    signup = world.signup(name)
    world.pay(signup, card=DEBIT)
    world.deliver()
    signup.refresh_from_db()
    assert signup.state == "checkout"
    assert held(signup)
    return signup


def refuse(world: World, signup: Signup) -> None:
    """The bank says no."""
    world.shop.control("async", session=signup.checkout_session_id, paid=False)


def held(signup: Signup) -> list[str]:
    live = Seat.objects.filter(profile=signup.profile).exclude(state="released")
    return list(live.values_list("product__slug", flat=True))


def asked(world: World, signup: Signup) -> int:
    path = f"/v1/checkout/sessions/{signup.checkout_session_id}"
    return sum(found == path for _, found, _ in world.requests)


def given_back(world: World, signup: Signup) -> None:
    """The signup has ended: no seat, no name, nothing left to do, and one mail."""
    signup.refresh_from_db()
    assert signup.state == "failed"
    assert held(signup) == []
    assert signup.profile is not None
    signup.profile.user.refresh_from_db()
    assert signup.profile.user.username.startswith("unclaimed-")
    assert world.notifications(signup.profile) == [TEMPLATE]
    assert world.jobs() == []
    assert world.users(signup.username) == []
    assert not Job.objects.filter(kind=checkout_result.CHECK_CHECKOUT, state="queued").exists()


def try_again(world: World, signup: Signup) -> None:
    """The same person signs up again, with a card."""
    visitor = Visitor().proven(signup.email)  # a code is sent: it is nobody's account
    answer = visitor.api(SESSION, **ACCOUNT | {"username": signup.username})
    assert answer.status_code == 200, answer.content
    paid = world.shop.pay({"url": "", "client_secret": answer.json()["client_secret"]})
    assert paid.headers["X-Sandbox-Outcome"] == "paid"
    world.deliver()
    profile = UserProfile.objects.get(email=signup.email)
    assert world.state(profile).access == "active"
    assert profile.user.username == signup.username
    assert world.jobs() == []


@pytest.mark.fault("F21")
def test_a_debit_refused_days_later_gives_everything_back(world: World) -> None:
    """UoaWDCC/uasc-web#293, gameserverapp/Platform#1216, woocommerce/woocommerce-gateway-stripe#1943."""
    signup = debit(world)
    world.pass_time(days=3)
    refuse(world, signup)
    world.deliver()
    given_back(world, signup)
    assert AuditEntry.objects.filter(action="signup_failed").count() == 1
    mail = world.standin.inbox(signup.email)[0]
    assert "try again" in mail["text"].lower()
    assert "/onboarding/" in mail["text"]
    try_again(world, signup)


def test_a_refusal_nobody_told_us_of_is_found(world: World) -> None:
    signup = debit(world)
    world.pass_time(days=3)
    refuse(world, signup)
    world.skip()
    world.pass_time(days=1)
    sweep(world)
    given_back(world, signup)


def test_the_mail_is_sent_once_however_often_the_event_comes(world: World) -> None:
    signup = debit(world)
    refuse(world, signup)
    events = world.new_events()
    for _ in range(3):
        world.post_events(event | {"id": f"{event['id']}_{clock.now().timestamp()}"} for event in events)
        world.work()
    world.deliver()
    given_back(world, signup)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("subscription", {"status": "incomplete_expired"}),
        ("subscription", {"status": "canceled", "ended_at": 1_800_000_000}),
        ("invoice", {"status": "void"}),
        ("invoice", {"status": "uncollectible"}),
    ],
    ids=["expired", "canceled", "void", "uncollectible"],
)
def test_whatever_ends_the_first_payment_ends_the_signup(world: World, kind: str, fields: dict[str, Any]) -> None:
    signup = debit(world)
    session = world.shop.v1.checkout.sessions.retrieve(signup.checkout_session_id or "")
    world.shop.control("edit", kind=kind, id=session[kind], fields=fields)
    world.pass_time(days=1)
    sweep(world)
    given_back(world, signup)
    try_again(world, signup)


def test_staff_who_cancel_an_unpaid_first_subscription_end_the_signup(world: World) -> None:
    signup = debit(world)
    assert signup.profile is not None
    world.shop.v1.subscriptions.cancel(signup.profile.stripe_subscription_id or "")
    world.deliver()
    world.pass_time(days=1)
    sweep(world)
    given_back(world, signup)


def test_an_invoice_paid_another_way_is_paid(world: World) -> None:
    """Stripe's session says "unpaid" for ever."""
    signup = debit(world)
    session = world.shop.v1.checkout.sessions.retrieve(signup.checkout_session_id or "")
    world.shop.v1.invoices.pay(str(session.invoice), {"paid_out_of_band": True})
    world.deliver()
    world.pass_time(days=1)
    sweep(world)
    signup.refresh_from_db()
    assert signup.state == "paid"
    assert signup.profile is not None
    assert world.state(signup.profile).access == "active"


@pytest.mark.fault("F21")
def test_a_debit_that_is_paid_days_later_opens_the_apps(world: World) -> None:
    signup = debit(world)
    world.pass_time(days=3)
    world.shop.control("async", session=signup.checkout_session_id, paid=True)
    world.deliver()
    signup.refresh_from_db()
    assert signup.state == "paid"
    assert signup.profile is not None
    assert world.state(signup.profile).access == "active"
    assert TEMPLATE not in world.notifications(signup.profile)


def test_stripe_is_asked_with_growing_pauses_and_the_reservation_has_an_end(world: World) -> None:
    signup = debit(world)
    ends = {seat.reserved_until for seat in Seat.objects.filter(profile=signup.profile)}
    counts = []
    for _ in range(4):
        world.requests.clear()
        for _ in range(12):
            world.pass_time(days=1 / 24)
            sweep(world)
        counts.append(asked(world, signup))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] <= 12
    assert counts[-1] <= 1
    assert {seat.reserved_until for seat in Seat.objects.filter(profile=signup.profile)} == ends
    (end,) = ends
    assert end is not None
    assert end - clock.now() < dt.timedelta(days=14)


@pytest.mark.fault("F21")
def test_a_bank_that_never_answers_is_given_up(world: World) -> None:
    signup = debit(world)
    session = world.shop.v1.checkout.sessions.retrieve(signup.checkout_session_id or "")
    world.shop.control("edit", kind="subscription", id=session.subscription, fields={"status": "incomplete"})
    Signup.objects.filter(pk=signup.pk).update(checkout_expires_at=clock.now() - dt.timedelta(days=31))
    Job.objects.filter(kind=checkout_result.CHECK_CHECKOUT).delete()
    sweep(world)
    world.deliver()
    given_back(world, signup)


def test_the_sweep_takes_the_oldest_first_and_leaves_who_waits(world: World) -> None:
    now = clock.now()
    for number in range(510):
        Signup.objects.create(
            state="checkout", username=f"n{number}", email=f"n{number}@example.com", email_proven_at=now, created_at=now,
            checkout_expires_at=now - dt.timedelta(minutes=number + 1),
        )  # fmt: skip
    checkout_result.sweep_checkouts("periodic")
    waiting = Job.objects.filter(kind=checkout_result.CHECK_CHECKOUT, state="queued")
    keys = [uuid.UUID(key) for key in waiting.values_list("key", flat=True)]
    names = set(Signup.objects.filter(pk__in=keys).values_list("username", flat=True))
    assert names == {f"n{number}" for number in range(10, 510)}
    checkout_result.sweep_checkouts("periodic")
    assert waiting.count() == 510


def test_a_check_that_fails_is_not_repeated_every_minute(world: World) -> None:
    """A session that Stripe does not know is for staff; until then it is asked for now and then."""
    signup = world.signup()
    signup_checkout.open_checkout(signup, ui="embedded")
    Signup.objects.filter(pk=signup.pk).update(checkout_session_id="cs_test_gone")
    world.pass_time(days=1)
    for _ in range(5):
        world.pass_time(seconds=60)
        sweep(world)
    assert Job.objects.filter(kind=checkout_result.CHECK_CHECKOUT).count() <= 2
    world.pass_time(days=0.5)
    jobs_before = Job.objects.count()
    sweep(world)
    assert Job.objects.count() > jobs_before


@pytest.mark.parametrize("ends", [False, True], ids=["incomplete", "incomplete_expired"])
def test_a_first_payment_that_failed_is_nobodys_account(world: World, visitor: Visitor, ends: bool) -> None:
    """Yellow-Dog-Man/Resonite-Issues#3842, Automattic/woocommerce-subscriptions-core#506."""
    signup = world.signup("dana")
    signup_checkout.open_checkout(signup, ui="embedded")
    assert signup.profile is not None
    items = [{"price": world.price("personal")}]
    wish: Any = {
        "customer": signup.profile.stripe_customer_id,
        "items": items,
        "payment_behavior": "default_incomplete",
    }
    world.shop.v1.subscriptions.create(wish)
    world.deliver()
    world.pass_time(days=2 if ends else 0.5)
    world.deliver()
    sweep(world)
    assert world.state(signup.profile).subscription == ("incomplete_expired" if ends else "incomplete")
    assert Signup.objects.get(pk=signup.pk).state == "expired"
    Visitor().api(RECOVERY_SEND, email=signup.email)
    assert templates(signup.email)[-1] == "recovery_no_account"
    try_again(world, signup)
    assert templates(signup.email)[-1] == "signup_code" or "signup_code" in templates(signup.email)


def test_recovery_and_signup_agree_about_who_has_paid_and_waits_for_an_account(world: World) -> None:
    signup = world.signup("dana")
    dana = world.pay(signup)
    world.fault("keycloak", "http_503")
    world.deliver()
    dana.refresh_from_db()
    assert (dana.keycloak_id, dana.subscription_status) == (None, "active")
    Visitor().api(RECOVERY_SEND, email=dana.email)
    at_checkout = Visitor().at_checkout()
    world.pass_time(seconds=120)
    assert at_checkout.api(SEND, email=dana.email).status_code == 200
    assert templates(dana.email)[-2:] == ["recovery_code", "already_customer"]
    world.fault("keycloak", "ok")


def test_who_comes_back_by_a_debit_is_told_where_to_try_again(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    seats = world.state(dana).seats
    prove(visitor, dana)
    url = visitor.api(PAY).json()["url"]
    world.shop.pay({"url": url, "client_secret": ""}, card=DEBIT)
    world.deliver()
    answer = visitor.api(PAY)
    assert error(answer) == (409, "paid")
    assert "bank" in answer.json()["error"]["message"]
    signup = Signup.objects.get(profile=dana, state="checkout")
    refuse(world, signup)
    world.deliver()
    assert world.notifications(dana)[-1] == TEMPLATE
    assert "/recovery/" in world.standin.inbox(dana.email)[0]["text"]
    after = world.state(dana)
    assert (after.seats, dana.user.username) == (seats, "dana")
    assert visitor.api(PAY).json()["url"] != url
    world.work()
    assert world.jobs() == []


def test_what_was_kept_is_not_released_while_the_bank_thinks(world: World, visitor: Visitor) -> None:
    dana = canceled(world)
    seats = world.state(dana).seats
    world.pass_time(days=29)
    world.sweep()
    prove(visitor, dana)
    world.shop.pay({"url": visitor.api(PAY).json()["url"], "client_secret": ""}, card=DEBIT)
    world.deliver()
    for _ in range(3):  # past the final expiry, which is after 30 days
        world.pass_time(days=1)
        sweep(world)
        world.sweep()
        assert world.state(dana).seats == seats
    refuse(world, Signup.objects.get(profile=dana, state="checkout"))
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.seats) == ("expired", ())


def test_a_refused_debit_of_a_subscription_that_runs_is_dunning(world: World) -> None:
    """Some accounts' subscriptions are active while the bank thinks: there is an account, and a late payment."""
    signup = debit(world)
    session = world.shop.v1.checkout.sessions.retrieve(signup.checkout_session_id or "")
    subscription = str(session.subscription)
    world.shop.control("edit", kind="subscription", id=subscription, fields={"status": "active"})
    assert signup.profile is not None
    checkout_result.mirror.mirror_later(signup.profile.stripe_customer_id or "", reason="test")
    world.work()
    assert world.state(signup.profile).access == "active"
    refuse(world, signup)
    world.shop.control("edit", kind="subscription", id=subscription, fields={"status": "past_due"})
    world.deliver()
    signup.refresh_from_db()
    assert signup.state == "failed"
    assert signup.profile is not None
    assert world.state(signup.profile).access in {"grace", "suspended"}
    assert signup.profile.user.username == "dana"
    assert TEMPLATE not in world.notifications(signup.profile)


def test_a_second_payment_while_the_bank_thinks_is_refused_with_the_reason(world: World) -> None:
    signup = debit(world)
    visitor = Visitor().proven(signup.email)
    answer = visitor.api(SESSION, **ACCOUNT | {"username": "dana.two"})
    assert error(answer) == (409, "in_checkout")
    refuse(world, signup)
    world.deliver()
    assert visitor.api(SESSION, **ACCOUNT | {"username": "dana"}).status_code == 200


def test_the_page_says_that_the_bank_refused(world: World, visitor: Visitor) -> None:
    visitor.proven()
    answer = visitor.api(SESSION, **ACCOUNT).json()
    world.shop.pay({"url": "", "client_secret": answer["client_secret"]}, card=DEBIT)
    world.deliver()
    refuse(world, visitor.signup)
    world.deliver()
    page = visitor.get(PAGES["success"]).content.decode()
    assert "bank didn't confirm" in page.replace("&#x27;", "'")
    assert visitor.get(PAGES["checkout"]).status_code == 200


def sweep(world: World) -> None:
    checkout_result.sweep_checkouts("periodic")
    world.work()


def templates(address: str) -> list[str]:
    return list(Notification.objects.filter(to=address).order_by("pk").values_list("template", flat=True))
