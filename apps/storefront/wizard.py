"""The way through the signup: four steps, kept in the Signup row that the browser session names.

A step opens when those before it are answered; every earlier one can be opened again. Nothing outside is called here.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.accounts.models import Signup
from apps.core import clock, limits
from apps.core.errors import BadInput
from apps.core.requests import client_address
from apps.storefront.basket import Shop

SESSION_KEY = "signup"
ADDONS_SEEN = "signup_addons_seen"
# What a fresh run takes over when a Checkout session of the same browser ran out.
ANSWERS = (
    "first_name", "last_name", "username", "email", "email_proven_at", "interval", "basket", "profile",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One page of the wizard."""

    name: str
    url: str


STEPS = (
    Step("Welcome", "onboarding-welcome"),
    Step("Plan", "onboarding-plan"),
    Step("Storage", "onboarding-addons"),
    Step("Payment", "onboarding-checkout"),
)
WELCOME, PLAN, ADDONS, CHECKOUT = range(4)


def begun(request: HttpRequest) -> Signup | None:
    """The signup this browser session began, whatever its state; None when there is none."""
    known = request.session.get(SESSION_KEY)
    try:
        return Signup.objects.select_related("profile__user").filter(pk=uuid.UUID(known)).first()
    except (TypeError, ValueError, AttributeError):
        return None


def current(request: HttpRequest) -> Signup | None:
    """The signup that may still be answered: an open one, or one that is being paid. One that ran out goes on as new."""
    signup = begun(request)
    if signup is None or signup.state == Signup.State.PAID:
        return None
    if signup.state == Signup.State.EXPIRED:
        return _keep(request, **{name: getattr(signup, name) for name in ANSWERS})
    return signup


def start(request: HttpRequest, *, first_name: str) -> Signup:
    """Answer the first step: a new signup, or the present one with another name. BadInput when there are too many."""
    signup = current(request)
    if signup is not None:
        signup.first_name = first_name
        signup.save(update_fields=["first_name"])
        return signup
    mine = limits.spend("signup-start", client_address(request), limit=20, per=3600)
    if not mine or not limits.spend("signup-start-all", "everybody", limit=200, per=3600):
        raise BadInput(
            "Too many people are signing up right now. Please try again in an hour.",
            code="too_many",
            status=429,
        )
    request.session.pop(ADDONS_SEEN, None)
    return _keep(request, first_name=first_name)


def _keep(request: HttpRequest, **answers: object) -> Signup:
    signup = Signup.objects.create(created_at=clock.now(), **answers)
    request.session[SESSION_KEY] = str(signup.pk)
    return signup


def begin_again(request: HttpRequest, signup: Signup) -> None:
    """Let this browser go on with a signup whose first answers are known."""
    signup.save()
    request.session.pop(ADDONS_SEEN, None)
    request.session[SESSION_KEY] = str(signup.pk)


def first_open(request: HttpRequest, signup: Signup | None, shop: Shop) -> int:
    """The number of the first step that is not answered yet; the last step when all before it are."""
    if signup is None or not signup.first_name:
        return WELCOME
    if shop.order(signup) is None:
        return PLAN
    if not request.session.get(ADDONS_SEEN):
        return ADDONS
    return CHECKOUT


def steps(here: int, reached: int) -> list[dict[str, object]]:
    """The steps for the page's progress line: name, url, and whether each is done, current or open to a visit."""
    return [
        {
            "name": step.name,
            "url": step.url,
            "state": "current" if number == here else "done" if number < here else "",
            "reachable": number <= reached and number != here,
        }
        for number, step in enumerate(STEPS)
    ]


PageView = Callable[[HttpRequest, Signup, Shop], HttpResponse]


def step(number: int) -> Callable[[PageView], Callable[[HttpRequest], HttpResponse]]:
    """A page of the wizard: `view(request, signup, shop)`, called only when all steps before `number` are answered.

    Otherwise the visitor is sent to the first step that is missing; somebody who has paid, to the success page.
    """

    def decorate(view: PageView) -> Callable[[HttpRequest], HttpResponse]:
        @wraps(view)
        def serve(request: HttpRequest) -> HttpResponse:
            signup = current(request)
            if signup is None and begun(request) is not None:
                return redirect("onboarding-success")
            shop = Shop.load(signup.profile if signup else None)
            reached = first_open(request, signup, shop)
            if signup is None or reached < number:
                return redirect(STEPS[reached].url)
            return view(request, signup, shop)

        return serve

    return decorate
