"""The success page: true to our rows, for the browser that began the checkout only, done without a webhook."""

import datetime as dt

import pytest

from apps.accounts.models import Signup, UserProfile
from apps.catalog.models import Product
from apps.core import clock, retention
from apps.core.models import AuditEntry, Job
from apps.instances.models import SeatWait
from apps.onboarding.models import OneTimeCode
from tests.storefront.visitor import ACCOUNT, PAGES, RESEND, SESSION, STATE, Visitor
from tests.world import World, bring_welcomes_forward


def stages(visitor: Visitor) -> list[str]:
    answer = visitor.get(STATE)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    return [stage["state"] for stage in answer.json()["stages"]]  # type: ignore[attr-defined]


@pytest.fixture
def payer(world: World) -> Visitor:
    """Somebody who has paid; no event was delivered and no job has run."""
    visitor = Visitor().proven()
    opened = visitor.api(SESSION, **ACCOUNT).json()  # type: ignore[attr-defined]
    world.shop.pay({"url": "", "client_secret": opened["client_secret"]})
    return visitor


def test_the_page_finishes_by_itself_when_every_webhook_is_lost(world: World, payer: Visitor) -> None:
    address = f"{PAGES['success']}?session_id={payer.signup.checkout_session_id}"
    page = payer.get(address).content.decode()
    assert "We're getting your account ready" in page
    assert stages(payer) == ["busy", "waiting", "waiting", "waiting"]
    world.skip()
    world.work()
    answer = payer.get(STATE).json()  # type: ignore[attr-defined]
    assert answer["finished"] is True
    assert [stage["state"] for stage in answer["stages"]] == ["done"] * 4
    assert "Your account is ready, Dana" in payer.get(address).content.decode()
    bring_welcomes_forward()
    world.work()
    assert len(world.mails("dana@example.com")) == 3  # the code, our welcome, and the link to set a password


def test_the_page_confirms_the_order_once_it_is_paid(world: World, payer: Visitor) -> None:
    assert "Your order</h2>" not in payer.get(PAGES["success"]).content.decode()
    payer.get(STATE)
    world.work()
    page = " ".join(payer.get(PAGES["success"]).content.decode().split())
    for said in (
        '<span>Personal</span><span class="amount">€5 a month</span>',
        "Nextcloud is on ",
        "You paid €5 on ",
        "The next payment is €5 on ",
        "You accepted version 1 of our terms on ",
        'You can <a href="/contracts/withdraw/">withdraw from this contract</a> until ',
    ):
        assert said in page
    stranger = Visitor().get(PAGES["success"]).content.decode()
    assert "You paid" not in stranger


@pytest.mark.parametrize("opens", [False, True])
def test_a_bank_that_takes_days_is_named_and_who_is_let_in_meanwhile_may_log_in(world: World, opens: bool) -> None:
    world.shop.control("settings", debits_open=opens)
    visitor = Visitor().proven()
    opened = visitor.api(SESSION, **ACCOUNT).json()  # type: ignore[attr-defined]
    world.shop.pay({"url": "", "client_secret": opened["client_secret"]}, card="000123456789")
    world.deliver()
    assert visitor.get(STATE).json()["debited"] is False  # type: ignore[attr-defined]  # a card may look like this for a moment
    world.pass_time(seconds=61)
    answer = visitor.get(STATE).json()  # type: ignore[attr-defined]
    assert [one["state"] for one in answer["stages"]] == ["busy", *["done" if opens else "waiting"] * 3]
    assert (answer["debited"], answer["usable"], answer["finished"]) == (True, opens, False)
    assert "That can take a few days." in answer["stages"][0]["note"]
    page = visitor.get(PAGES["success"]).content.decode()
    assert "Now it&#x27;s your bank&#x27;s turn" in page or "Now it's your bank's turn" in page
    assert ("you don't have to wait" in page) is opens


def test_looking_again_and_again_asks_once(world: World, payer: Visitor) -> None:
    for _ in range(10):
        payer.get(STATE)
    assert Job.objects.filter(kind="check_checkout", state="queued").count() == 1


