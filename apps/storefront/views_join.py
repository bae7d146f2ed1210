"""Where an invitation to somebody else's subscription leads: who has an account joins with it, others make one for the invited address.

Promises: the link proves the mailbox, so nobody else learns whether its address has an account; a GET changes nothing; what was typed
stays in the form, with what is wrong beside its field.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_http_methods

from apps.access import existing_accounts, memberships
from apps.access.existing_accounts import Obstacle
from apps.accounts.models import Membership, Signup, UserProfile
from apps.core import clock, security_events
from apps.core.errors import BadInput, DependencyDown, RetryLater
from apps.core.requests import storable
from apps.core.security_events import SecurityEvent
from apps.identity import user_profile
from apps.login import newcomers, reauthentication
from apps.login.newcomers import Newcomer
from apps.login.sessions import profile_of
from apps.onboarding import names, own_account, people
from apps.onboarding.people import InvitationLink
from apps.storefront import signup_limits
from apps.storefront.account_form import check_username, read_first_name
from apps.storefront.consent import read_accepted_terms

FIELDS = ("first_name", "last_name", "username")
AWAY = gettext_noop("We can't check usernames at the moment. Please try again in a minute.")


@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """The page of one invitation."""
    link, row = people.read_link(storable(token))
    if link == InvitationLink.JOINED and row is not None:
        return _joined_page(request, row)
    if link != InvitationLink.OPEN or row is None:
        security_events.note(SecurityEvent.LINK_REFUSED, link="join", reason=link.name.lower())
        return _page(request, row, {"content": link.name.lower()}, 404 if link == InvitationLink.FORGED else 410)
    member = profile_of(request.user) if request.user.is_authenticated else None
    context = _choose_content(request, row, member)
    if request.method != "POST" or context["content"] in {"login", "again"}:
        return _page(request, row, context)
    typed = {name: storable(request.POST.get(name, "")) for name in FIELDS}
    try:
        _join(request, row, member, typed, newcomer=context.get("newcomer"))
    except BadInput as refusal:
        if people.read_link(storable(token))[0] == InvitationLink.JOINED:  # the same form was sent twice
            return redirect(request.path)
        return _page(request, row, context | {"problem": refusal, "typed": typed}, refusal.status)
    if member is None:
        return redirect(request.path)
    messages.success(request, _("You've joined. Your apps open in a moment."))
    return redirect("dashboard")


def _choose_content(request: HttpRequest, row: Membership, member: UserProfile | None) -> dict[str, Any]:
    """What the page of an open invitation shows: how this browser's person can join."""
    newcomer = None if request.user.is_authenticated else newcomers.read(request)
    if member is not None:
        return {"content": "account", "member": member}
    if newcomer is not None:
        again = reauthentication.login_url(request.path)
        return {"content": "own" if newcomer.is_fresh else "again", "newcomer": newcomer, "again": again}
    is_known = UserProfile.customers().filter(email__iexact=row.email).exists()
    return {"content": "login" if is_known else "new"}


def _joined_page(request: HttpRequest, row: Membership) -> HttpResponse:
    has_password = row.member is not None and existing_accounts.had_own_account(row.member)
    return _page(request, row, {"content": "joined", "has_password": has_password})


def _join(
    request: HttpRequest,
    row: Membership,
    member: UserProfile | None,
    typed: dict[str, str],
    *,
    newcomer: Newcomer | None,
) -> None:
    """BadInput for the first that is wrong."""
    version = read_accepted_terms(request.POST.dict(), missing=_("Please accept the terms to join."))
    if member is not None:
        people.join(row, member, terms_version=version)
        return
    if newcomer is not None:
        _join_with_own_account(request, row, newcomer, version)
        return
    signup_limits.limit_username_checks(request)
    rules = user_profile.current_rules()
    now = clock.now()
    signup = Signup(
        first_name=read_first_name(typed["first_name"]),
        last_name=names.person_name(typed["last_name"], field="last_name", required=False, rules=rules),
        email=row.email, email_proven_at=now, terms_version=version, terms_accepted_at=now, created_at=now,
    )  # fmt: skip
    signup.username = check_username(typed["username"], signup)
    try:
        people.join_as_new(row, signup)
    except (DependencyDown, RetryLater) as away:
        raise BadInput(_(AWAY), field="username", code="away", status=503) from away


def _join_with_own_account(request: HttpRequest, row: Membership, newcomer: Newcomer, version: str) -> None:
    """Join with the account at Keycloak that was proven in this browser. BadInput says why not."""
    signup_limits.limit_username_checks(request)
    found = own_account.read_own_account(newcomer.keycloak_id)
    if found.payer is not None:
        raise own_account.AccountRefused(own_account.REFUSED[Obstacle.KNOWN], "known")
    now = clock.now()
    signup = Signup(terms_version=version, terms_accepted_at=now, created_at=now)
    own_account.bind(signup, found)
    people.join_as_new(row, signup)


def _page(request: HttpRequest, row: Membership | None, context: dict[str, Any], status: int = 200) -> HttpResponse:
    context |= {
        "row": row,
        "payer": memberships.name_of(row.payer) if row else "",
        "last_name_required": user_profile.is_required("lastName"),
    }
    return render(request, "storefront/join.html", context, status=status)
