"""The checkout page's JSON APIs: confirm the address, check a username, open the payment.

All are POST with CSRF protection, limited, and refuse unknown fields. Only the mailbox learns whether an address has an account.
"""

from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.models import Signup
from apps.core import addresses, limits
from apps.core.addresses import shown_email
from apps.core.errors import BadInput, WorkError
from apps.core.networks import network_of
from apps.core.requests import client_address, text_field
from apps.onboarding import codes, signup_checkout
from apps.onboarding.basket import Shop
from apps.onboarding.checkout_attempt import PriceChanged
from apps.storefront import signup_limits, signup_proof, wizard
from apps.storefront.account_form import check_free_at_keycloak, check_username, read_account, read_address
from apps.storefront.json_views import json_view
from apps.storefront.signup_proof import PROOF

CONSENT = ("terms_version", "terms_accepted_at", "asked_to_begin_at")


@json_view("email")
def send_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Email a code. The answer, the work and the number of emails are the same for every address."""
    signup = _current_signup(request)
    signup_proof.send(request, signup, read_address(text_field(body, "email", limit=addresses.LIMIT)))
    return {"sent": True, "minutes": codes.MINUTES}


@json_view("email", "code")
def verify_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Confirm the address with the code. The session gets a new id, so that nobody else knows it."""
    signup = _current_signup(request)
    address = read_address(text_field(body, "email", limit=addresses.LIMIT))
    given = PROOF.typed(request, address=address, code=text_field(body, "code", limit=40))
    PROOF.verify(request, given)
    signup_proof.accept(request, signup, address)
    return {"proven": True, "email": shown_email(address)}


@json_view("username", "email")
def validate(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Whether a username is available, once the address is confirmed; of an email only whether it is well formed."""
    answer: dict[str, Any] = {}
    if "email" in body:
        answer["email"] = {"well_formed": _is_well_formed(text_field(body, "email", limit=addresses.LIMIT))}
    if "username" in body or not answer:
        signup = confirmed(_current_signup(request))
        typed = text_field(body, "username", limit=64)
        signup_limits.limit_username_checks(request)
        try:
            check_free_at_keycloak(check_username(typed, signup), signup)
            answer["username"] = {"available": True, "message": _("This username is available.")}
        except BadInput as refusal:
            answer["username"] = {"available": False, "message": refusal.message}
    return answer


@json_view("username", "first_name", "last_name", "terms", "begin_at_once", "ui", "order")
def session(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Open the payment: `client_secret` for the embedded form, `url` for Stripe's page. Only we set the prices."""
    return open_payment(request, confirmed(_current_signup(request)), body)


def open_payment(request: HttpRequest, signup: Signup, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of `session`, for the page's form too. BadInput names the field that is wrong."""
    read_account(signup, body)
    ui = "hosted" if settings.STRIPE_CHECKOUT_UI == "hosted" else text_field(body, "ui", required=False) or "embedded"
    if ui not in {"embedded", "hosted"}:
        raise BadInput(_("“ui” must be embedded or hosted."), field="ui")
    shop = Shop.load()
    order = shop.signup_order(signup)
    if order is None or wizard.first_unanswered_step(request, signup, shop) != wizard.CHECKOUT:
        raise BadInput(_("Please choose a plan first."), code="no_plan", status=409)
    if text_field(body, "order", required=False) not in {"", order.digest}:
        raise PriceChanged(order.data)
    signup.basket = order.basket
    signup_limits.limit_checkouts(request, signup, ui)
    signup.network = limits.subject_hash(network_of(client_address(request)))
    check_username(signup.username, signup)
    if signup.state == Signup.State.OPEN:
        signup.save(update_fields=["username", "first_name", "last_name", *CONSENT, "basket"])
    try:
        return _open_checkout(signup, ui)
    except PriceChanged as changed:
        signup_limits.forget_checkout(request)
        order = Shop.load().signup_order(signup)
        raise PriceChanged(order.data if order else None) from changed
    except WorkError:
        signup_limits.forget_checkout(request)
        raise


def _open_checkout(signup: Signup, ui: str) -> dict[str, Any]:
    """The answer with the open session; BadInput says why there is none."""
    try:
        opened = signup_checkout.open_checkout(signup, ui=ui)
    except signup_checkout.AlreadyPaid:
        return {"paid": True, "url": reverse("onboarding-success")}
    except signup_checkout.ProductFull as full:
        message = _("{product} just sold out. You haven't been charged.").format(product=full.product.name)
        raise BadInput(message, field=full.product.slug, code="full", status=409) from full
    except IntegrityError as taken:
        raise signup_checkout.name_conflict(taken) from taken
    return {
        "ui": ui,
        "client_secret": opened.client_secret,
        "url": opened.url,
        "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
    }


def _current_signup(request: HttpRequest) -> Signup:
    signup = wizard.current_signup(request)
    if signup is None:
        raise BadInput(
            _("Your sign-up has ended. Please start again from the first page."), code="no_signup", status=409
        )
    return signup


def confirmed(signup: Signup) -> Signup:
    """The sign-up, if its mailbox is proven; else BadInput."""
    if signup.email_proven_at is None:
        raise BadInput(_("Please confirm your email address first."), field="email", code="unproven", status=403)
    return signup


def _is_well_formed(typed: str) -> bool:
    try:
        read_address(typed)
    except BadInput:
        return False
    return True
