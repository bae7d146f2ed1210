"""The sign-up wizard: four steps, stored in the Signup row that the browser session points to.

The plans are open to everybody. A later step opens once those before it are answered; every earlier one can be opened again.
Nothing here calls outside.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.accounts.models import Signup
from apps.core import clock, limits
from apps.core.errors import BadInput
from apps.core.requests import SAFE, client_address
from apps.onboarding.basket import Shop

SESSION_KEY = "signup"
ENDED = gettext_noop("Your sign-up has ended because nothing happened for a while. Please start again.")
ADDONS_SEEN = "signup_addons_seen"
EMAIL_FIRST = "signup_email_first"  # too many sign-ups: this one confirms its address before anything else
# Copied to a new signup when the old one's Checkout session has expired.
KEPT_ANSWERS = (
    "first_name", "last_name", "username", "email", "email_proven_at", "interval", "basket", "profile",
    "keycloak_id",
)  # fmt: skip


@dataclass(frozen=True)
class WizardStep:
    """One page of the wizard."""

    name: str
    url: str


STEPS = (
    WizardStep(gettext_noop("Welcome"), "onboarding-welcome"),
    WizardStep(gettext_noop("Plan"), "onboarding-plan"),
    WizardStep(gettext_noop("Storage"), "onboarding-addons"),
    WizardStep(gettext_noop("Payment"), "onboarding-checkout"),
)
WELCOME, PLAN, ADDONS, CHECKOUT = range(4)


def find_signup(request: HttpRequest) -> Signup | None:
    """This browser session's signup in any state; None without one."""
    signup_id = request.session.get(SESSION_KEY)
    try:
        return Signup.objects.select_related("profile__user").filter(pk=uuid.UUID(signup_id)).first()
    except (TypeError, ValueError, AttributeError):
        return None


def current_signup(request: HttpRequest) -> Signup | None:
    """The signup that can still be edited or paid. An expired one continues as a new one with the same answers, saved by a POST."""
    signup = find_signup(request)
    if signup is None or signup.state == Signup.State.PAID:
        return None
    if signup.state in Signup.UNPAID:
        again = Signup(created_at=clock.now(), **{name: getattr(signup, name) for name in KEPT_ANSWERS})
        return again if request.method in SAFE else _save_signup(request, again)
    return signup


def start_signup(request: HttpRequest, *, first_name: str) -> Signup:
    """Answer the first step: a new signup, or the current one with another name. BadInput when there are too many."""
    signup = current_signup(request)
    if signup is not None:
        signup.first_name = first_name
        signup.save(update_fields=["first_name"])
        return signup
    return begin_signup(request, Signup(created_at=clock.now(), first_name=first_name))


def begin_signup(request: HttpRequest, signup: Signup) -> Signup:
    """Save the first answer of somebody new. BadInput when there are too many."""
    if not limits.allow(signups_visitor=client_address(request)):
        raise BadInput(
            _("Too many people are signing up from your network right now. Please try again in an hour."),
            code="too_many",
            status=429,
        )
    request.session.pop(ADDONS_SEEN, None)
    request.session[EMAIL_FIRST] = not limits.allow_together("signups_all")
    return _save_signup(request, signup)


def must_confirm_email(request: HttpRequest, signup: Signup) -> bool:
    """Whether this sign-up, begun while unusually many were, has to prove a mailbox before it goes on."""
    return bool(request.session.get(EMAIL_FIRST)) and signup.email_proven_at is None


def has_just_confirmed_email(request: HttpRequest, signup: Signup) -> bool:
    """True once, for a sign-up that had to."""
    return signup.email_proven_at is not None and bool(request.session.pop(EMAIL_FIRST, False))


def _save_signup(request: HttpRequest, signup: Signup) -> Signup:
    if signup._state.adding:
        signup.save()
    request.session[SESSION_KEY] = str(signup.pk)
    return signup


def continue_with(request: HttpRequest, signup: Signup) -> None:
    """Let this browser continue with a prepared signup, which is saved unless it was."""
    request.session.pop(ADDONS_SEEN, None)
    _save_signup(request, signup)


def first_unanswered_step(request: HttpRequest, signup: Signup | None, shop: Shop) -> int:
    """The number of the first step without an answer; the last step when all before it are answered."""
    if signup is None or must_confirm_email(request, signup):
        return WELCOME
    if shop.order(signup) is None:
        return PLAN
    if not request.session.get(ADDONS_SEEN):
        return ADDONS
    return CHECKOUT


def step_links(here: int, reached: int) -> list[dict[str, object]]:
    """The steps for the progress line: name, url, whether each is done or current, and whether it can be opened."""
    return [
        {
            "name": _(step.name),
            "url": step.url,
            "state": "current" if number == here else "done" if number < here else "",
            "reachable": number <= reached and number != here,
        }
        for number, step in enumerate(STEPS)
    ]


PageView = Callable[[HttpRequest, Signup, Shop], HttpResponse]


def wizard_page(number: int) -> Callable[[PageView], Callable[[HttpRequest], HttpResponse]]:
    """A page of the wizard: `view(request, signup, shop)`, called only when all steps before `number` are answered.

    Otherwise it redirects to the first unanswered step, or to the success page after the payment. The plans need nobody: who is
    new, or follows a link to a plan after a payment, gets a signup that is not saved yet.
    """

    def decorate(view: PageView) -> Callable[[HttpRequest], HttpResponse]:
        @wraps(view)
        def serve(request: HttpRequest) -> HttpResponse:
            signup = current_signup(request)
            if signup is None and find_signup(request) is not None and not (number == PLAN and "plan" in request.GET):
                return redirect("onboarding-success")
            if signup is None and number == PLAN:
                return view(request, Signup(created_at=clock.now()), Shop.load())
            shop = Shop.load(signup.profile if signup else None)
            reached = first_unanswered_step(request, signup, shop)
            if signup is None and request.method not in SAFE:
                messages.warning(request, _(ENDED))
            if signup is None or reached < number:
                return redirect(STEPS[reached].url)
            return view(request, signup, shop)

        return serve

    return decorate
