"""The account page: one's own name and where it follows, the ways to Keycloak's pages; nobody else's."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from apps.accounts.models import UserProfile
from apps.core.models import AuditEntry, Job
from apps.identity import account_details
from tests.dashboard.conftest import person
from tests.dashboard.test_dashboard import text
from tests.login.conftest import LOGIN, fresh_keys, keycloak, local, subscriber
from tests.login.conftest import person as visitor
from tests.sandbox.keycloak_fixture import action
from tests.world import World

__all__ = ["fresh_keys", "keycloak", "visitor"]  # fixtures
URL, NAME = "/dashboard/account/", "/dashboard/account/name/"


def browser_of(profile: UserProfile) -> Client:
    client = Client()
    client.force_login(profile.user)
    return client


def test_each_sees_their_own_account_and_a_visitor_none(nora: UserProfile, client: Client) -> None:
    page = text(browser_of(nora).get(URL))
    for words in ("Your username is nora", "nora@example.com", "Change password", "Set up an authenticator app"):
        assert words in page, words
    others = text(browser_of(person("omar")).get(URL))
    assert "omar@example.com" in others
    assert "nora" not in others.lower()
    for address in (URL, NAME):
        answer = client.post(address) if address == NAME else client.get(address)
        assert answer["Location"] == f"{LOGIN}?next={URL}"


def test_passkeys_are_offered_where_the_realm_has_them(nora: UserProfile, settings: Any) -> None:
    assert "Passkey" not in text(browser_of(nora).get(URL))
    settings.PASSKEYS = True
    page = browser_of(nora).get(URL)
    assert "Set up a passkey" in text(page)
    assert f'href="{LOGIN}?as=passkey&amp;next=' in page.content.decode()


def test_the_page_asks_nobody_and_costs_few_queries(client_of_nora: Client, django_assert_max_num_queries: Any) -> None:
    client_of_nora.get(URL)
    with django_assert_max_num_queries(4):
        client_of_nora.get(URL)


def test_a_new_name_reaches_keycloak_and_stripe(world: World) -> None:
    dana, erik = world.subscriber("dana"), world.subscriber("erik")
    answer = browser_of(dana).post(NAME, {"first_name": " Diana ", "last_name": "O’Neill", "username": "thief"})
    assert answer["Location"] == URL
    world.work()
    dana.user.refresh_from_db()
    assert (dana.user.first_name, dana.user.last_name, dana.user.username) == ("Diana", "O’Neill", "dana")
    account = world.account(dana)
    assert (account["firstName"], account["lastName"], account["email"]) == ("Diana", "O’Neill", dana.email)
    assert world.shop.v1.customers.retrieve(dana.stripe_customer_id or "")["name"] == "Diana O’Neill"
    assert world.account(erik)["firstName"] == "Erik"
    (line,) = AuditEntry.objects.filter(action="name_changed")
    assert (line.subject_id, line.actor, line.after) == (
        str(dana.pk),
        "customer",
        {"fields": ["first_name", "last_name"]},
    )
    assert "Diana" not in str(line.before)


def test_a_name_that_keycloak_has_not_heard_of_yet_follows_when_it_is_back(world: World) -> None:
    dana = world.subscriber("dana")
    world.fault("keycloak", "down")
    browser_of(dana).post(NAME, {"first_name": "Diana", "last_name": ""})
    world.work()
    world.fault("keycloak", "ok")
    assert world.account(dana)["firstName"] == "Dana"
    world.retry()
    assert world.account(dana)["firstName"] == "Diana"
    assert "lastName" not in world.account(dana)


def test_the_same_name_changes_nothing(nora: UserProfile) -> None:
    given = {"first_name": nora.user.first_name, "last_name": nora.user.last_name}
    assert browser_of(nora).post(NAME, given)["Location"] == URL
    assert not Job.objects.filter(kind=account_details.WRITE_NAME).exists()
    assert not AuditEntry.objects.filter(action="name_changed").exists()


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("", "", "Please enter your name."),
        ("Anna <b>", "", "Please remove these characters"),
        ("Anna", "www.example.com", "without an email or web address"),
        ("a" * 121, "", "at most 120 characters"),
        ("Anna", "Call 5 555 123 456", "without a phone number"),
    ],
)
def test_what_is_no_name_is_refused_beside_its_field(first: str, last: str, words: str, nora: UserProfile) -> None:
    answer = browser_of(nora).post(NAME, {"first_name": first, "last_name": last})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert words in text(answer)
    assert page.count('aria-invalid="true"') == 1
    assert "<b>" not in page
    nora.user.refresh_from_db()
    assert nora.user.first_name == "Nora"


def test_a_name_changes_ten_times_a_day_at_most(nora: UserProfile) -> None:
    client = browser_of(nora)
    answers = [client.post(NAME, {"first_name": f"Nora{'x' * number}", "last_name": ""}) for number in range(1, 12)]
    assert [one.status_code for one in answers] == [302] * 10 + [429]
    assert "Please try again tomorrow" in text(answers[-1])


@pytest.mark.parametrize(
    ("wish", "asked_for"),
    [
        ("password", "UPDATE_PASSWORD"),
        ("authenticator", "CONFIGURE_TOTP"),
        ("passkey", "webauthn-register-passwordless"),
        ("DELETE_ACCOUNT", None),
    ],
)
def test_only_the_changes_we_offer_are_asked_of_keycloak(
    wish: str, asked_for: str | None, client: Client, db: None
) -> None:
    sent = client.get(LOGIN, {"as": wish, "next": URL, "kc_action": "DELETE_ACCOUNT"})["Location"]
    assert parse_qs(urlsplit(sent).query).get("kc_action") == ([asked_for] if asked_for else None)


NEW = "another battery staple"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"password-new": NEW, "password-confirm": NEW}, "Your password is changed."),
        ({"cancel-aia": "true"}, "Nothing has been changed."),
    ],
)
def test_what_became_of_a_change_at_keycloak_is_told(
    form: dict[str, str], said: str, visitor: Any, nora_there: UserProfile, keycloak: Any
) -> None:
    visitor.log_in("nora")
    page = visitor.there("GET", visitor.to_keycloak(f"{LOGIN}?as=password&next={URL}"))
    assert 'name="password"' in page.text  # a new login first
    page = keycloak.fill_in(visitor.there, page, "nora")
    back = visitor.there("POST", action(page), data=form).headers["Location"]
    answer = visitor.here.get(local(back))
    assert answer["Location"] == URL
    assert [str(one).startswith(said) for one in get_messages(answer.wsgi_request)] == [True]


@pytest.fixture
def nora_there(keycloak: Any) -> UserProfile:
    """A subscriber who can log in at the stand-in."""
    keycloak_id = keycloak.new_user("nora", firstName="Nora", lastName="Nyberg")
    keycloak.set_password(keycloak_id)
    return subscriber(keycloak_id)
