"""Who logs in with an account that nobody has here signs up with it: by the pages, in one browser, after a login of just now."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as configured
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import Membership, Signup, UserProfile
from apps.catalog.models import Product
from apps.core import clock, encryption
from apps.core.models import RateLimit
from apps.login import newcomers
from apps.notifications.models import Notification
from apps.onboarding import own_account, people
from tests.login.conftest import LOGIN, Person, fresh_keys, local, log_in_at
from tests.onboarding.test_own_account import account, assert_linked, change
from tests.sandbox.stripe_fixture import GOOD
from tests.storefront.visitor import HOME, PAGES, SEND, SESSION, VERIFY, Visitor
from tests.world import World

__all__ = ["fresh_keys"]
PAGE = f"{HOME}account/"
ORDER = {"username": "olga", "first_name": "Olga", "last_name": "Olsen", "terms": configured.TERMS_VERSION}


class Newcomer(Person):
    """A browser whose way through the wizard and whose logins are the same person's."""

    def __init__(self, world: World) -> None:
        super().__init__(world.standin)
        self.visitor = Visitor()
        self.visitor.client = self.here

    def text(self, path: str = PAGE) -> str:
        return str(self.here.get(path).content.decode())

    def continues(self) -> HttpResponse:
        """Press the page's button."""
        answer: HttpResponse = self.here.post(PAGE)
        return answer


@pytest.fixture
def site(world: World, settings: Any) -> Iterator[World]:
    log_in_at(world.standin, settings)
    return world


@pytest.fixture
def olga(site: World) -> str:
    found = account(site)
    site.standin.set_password(found)
    return found


@pytest.fixture
def person(site: World, olga: str) -> Newcomer:
    return Newcomer(site)


def pay(world: World, person: Newcomer) -> UserProfile:
    """From the checkout page through the payment, with all that follows."""
    answer = person.visitor.api(SESSION, **ORDER).json()  # type: ignore[attr-defined]
    assert "client_secret" in answer, answer
    world.shop.pay({"url": "", "client_secret": answer["client_secret"]}, card=GOOD)
    world.deliver()
    return UserProfile.objects.get(email="olga@example.com")


def test_from_the_login_to_the_dashboard_with_the_account_that_is_there(
    site: World, person: Newcomer, olga: str
) -> None:
    answer = person.log_in("olga")
    assert (answer.status_code, answer["Location"], person.user_id) == (302, PAGE, None)
    assert "You have an account here, but no plan yet" in person.text()
    assert "olga@example.com" in person.text()
    assert not Signup.objects.exists()  # reading changes nothing
    assert person.continues()["Location"] == PAGES["plan"]
    person.visitor.plan()
    person.visitor.addons()
    page = person.text(PAGES["checkout"])
    assert re.search(r'<input id="username"[^>]* value="olga" readonly', page)
    assert 'name="email"' not in page
    profile = pay(site, person)
    assert_linked(site, profile, olga)
    assert "Password email" not in person.text(PAGES["success"])
    assert "the password you already have" in person.text(PAGES["success"])
    assert person.log_in("olga")["Location"] == "/dashboard/"
    assert person.text("/dashboard/").count("Hello, Olga") == 1
    (welcome,) = [one for one in site.standin.inbox("olga@example.com") if "set your password" not in one["text"]]
    assert "the password you already have" in welcome["text"]


