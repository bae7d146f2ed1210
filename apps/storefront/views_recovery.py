"""Recovery, for subscribers who can't log in: a code by email, then the account's state and the way to pay; never a login.

Before the code is right, no answer reveals anything; see recovery_session.py for what a confirmed address opens.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import Signup, UserProfile
from apps.core import addresses, audit, limits
from apps.core.clear_text import for_programs
from apps.core.errors import BadInput
from apps.core.requests import client_address, refuse, text_field
from apps.core.states import AccessState
from apps.identity.passwords import request_password_email
from apps.onboarding import checkout_result, codes, recovery
from apps.storefront import recovery_session
from apps.storefront.json_views import json_view

ENDED = "Your session has ended. Please ask for a new code."


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Ask for the address and the code; afterwards show the account's state and what to do."""
    profile = recovery_session.recovering_profile(request)
    if profile is None:
        return render(request, "storefront/recovery.html")
    if "session_id" in request.GET:  # back from Stripe: the webhook may be late or lost
        _check_payment(profile)
    context = {"page": recovery_session.read_page(profile), "profile": profile, "back": "session_id" in request.GET}
    return render(request, "storefront/recovery_account.html", context)


@for_programs
@require_safe
def state(request: HttpRequest) -> HttpResponse:
    """Whether the account is open again; the page asks after a payment."""
    profile = recovery_session.recovering_profile(request)
    if profile is None:
        return refuse(BadInput(ENDED, code="no_recovery", status=404))
    _check_payment(profile)
    synced = profile.observed_generation >= profile.desired_generation
    active = AccessState(profile.access_state).has_access
    return JsonResponse({"open": active and synced, "sentence": profile.access_sentence})


@json_view("email")
def send_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Email a code, or that there is no account: the answer, its time and its cost are the same."""
    address = recovery_session.parse_address(text_field(body, "email", limit=addresses.LIMIT))
    codes.check_sending_limits(purpose=recovery_session.RECOVERY, address=address, client=client_address(request))
    if not request.session.session_key:
        request.session.create()
    recovery_session.send_code(address=address, session=request.session.session_key or "")
    return {"sent": True, "minutes": codes.MINUTES}


@json_view("email", "code")
def verify_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Confirm the address with the code; re-enables the account, without its apps, where the policy allows it."""
    address = recovery_session.parse_address(text_field(body, "email", limit=addresses.LIMIT))
    code = text_field(body, "code", limit=40)
    visitor = client_address(request)  # only the right code makes a session for a browser without one
    session = request.session.session_key or visitor
    codes.check_try_limits(session=session, client=visitor)
    profile = recovery_session.confirm_address(request, address=address, code=code)
    if profile is None:
        raise codes.refuse(purpose=recovery_session.RECOVERY, address=address, session=session)
    status = recovery.read_status(profile)
    return {
        "proven": True,
        "state": status.state.value,
        "next_step": status.next_step.value,
        "final_date": status.final_at.isoformat() if status.final_at else None,
    }


@json_view()
def checkout_session(request: HttpRequest, _body: dict[str, Any]) -> dict[str, Any]:
    """`url`: where to pay: a Checkout for the former products, the open invoice, or Stripe's portal."""
    profile = _recovering_profile(request)
    if not limits.allow(recovery_checkouts=str(profile.pk)):
        raise BadInput("Too many payment attempts. Please try again in an hour.", code="too_many", status=429)
    return {"url": recovery.payment_url(profile)}


@json_view()
def password_email(request: HttpRequest, _body: dict[str, Any]) -> dict[str, Any]:
    """Ask Keycloak to email its own link to set a password; open accounts only."""
    profile = _recovering_profile(request)
    state = AccessState(profile.access_state)
    if not (state.has_access or state == AccessState.RECOVERING):
        raise BadInput("Your account isn't open yet. Please try again in a moment.", code="closed", status=409)
    request_password_email(profile, actor=audit.CUSTOMER, reason="on the recovery page")
    return {"sent": True, "message": "We've emailed you a link to set your password."}


@require_POST
def sign_up_again(request: HttpRequest) -> HttpResponse:
    """Send an expired subscriber into the wizard."""
    profile = recovery_session.recovering_profile(request)
    if profile is None or recovery.read_status(profile).next_step != recovery.NextStep.SIGN_UP_AGAIN:
        return redirect("recovery")
    recovery_session.start_new_signup(request, profile)
    return redirect("onboarding-plan")


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """End the recovery session, to use a different address."""
    recovery_session.end_session(request)
    return redirect("recovery")


def _recovering_profile(request: HttpRequest) -> UserProfile:
    profile = recovery_session.recovering_profile(request)
    if profile is None:
        raise BadInput(ENDED, code="no_recovery", status=403)
    return profile


def _check_payment(profile: UserProfile) -> None:
    """Check this subscriber's open payment at Stripe, at most every ten seconds."""
    signup = Signup.objects.filter(profile=profile, state=Signup.State.CHECKOUT).first()
    if signup is not None and limits.allow(payment_checks=str(signup.pk)):
        checkout_result.check_checkout_later(signup)
