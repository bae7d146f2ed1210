"""How allauth signs people in here: by (issuer, subject) and nothing else.

A subject we do not know is staff with a role, or nobody: no subscriber is ever made by logging in, none is found by mail
address or name. Nobody may sign up with the account (newcomers.py). allauth's own pages and messages are not used.
"""

import secrets
from typing import Any, override

import requests
import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.base import AuthError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.accounts import staff
from apps.core import restores, security_events
from apps.core.errors import WorkError
from apps.core.requests import client_address
from apps.core.security_events import SecurityEvent
from apps.login import error_pages, login_records, newcomers, oidc, reauthentication, sessions

log = structlog.get_logger(__name__)
STATE_BYTES = 24
SIGN_UP = "/onboarding/"  # the pages for who is nobody here yet


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """The session around a login."""

    @override
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    @override
    def post_login(self, request: HttpRequest, user: Any, **details: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **details)
        sociallogin = details["signal_kwargs"]["sociallogin"]
        with transaction.atomic():
            sessions.begin(request, sociallogin.verified)
            login_records.record_login(user, sociallogin.verified)
            if profile := sessions.profile_of(user):
                for listener in sessions.on_login:
                    listener(request, profile, sociallogin.verified.claims)
        log.info(SecurityEvent.LOGIN_SUCCEEDED, user=user.pk, staff=user.is_staff)
        if sociallogin.kept:
            request.session[reauthentication.KEPT] = sociallogin.kept
        return response

    @override
    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        return error_pages.closed(request, sessions.profile_of(user))

    @override
    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """None of allauth's: our pages say themselves what happened."""

    @override
    def get_client_ip(self, request: HttpRequest) -> str:
        address = client_address(request).partition("/")[0]
        return "0.0.0.0" if address == "unknown" else address  # noqa: S104  (a value for a column, no binding)


class KeycloakAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Who a verified login is."""

    @override
    def get_requests_session(self) -> requests.Session:
        session: requests.Session = super().get_requests_session()
        session.max_redirects = 0  # the code or the token would go along
        return session

    @override
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False

    @override
    def generate_state_param(self, state: dict[str, Any]) -> str:
        """allauth's own has 95 bits of chance."""
        return secrets.token_urlsafe(STATE_BYTES)

    @override
    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Find or admit the user, take over names and roles, and turn away who has no business here."""
        sociallogin.was_staff = sociallogin.is_existing and sociallogin.user.is_staff
        try:
            roles = staff.roles_of(sociallogin.verified.claims)
        except WorkError as error:
            _refuse_login(sociallogin, f"staff groups not confirmed: {error.reason}", audited=False)
            raise ImmediateHttpResponse(error_pages.login_failed(request, cancelled=False, away=True)) from error
        if roles and not reauthentication.is_strong(sociallogin.verified.claims):
            self._ask_for_more(request, sociallogin)
        if not sociallogin.is_existing:
            if not roles:
                self._meet_newcomer(request, sociallogin)
            _admit(sociallogin)
        user = sociallogin.user
        # allauth begins a new session; what the same person had typed in the old one goes along.
        sociallogin.kept = request.session.get(reauthentication.KEPT) if request.user == user else None
        staff.refresh(user, said=sociallogin.account.extra_data["id_token"], roles=roles)
        profile = sessions.profile_of(user)
        if profile is None and not roles:
            self._turn_away(request, sociallogin)
        if sessions.is_shut_out(user):
            _refuse_login(sociallogin, "the account is closed", audited=bool(roles))
            raise ImmediateHttpResponse(error_pages.closed(request, profile))

    def _ask_for_more(self, request: HttpRequest, sociallogin: Any) -> None:
        """Staff whose login is too weak: once more, with the second factor; who comes back without it is told so."""
        target = str(sociallogin.state.get("next") or reverse("admin:index"))
        again = reauthentication.login_url(target, reauthentication.STRONG)
        if sociallogin.wish != reauthentication.STRONG:
            raise ImmediateHttpResponse(redirect(again))
        request.session[sessions.ID_TOKEN] = sociallogin.verified.raw
        _refuse_login(sociallogin, "no second factor", audited=True)
        raise ImmediateHttpResponse(error_pages.too_weak(request, again=again))

    def _meet_newcomer(self, request: HttpRequest, sociallogin: Any) -> None:
        """Nobody here yet: not logged in, but on to the page where they can sign up with this account."""
        if restores.is_closed() or len(sociallogin.verified.subject) > newcomers.LONGEST_ID:
            self._turn_away(request, sociallogin)
        newcomers.note(request, sociallogin.verified)
        _refuse_login(sociallogin, "nobody we know", audited=False)
        target = str(sociallogin.state.get("next") or "")
        raise ImmediateHttpResponse(redirect(target if target.startswith(SIGN_UP) else reverse("onboarding-account")))

    def _turn_away(self, request: HttpRequest, sociallogin: Any) -> None:
        """Nobody we know. The ID token is kept so that the page can offer the logout at Keycloak."""
        request.session[sessions.ID_TOKEN] = sociallogin.verified.raw
        reason = "no staff role anymore" if sociallogin.was_staff else "nobody we know"
        _refuse_login(sociallogin, reason, audited=sociallogin.was_staff)
        raise ImmediateHttpResponse(error_pages.no_account(request))

    @override
    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        cancelled = error == AuthError.CANCELLED
        away = isinstance(exception, requests.RequestException)
        if not cancelled:
            security_events.note(SecurityEvent.LOGIN_REFUSED, reason=_reason(exception))
        raise ImmediateHttpResponse(error_pages.login_failed(request, cancelled=cancelled, away=away))


def _refuse_login(sociallogin: Any, reason: str, *, audited: bool) -> None:
    """In the log, and in the audit log too for those who are or were staff (`audited`)."""
    who = {"user": sociallogin.user.pk} if sociallogin.is_existing else {"subject": sociallogin.verified.subject}
    security_events.note(SecurityEvent.LOGIN_REFUSED, reason=reason, **who)
    if audited:
        verified = sociallogin.verified
        staff.record_login(sociallogin.user, verified.subject, acr=verified.claims.get("acr"), refused=reason)


def _admit(sociallogin: Any) -> None:
    try:
        sociallogin.user = staff.admit(sociallogin.account)
    except IntegrityError:  # the same person in another tab was quicker
        sociallogin.lookup()


def _reason(exception: Exception | None) -> str:
    """For the log. Other errors than ours may quote Keycloak's answer, tokens included: only their kind is named."""
    if exception is None:
        return "no login under way in this browser, or Keycloak answered with an error"
    return str(exception) if isinstance(exception, oidc.TokenError) else type(exception).__name__