@pytest.mark.parametrize(
    "guarded", [pytest.param(True, id="guard"), pytest.param(False, id="mutant", marks=pytest.mark.mutant)]
)
def test_a_login_of_long_ago_binds_nothing(
    site: World, person: Newcomer, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single sign-on at a computer that somebody else left; without the look at how long ago the password was typed the account would be theirs."""
    person.log_in("olga")
    site.pass_time(seconds=newcomers.FRESH_SECONDS + 60)
    later = Newcomer(site)
    later.there = person.there
    if not guarded:
        monkeypatch.setattr(newcomers, "FRESH_SECONDS", 10**6)
    answer = later.here.get(local(str(later.there("GET", later.to_keycloak()).headers["Location"])))
    assert answer["Location"] == PAGE
    later.continues()
    assert Signup.objects.exists() is not guarded
    if guarded:
        assert "Please log in once more" in later.text()
        again = re.search(r'href="(/accounts/[^"]+)"', later.text())
        assert again
        later.log_in("olga", again[1].replace("&amp;", "&"))
        assert later.continues()["Location"] == PAGES["plan"]


@pytest.mark.long
def test_the_proof_grows_old_while_the_page_is_open(person: Newcomer, monkeypatch: pytest.MonkeyPatch) -> None:
    person.log_in("olga")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + newcomers.FRESH_SECONDS + 1)
    assert person.continues().status_code == 200
    assert not Signup.objects.exists()


def test_the_proof_is_of_the_browser_that_logged_in(person: Newcomer) -> None:
    person.log_in("olga")
    answer = Client().post(PAGE)
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, LOGIN)
    assert not Signup.objects.exists()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person.here.cookies
    assert strict.post(PAGE).status_code == 403
    assert not Signup.objects.exists()


@pytest.mark.long
def test_who_was_logged_in_before_is_no_longer(site: World, person: Newcomer) -> None:
    dana = site.subscriber("dana")
    site.standin.set_password(str(dana.keycloak_id))
    person.log_in("dana")
    before = person.here.session.session_key
    assert person.user_id == str(dana.user_id)
    person.there = type(person.there)()
    person.log_in("olga")
    assert (person.user_id, person.here.session.session_key == before) == (None, False)
    person.continues()
    assert Signup.objects.get(keycloak_id__gt="").profile is None


def test_the_address_alone_says_nothing_and_its_email_leads_to_the_login(
    site: World, person: Newcomer, olga: str
) -> None:
    visitor = Visitor().at_checkout()
    unknown = visitor.api(SEND, email="nobody@example.com")
    RateLimit.objects.all().delete()
    known = visitor.api(SEND, email="olga@example.com")
    assert (unknown.status_code, unknown.content) == (known.status_code, known.content)
    RateLimit.objects.all().delete()
    assert visitor.api(VERIFY, email="olga@example.com", code="000000").status_code == 400
    email = Notification.objects.latest("pk")
    link = encryption.decrypt(email.encrypted)["continue_url"]
    site.work()
    (sent,) = site.standin.inbox("olga@example.com")
    assert link in sent["text"]

    path = local(link)
    answer = person.here.get(path)
    assert answer["Location"].startswith(LOGIN)
    assert person.log_in("olga", answer["Location"])["Location"] == path
    assert person.here.post(path)["Location"] == PAGES["checkout"]
    signup = person.visitor.signup
    assert (signup.basket, signup.email, signup.keycloak_id) == (visitor.signup.basket, "olga@example.com", olga)
    assert visitor.signup.keycloak_id == ""
    assert_linked(site, pay(site, person), olga)


@pytest.mark.long
def test_a_proven_mailbox_whose_account_shows_up_late_leads_to_the_login(
    site: World, person: Newcomer, olga: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an invitation from the waitlist, or a code while Keycloak was away."""
    with monkeypatch.context() as away:
        away.setattr(own_account, "is_taken", lambda _address: False)
        person.visitor.proven("olga@example.com")
    refused = person.visitor.api(SESSION, **(ORDER | {"username": "olga2"})).json()  # type: ignore[attr-defined]
    assert (refused["error"]["code"], refused["error"]["field"]) == ("taken", "email")
    person.log_in("olga", person.here.get(PAGE)["Location"])
    assert person.continues()["Location"] == PAGES["checkout"]
    assert_linked(site, pay(site, person), olga)
    assert Signup.objects.count() == 1


@pytest.mark.long
def test_another_mailbox_lets_go_of_the_account(person: Newcomer) -> None:
    person.log_in("olga")
    person.continues()
    person.visitor.plan()
    person.visitor.addons()
    person.visitor.post(PAGES["checkout"], mailbox="other")
    RateLimit.objects.all().delete()
    person.visitor.api(SEND, email="nora@example.com")
    code = encryption.decrypt(Notification.objects.latest("pk").encrypted)["code"]
    person.visitor.api(VERIFY, email="nora@example.com", code=code)
    assert (person.visitor.signup.email, person.visitor.signup.keycloak_id) == ("nora@example.com", "")


def test_an_account_that_cannot_sign_up_reads_why(site: World) -> None:
    fritz, person = account(site, "fritz", groups=[]), Newcomer(site)
    site.standin.set_password(fritz)
    person.log_in("fritz")
    for changes, told in (
        ({}, "We have to unlock your account"),
        ({"emailVerified": False}, "isn&#x27;t confirmed yet"),
        ({"emailVerified": True, "enabled": False}, "We have to unlock your account"),
    ):
        change(site, fritz, **changes)
        answer = person.continues()
        assert (answer.status_code, told in answer.content.decode()) == (409, True), changes
    assert not Signup.objects.exists()
    site.standin.fault("down")
    link = f"{PAGE}?continue=abc"
    answer = person.here.post(link)
    assert answer.status_code == 503
    assert "<h1>Please try again</h1>" in answer.content.decode()
    assert f'href="{link}">Try again' in answer.content.decode()  # with the plan that the email's link names


@pytest.mark.long
def test_staff_are_told_to_use_another_address(site: World) -> None:
    person = Newcomer(site)
    person.log_in("admin.ada", f"{LOGIN}?next={PAGE}")
    assert person.user_id
    assert "This is a staff account" in person.text()
    assert person.continues().status_code == 200
    assert not Signup.objects.exists()


def test_an_invited_person_joins_with_the_account_that_is_there(
    site: World, person: Newcomer, olga: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Product.objects.filter(slug="plus").update(people=3)
    dana = site.subscriber("dana", plus=1)
    row = Membership.objects.create(payer=dana, email="someone@example.com", invited_at=clock.now())
    path = local(people.invitation_link(row))
    (link,) = re.findall(r'href="([^"]*)">Log in and join', person.text(path))
    link = person.here.get(link)["Location"]
    person.log_in("olga")
    site.pass_time(seconds=newcomers.FRESH_SECONDS + 60)
    person.here = Client()  # Keycloak's session is open, so the login takes no password
    back = str(person.there("GET", person.to_keycloak(link)).headers["Location"])
    assert person.here.get(local(back))["Location"] == path
    assert "Please log in once more" in person.text(path)
    assert person.here.post(path, {"terms": configured.TERMS_VERSION}).status_code == 200
    assert not UserProfile.objects.filter(email="olga@example.com").exists()
    (again,) = re.findall(r'href="([^"]*)">Log in again', person.text(path))
    assert person.log_in("olga", again.replace("&amp;", "&"))["Location"] == path
    assert "You keep this account" in person.text(path)
    assert person.here.post(path, {"terms": ""}).status_code == 400
    read, calls = own_account.read_own_account, []
    monkeypatch.setattr(own_account, "read_own_account", lambda account: calls.append(account) or read(account))
    assert person.here.post(path, {"terms": configured.TERMS_VERSION}).status_code == 302
    assert calls == [olga]
    assert "the password you already have" in person.text(path)
    assert person.log_in("olga")["Location"] == PAGE  # before the account is linked
    assert "You already have a plan" in person.text()
    assert "You already have a plan" in person.continues().content.decode()
    assert not Signup.objects.filter(email="olga@example.com").exists()
    site.deliver()
    profile = UserProfile.objects.get(email="olga@example.com")
    assert site.state(profile).access == "active"
    assert profile.keycloak_id == olga
    assert len(site.users("olga")) == 1
    assert "keycloak_set_password" not in site.notifications(profile)
