"""Recovery, for subscribers who can't log in: a code by email, then the account's state and the way to pay; never a login.

Before the code is right, no answer reveals anything; see recovery_session.py for what a confirmed address opens.
"""

from typing import Any

from csp.decorators import csp_update
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.models import Signup, UserProfile
from apps.billing.stripe_pages import allow_forms_to
from apps.core import addresses, audit, limits
from apps.core.clear_text import for_programs
from apps.core.errors import BadInput
from apps.core.requests import refuse, text_field
from apps.core.states import AccessState
from apps.identity.passwords import request_password_email
from apps.onboarding import checkout_result, codes, mailbox_code, recovery
from apps.storefront import recovery_session
from apps.storefront.json_views import json_view
from apps.storefront.recovery_session import PROOF

ENDED = gettext_noop("Your session has ended. Please ask for a new code.")


@require_http_methods(["GET", "HEAD", "POST"])
@csp_update({"form-action": allow_forms_to("checkout", "invoice", "billing")})
def page(request: HttpRequest) -> HttpResponse:
    """Ask for the address and the code, by forms that need no script; afterwards show the account's state and what to do."""
    if request.method == "POST":
        return _press_button(request) if "account" in request.POST else _answer_form(request)
    profile = recovery_session.recovering_profile(request)
    if profile is None or mailbox_code.LINK in request.GET:
        return _ask_for_code(request)
    back = _comes_from_checkout(request, profile)
    if back:  # the webhook may be late or lost
        _check_payment(profile)
    context = {"page": recovery_session.read_page(profile), "profile": profile, "back": back}
    return render(request, "storefront/recovery_account.html", context)


def _press_button(request: HttpRequest) -> HttpResponse:
    """What the account's page asks the JSON APIs for, by a form."""
    try:
        if request.POST["account"] == "pay":
            return redirect(_payment_url(request))
        if request.POST["account"] == "password":
            messages.success(request, _ask_for_password(request))
    except BadInput as refusal:
        messages.error(request, refusal.message)
    return redirect("recovery")


def _answer_form(request: HttpRequest) -> HttpResponse:
    try:
        done = PROOF.answer(request)
        if done.proven:
            recovery_session.start(request, address=done.proven)
    except BadInput as refusal:
        return _ask_for_code(request, problem=refusal)
    return _ask_for_code(request, already=True) if done.already else redirect("recovery")


def _ask_for_code(request: HttpRequest, *, problem: BadInput | None = None, already: bool = False) -> HttpResponse:
    step = PROOF.step(request, problem=problem, already=already)
    context = {"mailbox": step, "typed": request.POST.get("email", "")}
    return render(request, "storefront/recovery.html", context, status=problem.status if problem else 200)


@for_programs
@require_safe
def state(request: HttpRequest) -> HttpResponse:
    """Whether the account is open again; the page asks after a payment."""
    profile = recovery_session.recovering_profile(request)
    if profile is None:
        return refuse(BadInput(_(ENDED), code="no_recovery", status=404))
    _check_payment(profile)
    synced = profile.observed_generation >= profile.desired_generation
    active = AccessState(profile.access_state).has_access
    # What is recorded may be older than what is so now, as when a grace period has just ended: the page would load for ever.
    is_open = active and synced and recovery.read_status(profile).next_step == recovery.NextStep.LOG_IN
    return JsonResponse({"open": is_open, "sentence": profile.access_sentence})


@json_view("email")
def send_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Email a code, or that there is no account: the answer, its time and its cost are the same."""
    PROOF.send(request, recovery_session.parse_address(text_field(body, "email", limit=addresses.LIMIT)))
    return {"sent": True, "minutes": codes.MINUTES}


@json_view("email", "code")
def verify_code(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    """Confirm the address with the code; re-enables the account, without its apps, where the policy allows it."""
    address = recovery_session.parse_address(text_field(body, "email", limit=addresses.LIMIT))
    PROOF.verify(request, PROOF.typed(request, address=address, code=text_field(body, "code", limit=40)))
    profile = recovery_session.start(request, address=address)
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
    return {"url": _payment_url(request)}


def _payment_url(request: HttpRequest) -> str:
    profile = _recovering_profile(request)
    if not limits.allow(recovery_checkouts=str(profile.pk)):
        raise BadInput(_("Too many payment attempts. Please try again in an hour."), code="too_many", status=429)
    return recovery.payment_url(profile)


@json_view()
def password_email(request: HttpRequest, _body: dict[str, Any]) -> dict[str, Any]:
    """Ask Keycloak to email its own link to set a password; open accounts only."""
    return {"sent": True, "message": _ask_for_password(request)}


def _ask_for_password(request: HttpRequest) -> str:
    """What to tell the person. Raises BadInput with what to tell them instead."""
    profile = _recovering_profile(request)
    state = AccessState(profile.access_state)
    if not (state.has_access or state == AccessState.RECOVERING):
        raise BadInput(_("Your account isn't open yet. Please try again in a moment."), code="closed", status=409)
    request_password_email(profile, actor=audit.CUSTOMER, reason="on the recovery page")
    return _("We've emailed you a link to set your password.")


@require_POST
def sign_up_again(request: HttpRequest) -> HttpResponse:
    """Send an expired subscriber into the wizard."""
    profile = recovery_session.recovering_profile(request)
    if profile is None:
        messages.warning(request, _(ENDED))
        return redirect("recovery")
    if recovery.read_status(profile).next_step != recovery.NextStep.SIGN_UP_AGAIN:
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
        raise BadInput(_(ENDED), code="no_recovery", status=403)
    return profile


def _comes_from_checkout(request: HttpRequest, profile: UserProfile) -> bool:
    """Whether the address names their newest Checkout, and it is paid or may be: Stripe leads back with its id."""
    if not (named := request.GET.get("session_id", "")):
        return False
    newest = Signup.objects.filter(profile=profile).order_by("-created_at").first()
    return newest is not None and newest.checkout_session_id == named and newest.state not in Signup.UNPAID


def _check_payment(profile: UserProfile) -> None:
    """Check this subscriber's open payment at Stripe, at most every ten seconds."""
    signup = Signup.objects.filter(profile=profile, state=Signup.State.CHECKOUT).first()
    if signup is not None and limits.allow(payment_checks=str(signup.pk)):
        checkout_result.check_checkout_later(signup)
