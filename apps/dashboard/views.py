"""The subscriber's pages and buttons. Everything is fetched through the person who asks; nothing here takes an id."""

from collections.abc import Callable
from functools import wraps

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.access import memberships
from apps.accounts.models import UserProfile
from apps.billing.portal import CARD, open_portal
from apps.billing.stripe_pages import allow_forms_to
from apps.core import audit, limits, restores
from apps.core.addresses import shown_email
from apps.core.errors import BadInput
from apps.core.requests import read_json, refuse, speaks_json
from apps.dashboard import overview
from apps.dashboard.own import log_in_first
from apps.identity.passwords import request_password_email
from apps.login import error_pages
from apps.login.sessions import profile_of
from apps.onboarding import contract_ends

PORTAL_HOSTS = allow_forms_to("billing")
PORTAL_FLOWS = frozenset({"", CARD})


@require_safe
@login_required
@csp_update({"form-action": PORTAL_HOSTS})
def dashboard(request: HttpRequest) -> HttpResponse:
    """The subscriber's overview. Staff who are no subscribers go to the console."""
    profile = profile_of(request.user)
    if profile is None:
        return redirect("admin:index") if request.user.is_staff else error_pages.no_account(request)
    found = overview.of(profile)
    context = {
        "profile": profile,
        "overview": found,
        "upcoming": contract_ends.read_upcoming(profile, found.stated_ends),
        "payer": memberships.find_payer(profile),
        "checking": restores.is_closed(),
    }
    return render(request, "dashboard/overview.html", context)


def _for_subscribers(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A button of the dashboard. Whose login has ended comes back to the dashboard by a new one, since the button's own address
    shows nothing; a script gets 401."""

    @wraps(view)
    def serve(request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request)
        if not speaks_json(request):
            return log_in_first(request, page="dashboard")
        return refuse(BadInput(_("Your login has ended. Please log in again."), code="no_login", status=401))

    return serve


@require_POST
@_for_subscribers
def reset_password(request: HttpRequest) -> HttpResponse:
    """Ask for Keycloak's mail to set a new password. A form gets the page back, a script `{"message"}` or `{"error"}`."""
    try:
        _expect_nothing(request)
        message = _ask_for_mail(_profile(request))
    except BadInput as refusal:
        if _is_form(request):
            messages.error(request, refusal.message)
            return redirect("dashboard")
        return refuse(refusal)
    if _is_form(request):
        messages.success(request, message)
        return redirect("dashboard")
    return JsonResponse({"message": message})


@require_POST
@_for_subscribers
def billing_portal(request: HttpRequest) -> HttpResponse:
    """To Stripe's portal; back to the dashboard with a sentence when it cannot be opened."""
    try:
        return HttpResponseRedirect(_portal_link(_profile(request), request.POST.get("flow", "")))
    except BadInput as refusal:
        messages.error(request, refusal.message)
    return redirect("dashboard")


def _profile(request: HttpRequest) -> UserProfile:
    profile = profile_of(request.user)
    if profile is None:
        raise BadInput(_("This login has no subscription."), code="no_subscriber", status=403)
    return profile


def _expect_nothing(request: HttpRequest) -> None:
    """The mail is always one's own: a script that names fields means something else."""
    if request.content_type == "application/json" and read_json(request):
        raise BadInput(_("This request takes no fields."), code="unknown_field")


@transaction.atomic
def _ask_for_mail(profile: UserProfile) -> str:
    """Queue the mail; returns what to tell the person. Raises BadInput with what to tell them instead."""
    if not profile.keycloak_id:
        raise BadInput(
            _("Your account is still being prepared. Please try again in a minute."), code="not_ready", status=409
        )
    request_password_email(profile, actor=audit.CUSTOMER, reason="on the dashboard")
    told = _("We're emailing {address} a link to choose a new password.")
    return told.format(address=shown_email(profile.email))


def _portal_link(profile: UserProfile, flow: str) -> str:
    """A fresh link into the portal. Raises BadInput with what to tell the person, and WorkError when Stripe is away."""
    if flow not in PORTAL_FLOWS:
        raise BadInput(_("The billing page doesn't offer that."), field="flow")
    if not profile.stripe_customer_id:
        raise BadInput(_("There is no subscription to manage yet."), status=409)
    if not limits.allow(portal_links=str(profile.user_id)):
        raise BadInput(_("You've opened the billing page too often. Please wait a few minutes."), status=429)
    return open_portal(profile=profile, return_url=settings.BASE_URL + reverse("dashboard"), flow=flow)


def _is_form(request: HttpRequest) -> bool:
    """Whether a browser shows the answer as a page; scripts do not ask for HTML."""
    return "text/html" in request.headers.get("Accept", "")