def test_keycloak_being_away_is_said_and_mended(world: World, payer: Visitor) -> None:
    world.fault("keycloak", "down")
    payer.get(STATE)
    world.work()
    assert stages(payer)[:2] == ["done", "busy"]
    assert "longer than usual" in payer.get(STATE).content.decode()
    world.fault("keycloak", "ok")
    world.retry()
    assert stages(payer) == ["done"] * 4


def test_a_job_that_gave_up_is_said_to_be_looked_after(world: World, payer: Visitor) -> None:
    payer.get(STATE)
    world.work()
    signup = payer.signup
    UserProfile.objects.filter(pk=signup.profile_id).update(keycloak_id=None)
    Job.objects.filter(kind="mirror_customer").delete()
    Job.objects.create(
        kind="reconcile",
        key=str(signup.profile_id),
        lane="x",
        state="dead",
        not_before=clock.now(),
        created_at=clock.now(),
    )
    assert stages(payer)[1] == "delayed"
    assert "We've been notified" in payer.get(STATE).content.decode()


def test_a_missing_place_is_said_and_the_login_is_offered(world: World, payer: Visitor) -> None:
    payer.get(STATE)
    world.work()
    profile = payer.signup.profile
    SeatWait.objects.create(profile=profile, product=Product.objects.get(slug="nextcloud"), since=clock.now())
    answer = payer.get(STATE).json()  # type: ignore[attr-defined]
    assert [stage["state"] for stage in answer["stages"]] == ["done", "done", "delayed", "done"]
    assert (answer["finished"], answer["usable"]) == (False, True)


def test_another_browser_sees_nothing_and_may_do_nothing(world: World, payer: Visitor) -> None:
    stranger = Visitor()
    address = f"{PAGES['success']}?session_id={payer.signup.checkout_session_id}"
    page = stranger.get(address).content.decode()
    assert "dana" not in page.lower()
    assert "Log in" in page
    assert stranger.get(STATE).status_code == 404
    assert stranger.api(RESEND).status_code == 403
    other = Visitor().proven("emil@example.com")
    Signup.objects.filter(pk=other.signup.pk).update(state="paid")
    assert "dana" not in other.get(address).content.decode().lower()


def test_nobody_is_signed_in_by_paying(world: World, payer: Visitor) -> None:
    payer.get(STATE)
    world.work()
    payer.get(PAGES["success"])
    assert "_auth_user_id" not in payer.client.session


def test_the_password_mail_is_sent_again_three_times_an_hour(world: World, payer: Visitor) -> None:
    assert payer.api(RESEND).status_code == 403  # not paid, as far as we know
    payer.get(STATE)
    world.work()
    profile = payer.signup.profile
    assert profile is not None
    for _ in range(3):
        assert payer.api(RESEND).json()["sent"] is True  # type: ignore[attr-defined]
        world.work()
    assert payer.api(RESEND).status_code == 429
    assert world.notifications(profile).count("keycloak_set_password") == 4
    asked = AuditEntry.objects.filter(action="password_email_requested", subject_id=str(profile.pk))
    assert {entry.actor for entry in asked} == {"customer"}
    assert asked.count() == 3


def test_an_unfinished_payment_is_said_to_be_uncharged(world: World) -> None:
    visitor = Visitor().proven()
    visitor.api(SESSION, **ACCOUNT)
    world.pass_time(seconds=3600)
    world.work()
    page = visitor.get(PAGES["success"]).content.decode()
    assert "You haven't been charged" in page
    assert visitor.get(PAGES["cancel"]).status_code == 200
    assert visitor.get(PAGES["checkout"]).status_code == 200


def test_stale_signups_and_codes_are_forgotten(shop: dict[str, Product]) -> None:
    visitor, paid = Visitor().proven(), Visitor().proven("emil@example.com")
    Signup.objects.filter(pk=paid.signup.pk).update(state="paid")
    long_ago = clock.now() - dt.timedelta(days=31)
    Signup.objects.update(created_at=long_ago)
    OneTimeCode.objects.update(expires_at=long_ago)
    retention.prune_all()
    assert list(Signup.objects.all()) == [paid.signup]
    assert not OneTimeCode.objects.exists()
    assert visitor.get(PAGES["addons"]).headers["Location"] == "/onboarding/"
