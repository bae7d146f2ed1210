"""Login by Keycloak: allauth's code flow with PKCE and state, plus what it leaves out.

Ours: a login begins by an act of the person, not by another site alone; a nonce in each login, the ID token verified whole
(oidc.py), the same subject in userinfo, an exact redirect address from BASE_URL, targets inside this site only. Parameters of the visitor never reach Keycloak or the process.
"""

import secrets
from typing import Any, override

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_safe

from apps.core import languages
from apps.login import error_pages, oidc, reauthentication

PROVIDER = "keycloak"
WISHES = (reauthentication.FRESH, reauthentication.STRONG, *reauthentication.CHANGES)
CHANGED = {
    "password": gettext_noop("Your password is changed. It's the same for all your apps."),
    "authenticator": gettext_noop(
        "Your authenticator app is set up. From now on you're asked for its code when you log in."
    ),
    "passkey": gettext_noop("Your passkey is set up. You can log in with it instead of your password."),
}
# What is kept of a person's claims with the SocialAccount; the rest is read once and forgotten.
KEPT_TEXTS = ("sub", "preferred_username", "email", "given_name", "family_name")


class VerifyingAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """allauth's conversation with Keycloak, with the endpoints pinned and every answer checked."""

    nonce = wish = ""

    @property
    def openid_config(self) -> dict[str, Any]:
        """Instead of the discovery document."""
        return oidc.endpoints()

    @override
    def get_provider(self) -> OpenIDConnectProvider:
        return KeycloakProvider(self.request, app=get_adapter().get_app(self.request, provider=PROVIDER))

    @override
    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return settings.BASE_URL + reverse("openid_connect_callback", kwargs={"provider_id": PROVIDER})

    @override
    def get_access_token_data(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            answer = super().get_access_token_data(*args, **kwargs)
        except (KeyError, ValueError, TypeError) as error:  # an answer that is no token answer at all
            raise OAuth2Error("the token endpoint's answer cannot be read") from error
        if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
            raise OAuth2Error("the token endpoint gave no access token")
        return {"access_token": answer["access_token"], "id_token": answer.get("id_token")}

    @override
    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        verified = oidc.id_token(kwargs["response"]["id_token"], nonce=self.nonce)
        about = self._fetch_user_info(token.token)
        if not isinstance(about, dict) or about.get("sub") != verified.subject:
            raise oidc.TokenError("userinfo speaks of somebody else: sub")
        login = self.get_provider().sociallogin_from_response(request, {"id_token": _kept(verified.claims)})
        login.verified, login.wish = verified, self.wish
        return login


class KeycloakProvider(OpenIDConnectProvider):  # type: ignore[misc]
    """allauth's provider, speaking through the adapter above."""

    oauth2_adapter_class = VerifyingAdapter


class CallbackView(OAuth2CallbackView):  # type: ignore[misc]
    """allauth's callback; hands the nonce of the login, and what it was asked for, to the adapter."""

    @override
    def _get_state(self, request: HttpRequest, provider: Any) -> tuple[Any, Any]:
        state, response = super()._get_state(request, provider)
        if state is not None:
            self.adapter.nonce, self.adapter.wish = str(state.get("nonce", "")), str(state.get("wish", ""))
            # RFC 9207: an answer that names another issuer belongs to another login.
            if request.GET.get("iss", settings.KEYCLOAK_ISSUER) != settings.KEYCLOAK_ISSUER:
                return None, render_authentication_error(request, provider)
        return state, response


@require_safe
def login(request: HttpRequest, provider_id: str = PROVIDER) -> HttpResponse:
    """To Keycloak's login page; `next` names a page of this site to come back to, `as` what the login is for (WISHES)."""
    if _is_unasked(request):
        return error_pages.ask_first(request)
    provider = VerifyingAdapter(request, provider_id).get_provider()
    nonce = secrets.token_urlsafe(24)
    target = local_path(request.GET.get(REDIRECT_FIELD_NAME, ""))
    wish = request.GET.get("as", "")
    response: HttpResponse = provider.redirect(
        request,
        process="login",
        next_url=target,
        auth_params={"nonce": nonce, "ui_locales": languages.active()}
        | reauthentication.parameters(wish, target=target),
        nonce=nonce,
        wish=wish if wish in WISHES else "",
    )
    return response


def _is_unasked(request: HttpRequest) -> bool:
    """Whether another site leads the browser here without a click: with single sign-on a session would begin unseen.

    Browsers say so since 2023 (Fetch Metadata), to https and localhost; of others nothing is known.
    """
    elsewhere = request.headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site")
    return elsewhere and request.headers.get("Sec-Fetch-User") != "?1"


@require_GET
def callback(request: HttpRequest, provider_id: str = PROVIDER) -> HttpResponse:
    """Back from Keycloak, with a code or an error."""
    adapter = VerifyingAdapter(request, provider_id)
    response: HttpResponse = CallbackView.adapter_view(adapter)(request)
    if adapter.wish in reauthentication.CHANGES and request.user.is_authenticated:
        _tell_outcome(request, adapter.wish)
    return response


def _tell_outcome(request: HttpRequest, change: str) -> None:
    """Say what became of a change at Keycloak; a server that knows nothing of it says nothing, and neither do we."""
    status = request.GET.get("kc_action_status", "")
    if status == "success":
        messages.success(request, _(CHANGED[change]))
    elif status:
        messages.info(request, _("Nothing has been changed."))


def local_path(target: str) -> str:
    """`target` when it is a path of this site, else the empty text."""
    plain = all(" " < character != "\x7f" for character in target) and "\\" not in target
    rooted = target.startswith("/") and not target.startswith("//")
    if plain and rooted and url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return target
    return ""


def _kept(claims: dict[str, Any]) -> dict[str, Any]:
    """The claims we keep, each of the type it should have; others are left out."""
    kept: dict[str, Any] = {
        name: claims[name] for name in KEPT_TEXTS if isinstance(claims.get(name), str) and "\x00" not in claims[name]
    }
    return kept
