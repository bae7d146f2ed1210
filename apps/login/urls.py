"""Login and logout. The rest of allauth's pages below /accounts/ is shut: what is not named here is not there."""

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, re_path
from django.utils.http import urlencode
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from apps.login import logout, provider


@require_safe
def to_login(request: HttpRequest) -> HttpResponse:
    """allauth's own login page: there is only one way in."""
    target = provider.local_path(request.GET.get(REDIRECT_FIELD_NAME, ""))
    query = f"?{urlencode({REDIRECT_FIELD_NAME: target})}" if target else ""
    return redirect(f"{settings.LOGIN_URL}{query}")


def shut(request: HttpRequest, **_parts: str) -> HttpResponse:
    """Not a page of ours."""
    raise Http404(request.path)


urlpatterns = [
    path("logout/", logout.logout, name="logout"),
    path("oidc/backchannel-logout/", logout.backchannel, name="backchannel-logout"),
    re_path(r"^accounts/oidc/(?P<provider_id>keycloak)/login/$", provider.login, name="openid_connect_login"),
    re_path(
        r"^accounts/oidc/(?P<provider_id>keycloak)/login/callback/$", provider.callback, name="openid_connect_callback"
    ),
    path("accounts/login/", to_login, name="account_login"),
    # Where Keycloak's page leads back to once a password is set; the dashboard asks for the login.
    path("accounts/welcome/", require_safe(RedirectView.as_view(pattern_name="dashboard")), name="welcome"),
    re_path(r"^accounts/.*$", shut),
]
