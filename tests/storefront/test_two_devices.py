"""Two devices, two tabs, Back, a reload, an hour later: who has proven the mailbox goes on, and no answer is lost."""

import html
import re
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import Signup
from apps.catalog.models import Product
from apps.core import clock
from apps.core.models import AuditEntry, RateLimit
from apps.onboarding import signup_checkout
from tests.sandbox.stripe_fixture import GOOD
from tests.storefront.test_apis import error
from tests.storefront.test_mailbox_code import error_beside, field
from tests.storefront.visitor import ACCOUNT, HOME, PAGES, SESSION, Visitor
from tests.world import World

CHECKOUT = PAGES["checkout"]
FORM = {"username": "dana", "last_name": "Example", "terms": "1"}


def other_device(email: str = "dana@example.com") -> Visitor:
    """The same person with another browser, a minute later."""
    RateLimit.objects.all().delete()
    return Visitor().proven(email)


def session_status(world: World, visitor: Visitor) -> str:
    found = world.shop.v1.checkout.sessions.retrieve(visitor.signup.checkout_session_id or "")
    return str(found.status)


def order_shown(answer: HttpResponse) -> str:
    found = re.search(r'data-order="([^"]+)"', answer.content.decode())
    assert found, "no order on the page"
    return found[1]


def test_the_terms_that_count_are_those_that_were_shown(world: World, visitor: Visitor, settings: Any) -> None:
    """New terms come while a payment is open: who pays it has accepted the former; nobody accepts what they have not seen."""
    visitor.proven()
    first = visitor.api(SESSION, **ACCOUNT).json()["client_secret"]  # type: ignore[attr-defined]
    opened = visitor.signup.checkout_session_id or ""
    settings.TERMS_VERSION = "2"
    refused = visitor.api(SESSION, **ACCOUNT)
    assert error(refused)[1:] == ("terms_changed", "terms")
    assert (visitor.signup.terms_version, session_status(world, visitor)) == ("1", "open")
    answer = visitor.post(CHECKOUT, **FORM)
    assert "Our terms have changed" in answer.content.decode()
    box = re.search(r'<input type="checkbox" id="terms"[^>]*>', visitor.get(CHECKOUT).content.decode())
    assert box
    assert ('value="2"' in box[0], " checked" in box[0]) == (True, False)

    second = visitor.api(SESSION, **(ACCOUNT | {"terms": "2"})).json()["client_secret"]  # type: ignore[attr-defined]
    assert (first != second, visitor.signup.terms_version) == (True, "2")
    assert world.shop.v1.checkout.sessions.retrieve(opened).status == "expired"
    settings.TERMS_VERSION = "3"
    page = f"{world.url}/stripe/checkout/embedded/{second}"
    world.shop.post(page, card=GOOD, exp="12/34", cvc="123", name="Dana")
    world.deliver()
    assert visitor.signup.terms_version == "2"
    assert AuditEntry.objects.get(action="checkout_paid").after["terms"] == "2"


# --- two devices -----------------------------------------------------------------------------------------------------------------


def test_who_proves_the_mailbox_elsewhere_goes_on_there(world: World, visitor: Visitor) -> None:
    visitor.proven()
    assert visitor.api(SESSION, **ACCOUNT).status_code == 200
    phone = other_device()
    opened = phone.api(SESSION, **ACCOUNT | {"username": "dana.two"})
    assert opened.status_code == 200, opened.content
    assert (visitor.signup.state, phone.signup.state) == ("expired", "checkout")
    assert (session_status(world, visitor), session_status(world, phone)) == ("expired", "open")
    assert phone.signup.profile == visitor.signup.profile
    world.shop.pay({"url": "", "client_secret": opened.json()["client_secret"]})  # type: ignore[attr-defined]
    world.deliver()
    assert phone.signup.state == "paid"
    found = world.state(phone.signup.profile)
    assert (found.access, found.seats) == ("active", (("nextcloud", "assigned"),))


def test_and_may_come_back_to_the_first_browser(world: World, visitor: Visitor) -> None:
    visitor.proven()
    visitor.api(SESSION, **ACCOUNT)
    phone = other_device()
    phone.api(SESSION, **ACCOUNT)
    assert field(visitor.get(CHECKOUT), "username") == "dana"
    again = visitor.api(SESSION, **ACCOUNT)
    assert again.status_code == 200, again.content
    assert (visitor.signup.state, phone.signup.state) == ("checkout", "expired")


def test_a_payment_made_elsewhere_is_not_taken_over(world: World, visitor: Visitor) -> None:
    visitor.proven()
    opened = visitor.api(SESSION, **ACCOUNT).json()  # type: ignore[attr-defined]
    phone = other_device()
    world.shop.pay({"url": "", "client_secret": opened["client_secret"]})  # no event has come yet
    assert error(phone.api(SESSION, **ACCOUNT | {"username": "dana.two"})) == (409, "in_checkout", "email")
    world.deliver()
    assert (visitor.signup.state, phone.signup.state) == ("paid", "open")


