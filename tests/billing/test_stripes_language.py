"""Stripe's pages, emails and invoices are in the person's language: of the page before, and as it is kept with the customer."""

from typing import Any
from urllib.parse import parse_qs

import pytest
import stripe

from apps.accounts.models import UserProfile
from apps.billing import portal
from apps.core import languages
from apps.onboarding import own_details, signup_checkout
from tests.world import World

RETURN = "https://example.com/"


@pytest.fixture(autouse=True)
def both(settings: Any) -> None:
    settings.SITE_LANGUAGES = ["en", "de"]


def asked(world: World, path: str) -> list[str]:
    """The `locale` of each request to that path."""
    found = [parse_qs(body) for method, where, body in world.requests if (method, where) == ("POST", path)]
    return [one["locale"][0] for one in found]


def locales(world: World, profile: UserProfile) -> list[str]:
    return list(world.shop.v1.customers.retrieve(profile.stripe_customer_id or "").preferred_locales or [])


def speak(world: World, profile: UserProfile, code: str) -> None:
    own_details.change_language(profile, code)
    world.work()


def test_a_signup_in_german_pays_on_a_german_page_and_gets_german_invoices(world: World) -> None:
    with languages.speaking("de"):
        dana = world.pay(world.signup("dana"))
    assert asked(world, "/v1/checkout/sessions") == ["de"]
    assert locales(world, dana) == ["de"]


def test_who_switches_at_the_payment_gets_the_page_anew_and_the_first_can_no_longer_be_paid(world: World) -> None:
    signup = world.signup()
    english = signup_checkout.open_checkout(signup, ui="hosted")
    with languages.speaking("de"):
        german = signup_checkout.open_checkout(signup, ui="hosted")
        assert signup_checkout.open_checkout(signup, ui="hosted") == german
    assert german.session_id != english.session_id
    assert world.shop.v1.checkout.sessions.retrieve(english.session_id).status == "expired"
    assert asked(world, "/v1/checkout/sessions") == ["en", "de"]


def test_the_portal_speaks_as_the_page_that_leads_to_it_or_as_the_settings_fix_it(world: World, settings: Any) -> None:
    dana = world.subscriber("dana")
    with languages.speaking("de"):
        portal.open_portal(profile=dana, return_url=RETURN)
        settings.STRIPE_LOCALE = "auto"
        portal.open_payment_method(profile=dana, return_url=RETURN)
    assert asked(world, "/v1/billing_portal/sessions") == ["de", "auto"]


def test_a_language_changed_here_is_changed_at_stripe_but_not_what_somebody_wrote_there(world: World) -> None:
    dana, erik = world.subscriber("dana"), world.subscriber("erik")
    speak(world, dana, "de")
    assert (locales(world, dana), locales(world, erik)) == (["de"], ["en"])
    speak(world, dana, "en")
    assert locales(world, dana) == ["en"]
    world.shop.v1.customers.update(dana.stripe_customer_id or "", {"preferred_locales": ["fr", "de"]})
    speak(world, dana, "de")
    assert locales(world, dana) == ["fr", "de"]
    assert world.jobs() == []


def test_the_stand_in_refuses_what_stripe_does_not_speak(world: World) -> None:
    wrong: Any = {"locale": "de-DE", "mode": "subscription", "customer": "cus_x"}
    pages = (
        lambda: world.shop.v1.checkout.sessions.create(wrong),
        lambda: world.shop.v1.billing_portal.sessions.create({"locale": "de-DE", "customer": "cus_x"}),  # type: ignore[typeddict-item]
    )
    for page in pages:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            page()
        assert refused.value.param == "locale"
