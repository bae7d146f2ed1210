"""After the payment: how far the account has come, shown only to the browser that signed up.

Nobody is logged in here. A lost webhook does no harm: the page has the Checkout session checked.
"""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.access.order_confirmation import list_apps, read_order
from apps.accounts.models import Signup
from apps.core import audit, limits
from apps.core.addresses import shown_email
from apps.core.clear_text import for_programs
from apps.core.errors import BadInput
from apps.core.requests import refuse
from apps.identity.passwords import request_password_email
from apps.onboarding import checkout_result
from apps.onboarding.progress import SignupProgress, read_progress
from apps.storefront import wizard
from apps.storefront.json_views import json_view


@require_safe
def success(request: HttpRequest) -> HttpResponse:
    """The page Stripe returns to. Without the session that started the checkout it reveals nothing."""
    signup = _own_signup(request)
    if signup is None:
        return _private(render(request, "storefront/success_neutral.html"))
    _check_payment(signup)
    progress = read_progress(signup)
    profile = signup.profile
    order = (
        read_order(profile, profile.stripe_subscription_id) if profile and signup.state == Signup.State.PAID else None
    )
    apps = list_apps(profile) if profile and order else ()
    context = {"signup": signup, "progress": progress, "order": order, "apps": apps}
    return _private(render(request, "storefront/success.html", context))


@for_programs
@require_safe
def success_state(request: HttpRequest) -> HttpResponse:
    """The same as JSON; the page asks every second or two."""
    signup = _own_signup(request)
    if signup is None:
        return refuse(BadInput(_("There's no sign-up in this browser."), code="no_signup", status=404))
    _check_payment(signup)
    return _private(JsonResponse(_json(read_progress(signup))))


@json_view()
def resend_password(request: HttpRequest, _body: dict[str, Any]) -> dict[str, Any]:
    """Send the password email once more: only from the browser that started the checkout, three times an hour."""
    signup = _own_signup(request)
    profile = signup.profile if signup else None
    if signup is None or profile is None or signup.state != Signup.State.PAID:
        raise BadInput(_("There's no finished sign-up in this browser."), code="no_signup", status=403)
    if profile.keycloak_id is None:
        raise BadInput(_("We're still creating your account. Please wait a moment."), code="not_yet", status=409)
    request_password_email(profile, actor=audit.CUSTOMER, reason="on the success page")
    message = _("We've sent it to {address}.").format(address=shown_email(signup.email))
    return {"sent": True, "message": message}


def _own_signup(request: HttpRequest) -> Signup | None:
    """The signup this browser session paid for or is paying for; None too when the address names another session."""
    signup = wizard.find_signup(request)
    if signup is None or signup.state == Signup.State.OPEN:
        return None
    named = request.GET.get("session_id", "")
    return signup if not named or named == signup.checkout_session_id else None


def _check_payment(signup: Signup) -> None:
    """Check the Checkout session while the payment is unconfirmed, in case no webhook comes."""
    if signup.state == Signup.State.CHECKOUT and limits.allow(payment_checks=str(signup.pk)):
        checkout_result.check_checkout_later(signup)


def _json(progress: SignupProgress) -> dict[str, Any]:
    return {
        "stages": [asdict(stage) for stage in progress.stages],
        "finished": progress.finished,
        "final": progress.final,
        "usable": progress.usable,
        "debited": progress.debited,
        "login_url": reverse("dashboard"),
    }


def _private(response: HttpResponse) -> HttpResponse:
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
