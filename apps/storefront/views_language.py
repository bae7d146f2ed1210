"""The language switch in the footer: kept in the browser, and with the person who is logged in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.core import languages
from apps.login.sessions import profile_of
from apps.onboarding import own_details


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Read the site in `language` from now on, and go back to the page `next` of ours. All that a subscriber reads follows."""
    chosen = languages.best(request.POST.get("language"))
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        back = "/"
    profile = profile_of(request.user) if request.user.is_authenticated else None
    if profile is not None:
        own_details.change_language(profile, chosen)
    answer = redirect(back)
    languages.remember(answer, chosen)
    return answer
