"""Recovery: for people who cannot get in. A code by mail, then where they stand and the way to pay; never a login.

Before the code is right no answer tells anything about anybody; see recovery_session.py for what a proven mailbox opens.
"""

from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import Signup, UserProfile
from apps.core import audit, limits
from apps.core.errors import BadInput, WorkError
from apps.core.requests import client_address, text_field
from apps.core.states import AccessState
from apps.identity.passwords import request_password_email
from apps.onboarding import checkout_result, codes
from apps.onboarding import recovery as access
from apps.storefront import recovery_session
from apps.storefront.views_api import MINUTES, api

log = structlog.get_logger(__name__)

LOOK_SECONDS = 10  # how often one payment may be looked at from here


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Ask for the address and the code; who has proven it sees where they stand and what to do."""
    profile = recovery_session.proven(request)
    if profile is None:
        return render(request, "storefront/recovery.html", {"ways": access.Way})
    if "session_id" in request.GET:  # back from Stripe: the webhook may be late or lost
        _look_again(profile)
    context = {"found": recovery_session.view(profile), "profile": profile, "back": "session_id" in request.GET}
    return render(request, "storefront/recovery_account.html", context)


@require_safe
def state(request: HttpRequest) -> HttpResponse:
    """Whether the account is open again, for the page to ask after a payment."""
    profile = recovery_session.proven(request)
    if profile is None:
        error = {"message": "Your session has ended. Please ask for a new code.", "field": "", "code": "no_recovery"}
        return JsonResponse({"error": error}, status=404)
    _look_again(profile)
    settled = profile.observed_generation >= profile.desired_generation
    active = AccessState(profile.access_state).has_access
    return JsonResponse({"open": active and settled, "sentence": profile.access_sentence})


@api("email")
def send_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Mail a code to the address, or a friendly no: the answer, its time and its cost are the same."""
    address = recovery_session.address_of(text_field(body, "email", limit=254))
    codes.allow_sending(purpose=recovery_session.RECOVERY, address=address, client=client_address(request))
    if not request.session.session_key:
        request.session.create()
    recovery_session.send_code(address=address, session=request.session.session_key or "")
    return {"sent": True, "minutes": MINUTES}


@api("email", "code")
def verify_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Prove the mailbox with the code; re-enables the account, without its apps, where the policy allows it."""
    address = recovery_session.address_of(text_field(body, "email", limit=254))
    code = "".join(text_field(body, "code", limit=20).split())
    if not request.session.session_key:
        request.session.create()
    codes.allow_trying(
        purpose=recovery_session.RECOVERY, session=request.session.session_key or "", client=client_address(request)
    )
    profile = recovery_session.prove(request, address=address, code=code)
    if profile is None:
        raise BadInput(
            "That code isn't right or has expired. Check the latest email, or send a new code.",
            field="code",
            code="wrong_code",
        )
    found = recovery_session.view(profile)
    return {
        "proven": True,
        "state": found.standing.state.value,
        "way": found.standing.way.value,
        "final_date": found.standing.final_at.isoformat() if found.standing.final_at else None,
    }


@api()
def checkout_session(request: HttpRequest, _body: dict[str, Any]) -> dict[str, Any]:
    """`url`: where to pay to come back: a Checkout for the former products, the open invoice, or Stripe's portal."""
    profile = _proven(request)
    if not limits.spend("recovery-checkout", str(profile.pk), limit=10, per=3600):
        raise BadInput("Too many payment attempts. Please try again in an hour.", code="too_many", status=429)
    try:
        return {"url": access.payment_url(profile)}
    except WorkError as away:
        log.warning("recovery_checkout_not_opened", profile=profile.pk, reason=away.reason)
        raise BadInput(
            "We can't reach the payment page right now. You haven't been charged; please try again in a minute.",
            code="payment_away",
            status=503,
        ) from away


@api()
def password_mail(request: HttpRequest, _body: dict[str, Any]) -> dict[str, Any]:
    """Ask Keycloak to mail its own link to set a password; it does so for open accounts only."""
    profile = _proven(request)
    state = AccessState(profile.access_state)
    if not (state.has_access or state == AccessState.RECOVERING):
        raise BadInput("Your account isn't open yet. Please try again in a moment.", code="closed", status=409)
    request_password_email(profile, actor=audit.CUSTOMER, reason="on the recovery page")
    return {"sent": True, "message": "We've emailed you a link to set your password."}


@require_POST
def begin_anew(request: HttpRequest) -> HttpResponse:
    """To the wizard, for somebody whose place was given up."""
    profile = recovery_session.proven(request)
    if profile is None or access.standing(profile).way != access.Way.BEGIN_ANEW:
        return redirect("recovery")
    recovery_session.begin_anew(request, profile)
    return redirect("onboarding-plan")


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """End the recovery session, to begin with another address."""
    recovery_session.forget(request)
    return redirect("recovery")


def _proven(request: HttpRequest) -> UserProfile:
    profile = recovery_session.proven(request)
    if profile is None:
        raise BadInput("Your session has ended. Please ask for a new code.", code="no_recovery", status=403)
    return profile


def _look_again(profile: UserProfile) -> None:
    """Have the open payment of this person looked at, at most every ten seconds."""
    signup = Signup.objects.filter(profile=profile, state=Signup.State.CHECKOUT).first()
    if signup is not None and limits.spend("recovery-look", str(signup.pk), limit=1, per=LOOK_SECONDS):
        checkout_result.settle_later(signup)
