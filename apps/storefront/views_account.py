"""Who has an account at Keycloak and no plan yet signs up with it, once a login in this browser has proven that it is theirs.

Promises: a GET changes nothing; a proof of long ago, or of another browser, binds nothing; the address comes from Keycloak.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.accounts.models import Signup
from apps.core import clock
from apps.core.errors import BadInput
from apps.login import newcomers, reauthentication
from apps.login.sessions import profile_of
from apps.onboarding import own_account
from apps.onboarding.basket import Shop
from apps.onboarding.own_account import OwnAccount
from apps.storefront import signup_limits, signup_proof, wizard


@require_http_methods(["GET", "HEAD", "POST"])
def own(request: HttpRequest) -> HttpResponse:
    """The page after such a login, and where the email to an address with an account leads."""
    if request.user.is_authenticated:
        return redirect("dashboard") if profile_of(request.user) else _page(request, "staff")
    newcomer = newcomers.read(request)
    if newcomer is None:
        return redirect(reauthentication.login_url(request.get_full_path()))
    if own_account.is_connecting(newcomer.keycloak_id):
        return _page(request, "attached")
    if not newcomer.is_fresh:
        return _page(request, "again", again=reauthentication.login_url(request.get_full_path()))
    if request.method != "POST":
        return _page(request, "choose", email=newcomer.email)
    try:
        signup_limits.limit_username_checks(request)
        found = own_account.read_own_account(newcomer.keycloak_id)
        if found.payer is not None:
            own_account.attach(found)
            return _page(request, "attached")
        signup = _bind(request, found)
    except BadInput as refusal:
        return _page(request, "refused", status=refusal.status, problem=refusal)
    return redirect(wizard.STEPS[max(wizard.PLAN, wizard.first_unanswered_step(request, signup, Shop.load()))].url)


def _bind(request: HttpRequest, found: OwnAccount) -> Signup:
    """This browser's sign-up, or a new one with the plan that the email's link names, with the account."""
    signup = wizard.current_signup(request)
    if signup is None:
        answers = signup_proof.read_continuation(request.GET.get(signup_proof.CONTINUE, ""))
        signup = Signup(created_at=clock.now(), **answers)
        own_account.bind(signup, found)
        wizard.begin_signup(request, signup)
        if signup.basket:
            request.session[wizard.ADDONS_SEEN] = True
        return signup
    signup_proof.refuse_while_paying(signup, found.email)
    own_account.bind(signup, found)
    signup.save(update_fields=own_account.BOUND)
    return signup


def _page(request: HttpRequest, content: str, *, status: int = 200, **more: Any) -> HttpResponse:
    return render(request, "storefront/own_account.html", {"content": content} | more, status=status)
