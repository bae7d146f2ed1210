"""What settings add to the payment: tax, tax ids, addresses, promotion codes, trials, looks and words; off, nothing changes."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing.checkout_features import session_features, trial
from apps.billing.models import Subscription
from apps.core import checks
from apps.core.money import format_money
from apps.onboarding import signup_checkout
from tests.field.test_money import add_card
from tests.sandbox.stripe_schema import judge
from tests.world import World

ALL = {
    "STRIPE_AUTOMATIC_TAX": True, "STRIPE_TAX_IDS": True, "STRIPE_BILLING_ADDRESS": "required", "STRIPE_PROMOTION_CODES": True,
    "STRIPE_TRIAL_DAYS": 14, "STRIPE_TRIAL_CARD": False, "STRIPE_LOCALE": "de", "STRIPE_BRANDING": True,
    "STRIPE_CONSENT_TEXT": "By paying you ask us to begin at once.",
}  # fmt: skip


@pytest.fixture
def switch(settings: Any) -> Any:
    def on(**wanted: Any) -> None:
        for name, value in wanted.items():
            setattr(settings, name, value)

    return on


def signed_up(world: World, **form: str) -> UserProfile:
    profile = world.pay(world.signup(), **form)
    world.deliver()
    profile.refresh_from_db()
    return profile


def next_charge(profile: UserProfile) -> tuple[int | None, int | None]:
    row = Subscription.objects.get(stripe_id=profile.stripe_subscription_id)
    return row.paid_for_period, row.next_charge


def coming(profile: UserProfile) -> str:
    """The change that is foreseen next."""
    profile.refresh_from_db()
    return str(profile.forecast[0]["change"])


def test_without_a_setting_only_the_language_is_asked_of_stripe() -> None:
    assert session_features() == {"locale": "en"}
    assert trial(0) == {}


def test_all_of_it_together_fits_stripes_document(world: World, switch: Any, settings: Any) -> None:
    settings.BRAND = settings.BRAND | {"logo_url": "https://example.com/logo.png"}
    switch(**ALL)
    signup = world.signup()
    for ui in ("hosted", "embedded"):
        signup_checkout.open_checkout(signup, ui=ui)
    made = [
        parse_qsl(body, keep_blank_values=True)
        for method, path, body in world.requests
        if (method, path) == ("POST", "/v1/checkout/sessions")
    ]
    assert len(made) == 2
    for pairs in made:
        assert judge().request_errors("POST", "/v1/checkout/sessions", pairs) == []
        assert {
            ("automatic_tax[enabled]", "true"), ("tax_id_collection[enabled]", "true"), ("billing_address_collection", "required"),
            ("customer_update[address]", "auto"), ("customer_update[name]", "auto"), ("allow_promotion_codes", "true"),
            ("subscription_data[trial_period_days]", "14"), ("payment_method_collection", "if_required"),
            ("subscription_data[trial_settings][end_behavior][missing_payment_method]", "cancel"), ("locale", "de"),
            ("branding_settings[display_name]", "Frontdesk"), ("branding_settings[logo][url]", "https://example.com/logo.png"),
            ("custom_text[submit][message]", "By paying you ask us to begin at once."),
        } <= set(pairs)  # fmt: skip


@pytest.mark.parametrize(("behavior", "paid"), [("inclusive", 500), ("exclusive", 595)])
def test_tax_is_in_what_is_paid_and_in_what_comes_next(world: World, switch: Any, behavior: str, paid: int) -> None:
    tax = {500: 80, 595: 95}[paid]
    switch(STRIPE_AUTOMATIC_TAX=True)
    world.shop.control("edit", kind="price", id=world.price("personal"), fields={"tax_behavior": behavior})
    dana = signed_up(world, country="DE")
    (invoice,) = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or ""}).data
    assert (invoice.amount_paid, [one.amount for one in invoice.total_taxes or []]) == (paid, [tax])
    assert (next_charge(dana)[1], world.state(dana).access, world.jobs()) == (paid, "active", [])
    client = Client()
    client.force_login(dana.user)
    assert f"including {format_money(tax, 'eur')} tax" in client.get(reverse("dashboard")).content.decode()
    world.pass_time(days=31, seconds=4000)
    world.deliver()
    newest = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or "", "limit": 1}).data[0]
    assert (newest.amount_paid, world.state(dana).access) == (paid, "active")
    world.assert_laws_hold()


def test_where_no_tax_is_collected_none_is_paid(world: World, switch: Any) -> None:
    switch(STRIPE_AUTOMATIC_TAX=True)
    world.shop.control("edit", kind="price", id=world.price("personal"), fields={"tax_behavior": "exclusive"})
    assert next_charge(signed_up(world, country="US")) == (500, 500)


def test_a_promotion_code_of_the_payment_form_is_in_the_next_charge(world: World, switch: Any) -> None:
    switch(STRIPE_PROMOTION_CODES=True)
    coupon = world.shop.v1.coupons.create({"percent_off": 40, "duration": "forever"}).id
    world.shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, "code": "SPRING40"})
    opened = signup_checkout.open_checkout(world.signup("eve"), ui="embedded")
    answer = world.shop.pay({"url": "", "client_secret": opened.client_secret}, promotion_code="NOPE")
    assert answer.headers["X-Sandbox-Outcome"] == "declined"
    assert "This code is invalid." in answer.text
    assert next_charge(signed_up(world, promotion_code="spring40")) == (300, 300)


def test_a_tax_id_stands_on_the_invoice(world: World, switch: Any) -> None:
    switch(STRIPE_TAX_IDS=True)
    dana = signed_up(world, tax_id="DE123456789")
    (invoice,) = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or ""}).data
    assert [(one.type, one.value) for one in invoice.customer_tax_ids or []] == [("eu_vat", "DE123456789")]


def test_a_trial_with_a_card_is_charged_when_it_ends(world: World, switch: Any) -> None:
    switch(STRIPE_TRIAL_DAYS=14)
    dana = signed_up(world)
    assert (world.stripe_state(dana)["status"], world.state(dana).access) == ("trialing", "active")
    assert next_charge(dana) == (0, 500)
    world.pass_time(days=14, seconds=4000)
    world.deliver()
    assert (next_charge(dana), world.state(dana).access, world.jobs()) == ((500, 500), "active", [])


def test_a_trial_without_a_card_ends_the_subscription(world: World, switch: Any) -> None:
    switch(STRIPE_TRIAL_DAYS=14, STRIPE_TRIAL_CARD=False)
    dana = signed_up(world, card="")
    assert (world.state(dana).access, coming(dana), next_charge(dana)[1]) == ("active", "trial_lapses", None)
    assert world.shop.v1.payment_methods.list({"customer": dana.stripe_customer_id or ""}).data == []
    world.pass_time(days=14, seconds=4000)
    world.deliver()
    assert (world.state(dana).access, world.jobs()) == ("canceled", [])


def test_a_card_that_is_added_lets_the_trial_go_on(world: World, switch: Any) -> None:
    switch(STRIPE_TRIAL_DAYS=14, STRIPE_TRIAL_CARD=False)
    dana = signed_up(world, card="")
    add_card(world, dana)
    world.deliver()
    assert (coming(dana), next_charge(dana)[1]) == ("trial_ends", 500)
    world.pass_time(days=14, seconds=4000)
    world.deliver()
    assert (next_charge(dana), world.state(dana).access, world.jobs()) == ((500, 500), "active", [])


def test_who_has_had_an_account_gets_no_second_trial(world: World, switch: Any) -> None:
    dana = world.subscriber("dana")
    switch(STRIPE_TRIAL_DAYS=14)
    assert signup_checkout.checkout_attempt.trial_days_of(dana) == 0
    assert signup_checkout.checkout_attempt.trial_days_of(None) == 14


@pytest.mark.parametrize(
    "wrong", [{"STRIPE_TRIAL_DAYS": 731}, {"STRIPE_CONSENT_TEXT": "x" * 1201}, {"STRIPE_LOCALE": "de-DE"}]
)
def test_what_stripe_would_refuse_is_refused_at_start(switch: Any, wrong: dict[str, Any]) -> None:
    switch(**wrong)
    assert [one.id for one in checks.choices_are_sound()] == ["frontdesk.E013"]
