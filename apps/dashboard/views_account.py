"""The subscriber's account: name, email address, password and second factor, data. Nobody sees or changes another person's."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.models import UserProfile
from apps.core.errors import BadInput
from apps.dashboard.own import own
from apps.login import reauthentication
from apps.onboarding import own_details

only_own = own(page="own-account", of_staff="admin:index")
LONGEST = 300  # of what is taken from a field; each has a lower limit of its own


@require_safe
@only_own
def page(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """What we know of the person, and where each of it is changed."""
    name = {"first_name": profile.user.first_name, "last_name": profile.user.last_name}
    return _shown(request, profile, name)


@require_POST
@only_own
def change_name(request: HttpRequest, profile: UserProfile) -> HttpResponse:
    """Save a new name; what is wrong with it is said at its field, and what was typed stays."""
    typed = {name: request.POST.get(name, "")[:LONGEST] for name in ("first_name", "last_name")}
    try:
        changed = own_details.change_name(profile, **typed)
    except BadInput as refusal:
        return _shown(request, profile, typed, refusal)
    if changed:
        messages.success(request, _("Your name is saved. Your apps and your invoices follow in a moment."))
    return redirect("own-account")


def _shown(
    request: HttpRequest, profile: UserProfile, name: dict[str, str], problem: BadInput | None = None
) -> HttpResponse:
    context = {
        "profile": profile,
        "name": name,
        "problem": problem,
        "change_password": _at_keycloak("password"),
        "set_up_authenticator": _at_keycloak("authenticator"),
        "set_up_passkey": _at_keycloak("passkey") if settings.PASSKEYS else "",
        "account_console": f"{settings.KEYCLOAK_ISSUER}/account/#/account-security/signing-in",
    }
    return render(request, "dashboard/account.html", context, status=problem.status if problem else 200)


def _at_keycloak(change: str) -> str:
    """Where a person changes something at Keycloak, and comes back from."""
    assert change in reauthentication.CHANGES  # noqa: S101  (a name of ours)
    return f"{settings.LOGIN_URL}?{urlencode({'as': change, 'next': reverse('own-account')})}"