def test_only_a_proven_mailbox_ends_anothers_payment(world: World, visitor: Visitor) -> None:
    visitor.proven()
    visitor.api(SESSION, **ACCOUNT)
    stranger = Visitor().at_checkout()
    Signup.objects.filter(pk=stranger.signup.pk).update(email="dana@example.com")
    assert error(stranger.api(SESSION, **ACCOUNT))[:2] == (403, "unproven")
    assert visitor.signup.state == "checkout"


@pytest.mark.parametrize(
    ("same", "named"), [({"username": "DANA"}, "username"), ({"email": "Dana@example.com"}, "email")]
)
def test_a_collision_names_its_own_field(db: None, same: dict[str, str], named: str) -> None:
    row: dict[str, Any] = {"state": "checkout", "email_proven_at": clock.now(), "created_at": clock.now()}
    Signup.objects.create(username="dana", email="dana@example.com", **row)
    with pytest.raises(IntegrityError) as broken, transaction.atomic():
        Signup.objects.create(**{"username": "emil", "email": "emil@example.com"} | same, **row)
    assert signup_checkout.name_conflict(broken.value).field == named


# --- two tabs --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [False, True], ids=["script", "form"])
def test_what_a_tab_does_not_show_is_not_charged(world: World, visitor: Visitor, plain: bool) -> None:
    visitor.proven()
    shown = order_shown(visitor.get(CHECKOUT))
    visitor.plan("plus")  # in another tab
    if plain:
        answer = visitor.post(CHECKOUT, **FORM, order=shown)
        new = order_shown(answer)
        assert "has just changed" in html.unescape(answer.content.decode())
        assert field(answer, "username") == "dana"
        assert 'name="terms"' in answer.content.decode()
    else:
        answer = visitor.api(SESSION, **ACCOUNT, order=shown)
        new = answer.json()["error"]["order"]["digest"]  # type: ignore[attr-defined]
    assert answer.status_code == 409
    assert visitor.signup.state == "open"
    assert new != shown
    assert visitor.api(SESSION, **ACCOUNT, order=new).status_code == 200


# --- without a script ------------------------------------------------------------------------------------------------------------


def test_the_account_form_leads_to_stripes_page(world: World, visitor: Visitor) -> None:
    visitor.proven()
    answer = visitor.post(CHECKOUT, **FORM, order=order_shown(visitor.get(CHECKOUT)))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(world.url)
    assert visitor.signup.state == "checkout"


@pytest.mark.parametrize(
    ("change", "beside"),
    [({"username": "ab"}, "username"), ({"last_name": "<b>"}, "last_name"), ({"terms": None}, "terms")],
)
def test_what_is_wrong_is_told_beside_its_field(
    shop: dict[str, Product], visitor: Visitor, change: dict[str, str | None], beside: str
) -> None:
    visitor.proven()
    form = {name: value for name, value in (FORM | change).items() if value is not None}
    answer = visitor.post(CHECKOUT, **form)
    assert answer.status_code == 400
    assert error_beside(answer, beside)
    assert field(answer, "username") == form["username"]
    assert visitor.signup.state == "open"


def test_no_payment_without_the_mailbox(shop: dict[str, Product], visitor: Visitor) -> None:
    answer = visitor.at_checkout().post(CHECKOUT, **FORM)
    assert answer.status_code == 403
    assert "confirm your email address first" in answer.content.decode()


# --- Back, and an hour later -----------------------------------------------------------------------------------------------------


def test_back_keeps_the_answers(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.proven()
    answer = visitor.post(CHECKOUT, step="back", username=" Dana.X ", last_name="Example", terms="on")
    assert answer.headers["Location"] == PAGES["addons"]
    shown = visitor.get(CHECKOUT)
    assert (field(shown, "username"), field(shown, "last_name")) == ("dana.x", "Example")
    assert visitor.signup.terms_accepted_at is None, "accepted with the order, not before"


def test_back_passes_over_what_is_no_name(shop: dict[str, Product], visitor: Visitor) -> None:
    visitor.proven()
    visitor.post(CHECKOUT, step="back", username="ab", last_name="Example")
    assert (visitor.signup.username, visitor.signup.last_name) == ("", "Example")


def test_a_session_that_is_over_leads_to_a_sentence(shop: dict[str, Product]) -> None:
    for form in (FORM, {"step": "back"}):
        answer = Client().post(CHECKOUT, form, follow=True)
        assert answer.redirect_chain[-1][0] == HOME
        assert "start again" in answer.content.decode()
