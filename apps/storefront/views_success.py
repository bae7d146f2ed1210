"""After the payment: the true state of the account while it is being made, for the browser that began it and nobody else.

Nobody is signed in here. A lost webhook does no harm: the page asks for a look at the Checkout session itself.
"""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.accounts.models import Signup
from apps.core import audit, limits
from apps.core.errors import BadInput
from apps.identity.passwords import request_password_email
from apps.onboarding import checkout_result
from apps.onboarding.progress import Progress, progress
from apps.storefront import wizard
from apps.storefront.views_api import api

LOOK_SECONDS = 10  # how often one signup may have its Checkout session looked at from here


@require_safe
def success(request: HttpRequest) -> HttpResponse:
    """The page Stripe leads to. Without the session that began the checkout it says nothing about anybody."""
    signup = _own(request)
    if signup is None:
        return _private(render(request, "storefront/success_neutral.html"))
    _look_again(signup)
    state = progress(signup)
    context = {"signup": signup, "progress": state}
    return _private(render(request, "storefront/success.html", context))


@require_safe
def success_state(request: HttpRequest) -> HttpResponse:
    """The same as JSON, for the page to ask every second or two."""
    signup = _own(request)
    if signup is None:
        error = {"message": "There's no sign-up in this browser.", "field": "", "code": "no_signup"}
        return JsonResponse({"error": error}, status=404)
    _look_again(signup)
    return _private(JsonResponse(_json(progress(signup))))


@api()
def resend_password(request: HttpRequest, _body: dict[str, Any]) -> dict[str, Any]:
    """Send the password email once more: only from the browser that began the checkout, three times an hour."""
    signup = _own(request)
    profile = signup.profile if signup else None
    if signup is None or profile is None or signup.state != Signup.State.PAID:
        raise BadInput("There's no finished sign-up in this browser.", code="no_signup", status=403)
    if profile.keycloak_id is None:
        raise BadInput("We're still creating your account. Please wait a moment.", code="not_yet", status=409)
    request_password_email(profile, actor=audit.CUSTOMER, reason="on the success page")
    return {"sent": True, "message": f"We've sent it to {signup.email}."}


def _own(request: HttpRequest) -> Signup | None:
    """The signup this browser session paid for or is paying for; None too when the address names another session."""
    signup = wizard.begun(request)
    if signup is None or signup.state == Signup.State.OPEN:
        return None
    named = request.GET.get("session_id", "")
    return signup if not named or named == signup.checkout_session_id else None


def _look_again(signup: Signup) -> None:
    """While the payment is unconfirmed, have the Checkout session looked at, in case no webhook comes."""
    if signup.state == Signup.State.CHECKOUT and limits.spend("signup-look", str(signup.pk), limit=1, per=LOOK_SECONDS):
        checkout_result.settle_later(signup)


def _json(state: Progress) -> dict[str, Any]:
    return {
        "stages": [asdict(stage) for stage in state.stages],
        "finished": state.finished,
        "settled": state.settled,
        "usable": state.usable,
        "login_url": reverse("dashboard"),
    }


def _private(response: HttpResponse) -> HttpResponse:
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
