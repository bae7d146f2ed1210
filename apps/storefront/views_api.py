"""The wizard's JSON APIs: prove a mailbox, check a username, open the payment. All are POST, with CSRF, limited, and
refuse what they do not know. Whether an email address has an account is told to its mailbox only, never in an answer.
"""

import hashlib
import json
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from apps.accounts.models import Signup, UserProfile
from apps.core import clock, limits
from apps.core.errors import BadInput, WorkError
from apps.core.requests import client_address, json_api, text_field
from apps.notifications.mail import notify_secret
from apps.onboarding import codes, names, signup_checkout
from apps.onboarding.models import OneTimeCode
from apps.storefront import wizard
from apps.storefront.basket import Shop

log = structlog.get_logger(__name__)

SIGNUP = OneTimeCode.Purpose.SIGNUP.value
FINGERPRINT = "signup_checkout"  # session key: what the open Checkout session was opened for
MINUTES = int(codes.CODE_LIFETIME.total_seconds()) // 60
RETRY_AFTER = {429: "60", 503: "30"}

JsonView = Callable[..., dict[str, Any]]


def api(*fields: str) -> Callable[[JsonView], Callable[..., HttpResponseBase]]:
    """A JSON API that knows `fields` and refuses others; says when to come back where it asks to wait."""

    def decorate(view: JsonView) -> Callable[..., HttpResponseBase]:
        @json_api
        @wraps(view)
        def checked(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
            unknown = sorted(set(body) - set(fields))
            if unknown:
                raise BadInput(f"“{unknown[0][:40]}” isn't expected here.", code="unknown_field")
            return view(request, body)

        @wraps(view)
        def serve(request: HttpRequest) -> HttpResponseBase:
            response = checked(request)
            if response.status_code in RETRY_AFTER:
                response.headers["Retry-After"] = RETRY_AFTER[response.status_code]
            return response

        return serve

    return decorate


@api("email")
def send_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Mail a code to an address. The answer, the work and the number of mails are the same whoever it belongs to."""
    signup = _signup(request)
    address = names.email(text_field(body, "email", limit=254))
    if signup.state == Signup.State.CHECKOUT and address.lower() != signup.email.lower():
        raise BadInput(
            f"You've started paying with {signup.email}. Please finish with that email address.",
            field="email",
            code="in_checkout",
            status=409,
        )
    codes.check_sending_limits(purpose=SIGNUP, address=address, client=client_address(request))
    known = _is_customer(address)
    with transaction.atomic():
        code = codes.issue_code(purpose=SIGNUP, address=address, session=_session(request), usable=not known)
        notify_secret(
            key=f"code:{uuid.uuid4()}",
            template="already_customer" if known else "signup_code",
            to=address,
            secret_context={} if known else {"code": code, "minutes": str(MINUTES)},
            valid_for=codes.CODE_LIFETIME,
        )
    return {"sent": True, "minutes": MINUTES}


@api("email", "code")
def verify_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Prove the mailbox with the code. The session gets a new id: what was known of it before is worth nothing now."""
    signup = _signup(request)
    address = names.email(text_field(body, "email", limit=254))
    code = "".join(text_field(body, "code", limit=20).split())
    codes.check_try_limits(purpose=SIGNUP, session=_session(request), client=client_address(request))
    if not codes.consume_code(purpose=SIGNUP, address=address, session=_session(request), code=code):
        raise BadInput(
            "That code isn't right or has expired. Check the latest email, or send a new code.",
            field="code",
            code="wrong_code",
        )
    changed = Signup.objects.filter(pk=signup.pk, state=Signup.State.OPEN)
    changed.update(email=address, email_proven_at=clock.now())
    request.session.cycle_key()
    return {"proven": True, "email": address}


@api("username", "email")
def validate(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Whether a username is free, told only after the mailbox is proven; of an email address only whether it is well formed."""
    answer: dict[str, Any] = {}
    if "email" in body:
        answer["email"] = {"well_formed": _problem(names.email, text_field(body, "email", limit=254)) == ""}
    if "username" in body or not answer:
        signup = _proven(request)
        typed = text_field(body, "username", limit=64)
        _allow_asking(request)
        problem = _problem(lambda name: _free_username(name, signup), typed)
        answer["username"] = {"available": not problem, "message": problem or "This username is available."}
    return answer


@api("username", "last_name", "terms", "ui")
def session(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Open the payment: `client_secret` for the embedded form, `url` for Stripe's own page. Prices come from us alone."""
    signup = _proven(request)
    _read_account(signup, body)
    ui = "hosted" if settings.STRIPE_CHECKOUT_UI == "hosted" else text_field(body, "ui", required=False) or "embedded"
    if ui not in {"embedded", "hosted"}:
        raise BadInput("“ui” must be embedded or hosted.", field="ui")
    shop = Shop.load()
    order = shop.order(signup)
    if order is None or wizard.first_unanswered_step(request, signup, shop) != wizard.CHECKOUT:
        raise BadInput("Please choose a plan first.", code="no_plan", status=409)
    signup.basket = order.basket  # what the page shows is what is charged
    _allow_opening(request, signup, ui)
    _free_username(signup.username, signup)
    if signup.state == Signup.State.OPEN:
        signup.save(update_fields=["username", "last_name", "terms_version", "terms_accepted_at", "basket"])
    return _open(request, signup, ui)


# --- steps of the above ----------------------------------------------------------------------------------------------


def _signup(request: HttpRequest) -> Signup:
    signup = wizard.current_signup(request)
    if signup is None:
        raise BadInput(
            "Your sign-up has ended. Please start again from the first page.",
            code="no_signup",
            status=409,
        )
    return signup


def _proven(request: HttpRequest) -> Signup:
    signup = _signup(request)
    if signup.email_proven_at is None:
        raise BadInput("Please confirm your email address first.", field="email", code="unproven", status=403)
    return signup


def _session(request: HttpRequest) -> str:
    return request.session.session_key or ""


def _is_customer(address: str) -> bool:
    """Whether an address belongs to a customer; an unpaid try of earlier makes none."""
    paid = Q(keycloak_id__isnull=False) | ~Q(subscription_status="")
    return UserProfile.objects.filter(paid, email__iexact=address).exists()


def _problem(check: Callable[[str], Any], typed: str) -> str:
    """The sentence with which `check` refuses `typed`; empty when it does not."""
    try:
        check(typed)
    except BadInput as refusal:
        return refusal.message
    return ""


def _free_username(typed: str, signup: Signup) -> str:
    """The name as it will be; BadInput when it is malformed, reserved or somebody's. Asks our own tables only."""
    name = names.username(typed)
    users = User.objects.filter(username__iexact=name)
    if signup.profile is not None:
        users = users.exclude(pk=signup.profile.user_id)
    live = Signup.objects.filter(state__in=Signup.LIVE, username__iexact=name).exclude(pk=signup.pk)
    if users.exists() or live.exists():
        raise BadInput(
            "This username is taken. Please choose another.",
            field="username",
            code="taken",
            status=409,
        )
    return name


def _read_account(signup: Signup, body: dict[str, Any]) -> None:
    """The account fields of a request into the signup, not saved; BadInput for the first that is wrong."""
    typed = names.username(text_field(body, "username", limit=64))
    if signup.profile is None or signup.profile.keycloak_id is None:  # who comes back keeps the name
        signup.username = typed
    last_name = text_field(body, "last_name", limit=names.NAME_LIMIT, required=False)
    signup.last_name = names.person_name(last_name, field="last_name", required=False)
    if body.get("terms") is not True:
        raise BadInput("Please accept the terms to continue.", field="terms", code="required")
    if signup.terms_version != settings.TERMS_VERSION or signup.terms_accepted_at is None:
        signup.terms_version = settings.TERMS_VERSION
        signup.terms_accepted_at = clock.now()


def _allow_asking(request: HttpRequest) -> None:
    """10 questions a minute per session, 30 an hour per visitor."""
    allowed = [
        limits.spend("username-session", _session(request), limit=10, per=60),
        limits.spend("username-visitor", client_address(request), limit=30, per=3600),
    ]
    if not all(allowed):
        raise BadInput(
            "You've checked a lot of names. Please wait a minute.",
            field="username",
            code="too_many",
            status=429,
        )


def _allow_opening(request: HttpRequest, signup: Signup, ui: str) -> None:
    """3 Checkout sessions an hour per mailbox, 10 per visitor; a reload of the same one is not counted."""
    answers = [signup.username, signup.email, signup.basket, signup.interval, ui]
    fingerprint = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()
    if signup.state == Signup.State.CHECKOUT and request.session.get(FINGERPRINT) == fingerprint:
        return
    allowed = [
        limits.spend("checkout-mailbox", limits.mailbox(signup.email), limit=3, per=3600),
        limits.spend("checkout-visitor", client_address(request), limit=10, per=3600),
    ]
    if not all(allowed):
        raise BadInput(
            "Too many payment attempts. Please try again in an hour.",
            code="too_many",
            status=429,
        )
    request.session[FINGERPRINT] = fingerprint


def _open(request: HttpRequest, signup: Signup, ui: str) -> dict[str, Any]:
    try:
        opened = signup_checkout.open_checkout(signup, ui=ui)
    except signup_checkout.AlreadyPaid:
        return {"paid": True, "url": reverse("onboarding-success")}
    except signup_checkout.ProductFull as full:
        raise BadInput(
            f"{full.product.name} just sold out. You haven't been charged.",
            field=full.product.slug,
            code="full",
            status=409,
        ) from full
    except (signup_checkout.NameTaken, IntegrityError) as taken:
        message = getattr(taken, "message", "This username is taken. Please choose another.")
        field = getattr(taken, "field", "username")
        raise BadInput(message, field=field, code="taken", status=409) from taken
    except WorkError as away:
        log.warning("checkout_not_opened", signup=str(signup.pk), reason=away.reason)
        request.session.pop(FINGERPRINT, None)
        raise BadInput(
            "We can't reach the payment page right now. You haven't been charged; please try again in a minute.",
            code="payment_away",
            status=503,
        ) from away
    return {
        "ui": ui,
        "client_secret": opened.client_secret,
        "url": opened.url,
        "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
    }
