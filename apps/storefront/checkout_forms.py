"""What the forms of the checkout page do without any script: the mailbox, the account, and the way back with the answers kept."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.accounts.models import Signup
from apps.core.errors import BadInput
from apps.onboarding import mailbox_code
from apps.storefront import account_form, signup_proof, views_checkout

BESIDE = ("username", "first_name", "last_name", "terms", "begin_at_once")  # the fields with a place for an error


def answer_form(request: HttpRequest, signup: Signup) -> HttpResponse | None:
    """Where the form leads; None: show the page again, a code was sent a moment ago. BadInput to show on the page."""
    if mailbox_code.FIELD in request.POST:
        done = signup_proof.answer(request, signup)
        return None if done.already else redirect("onboarding-checkout")
    if request.POST.get("step") == "back":
        account_form.save_draft(signup, request.POST.dict())
        return redirect("onboarding-addons")
    typed = ("username", "first_name", "last_name", "terms", "order")
    body: dict[str, Any] = {name: request.POST[name] for name in typed if name in request.POST}
    body |= {"begin_at_once": "begin_at_once" in request.POST, "ui": "hosted"}
    opened = views_checkout.open_payment(request, views_checkout.confirmed(signup), body)
    return redirect(opened["url"])


def shown(request: HttpRequest, signup: Signup, problem: BadInput | None) -> dict[str, Any]:
    """What the account's fields show: as typed while something is wrong, else as kept."""
    typed = problem is not None and "username" in request.POST
    account: dict[str, Any] = {name: getattr(signup, name) for name in ("username", "first_name", "last_name")}
    account["terms"] = signup.terms_accepted_at is not None and signup.terms_version == settings.TERMS_VERSION
    account["begin_at_once"] = signup.asked_to_begin_at is not None
    if typed:
        account = {name: request.POST.get(name, "") for name in BESIDE}
        account["terms"] = account["terms"] == settings.TERMS_VERSION
    beside = problem is not None and problem.field in BESIDE
    return {"account": account, "errors": {problem.field: problem.message} if problem and beside else {}}
