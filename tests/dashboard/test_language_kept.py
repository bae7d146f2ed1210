"""The language kept with a person: where it comes from, where it goes (Keycloak, other browsers), and whose choice wins."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from apps.access import reconcile
from apps.accounts.models import UserProfile
from apps.core import languages
from apps.core.models import Job
from apps.core.states import AccessState
from apps.identity import account_details
from apps.login import logout
from apps.onboarding import signup_checkout
from apps.operations import untold_languages
from tests.dashboard.conftest import person as somebody
from tests.dashboard.test_account import browser_of
from tests.dashboard.test_language import GERMAN, both
from tests.login.conftest import LOGIN, Person, fresh_keys, keycloak, nora, person
from tests.world import World

__all__ = ["both", "fresh_keys", "keycloak", "nora", "person"]  # fixtures
READ = "/dashboard/account/"


def reads(browser: Client, **asked: Any) -> str:
    return str(browser.get(READ, **asked).headers["Content-Language"])


def choose(browser: Client, code: str) -> None:
    assert browser.post("/language/", {"language": code}).status_code == 302


def test_an_account_speaks_the_language_of_its_signup_and_follows_the_switch(world: World) -> None:
    dana = world.subscriber("dana")
    with languages.speaking("de"):
        erik = world.subscriber("erik")
    kept = world.account(dana)["attributes"]
    assert (kept["locale"], world.account(erik)["attributes"]["locale"]) == (["en"], ["de"])
    choose(browser_of(dana), "de")
    world.work()
    assert world.account(dana)["attributes"] == kept | {"locale": ["de"]}
    reconcile.enqueue(dana, reason="a test")
    world.work()
    assert world.account(dana)["attributes"] == kept | {"locale": ["de"]}
    world.assert_laws_hold()


def test_keycloak_hears_of_it_when_it_is_back(world: World) -> None:
    dana = world.subscriber("dana")
    world.fault("keycloak", "down")
    choose(browser_of(dana), "de")
    world.work()
    world.fault("keycloak", "ok")
    assert world.account(dana)["attributes"]["locale"] == ["en"]
    world.retry()
    assert world.account(dana)["attributes"]["locale"] == ["de"]


def test_the_same_language_again_writes_nothing(db: None) -> None:
    omar = somebody("omar")
    choose(browser_of(omar), "en")
    assert not Job.objects.filter(kind=account_details.WRITE_LANGUAGE).exists()


def test_a_second_browser_reads_what_is_kept_unless_it_has_chosen(db: None) -> None:
    omar = somebody("omar")
    first, second, third = (browser_of(omar) for _ in range(3))
    choose(third, "en")
    choose(first, "de")
    assert (reads(first), reads(second), reads(third)) == ("de", "de", "en")
    assert reads(second, headers={"Accept-Language": "en"}) == "de"
    stranger = Client()
    assert stranger.get("/onboarding/waitlist/").headers["Content-Language"] == "en"
    second.logout()
    assert second.get("/onboarding/waitlist/").headers["Content-Language"] == "en"


def test_a_login_takes_the_choice_of_its_browser_along(person: Person, nora: UserProfile) -> None:
    choose(person.here, "de")
    person.log_in("nora")
    nora.refresh_from_db()
    assert nora.language == "de"
    assert Job.objects.filter(kind=account_details.WRITE_LANGUAGE, key=str(nora.pk)).exists()


def test_a_login_from_a_browser_that_has_not_chosen_changes_nothing(person: Person, nora: UserProfile) -> None:
    UserProfile.objects.update(language="de")
    person.here.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    person.log_in("nora")
    nora.refresh_from_db()
    assert (nora.language, reads(person.here)) == ("de", "de")
    assert not Job.objects.filter(kind=account_details.WRITE_LANGUAGE).exists()


def at_keycloak(keycloak: Any, nora: UserProfile, code: str) -> None:
    """She has chosen it on Keycloak's own page."""
    account = keycloak.user(nora.keycloak_id)
    account["attributes"] = account.get("attributes", {}) | {"locale": [code]}
    assert keycloak.call("PUT", f"/users/{nora.keycloak_id}", json=account).status_code == 204


CLAIMS = {
    "chosen there": ("de", "", "de"),
    "chosen there, and another one here long before": ("de", "en", "de"),
    "of a language that is not ours": ("fr", "", "en"),
    "the same": ("en", "", "en"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_language_that_was_chosen_at_keycloak_comes_back_with_the_login(
    person: Person, nora: UserProfile, keycloak: Any, name: str
) -> None:
    there, here, kept = CLAIMS[name]
    at_keycloak(keycloak, nora, there)
    if here:
        choose(person.here, here)
    person.log_in("nora")
    nora.refresh_from_db()
    assert (nora.language, reads(person.here)) == (kept, kept)
    assert not Job.objects.filter(kind=account_details.WRITE_LANGUAGE).exists()


def test_what_was_chosen_here_and_not_written_yet_is_later(person: Person, nora: UserProfile, keycloak: Any) -> None:
    at_keycloak(keycloak, nora, "en")
    choose(browser_of(nora), "de")  # in another browser; its job waits for Keycloak
    person.log_in("nora")
    nora.refresh_from_db()
    assert nora.language == "de"


def test_accounts_from_before_are_told_a_few_at_a_time_and_once(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(untold_languages, "PER_MINUTE", 2)
    people = [world.subscriber(name) for name in ("dana", "erik", "fay")]
    assert untold_languages.tell_languages() == 0  # who is new is told when the account is made
    for one in people:
        account = world.account(one)
        account["attributes"].pop("locale")
        world.admin("PUT", f"/users/{one.keycloak_id}", json=account)
        world.shop.v1.customers.update(one.stripe_customer_id or "", {"preferred_locales": []})
    erik = people[1]
    account = world.account(erik)
    account["attributes"]["locale"] = ["fr"]  # chosen there
    world.admin("PUT", f"/users/{erik.keycloak_id}", json=account)
    UserProfile.objects.update(language_told_at=None, language="de")
    assert [untold_languages.tell_languages() for _ in range(3)] == [2, 1, 0]
    world.work()
    assert [world.account(one)["attributes"]["locale"] for one in people] == [["de"], ["fr"], ["de"]]
    told = [world.shop.v1.customers.retrieve(one.stripe_customer_id or "").preferred_locales for one in people]
    assert told == [["de"]] * 3


@pytest.mark.parametrize("way", [LOGIN, f"{LOGIN}?as=password", f"{LOGIN}?as=authenticator", f"{LOGIN}?as=fresh"])
def test_every_way_to_keycloak_says_the_language(keycloak: Any, client: Client, way: str) -> None:
    for asked, code in ((GERMAN, "de"), ({}, "en")):
        query = parse_qs(urlsplit(client.get(way, **asked)["Location"]).query)
        assert query["ui_locales"] == [code]


def test_the_logout_page_of_keycloak_too(keycloak: Any) -> None:
    assert parse_qs(urlsplit(logout.question_url()).query)["ui_locales"] == ["en"]


def test_who_signs_up_again_after_the_final_expiry_is_read_to_in_the_language_of_that_signup(world: World) -> None:
    dana = world.subscriber("dana")
    UserProfile.objects.filter(pk=dana.pk).update(access_state=AccessState.EXPIRED)
    signup = world.signup("dana")
    signup.profile = dana
    with languages.speaking("de"):
        again = signup_checkout.find_or_create_profile(signup)
    assert again == dana
    dana.refresh_from_db()
    assert dana.language == "de"
    assert Job.objects.filter(kind=account_details.WRITE_LANGUAGE, key=str(dana.pk)).exists()
