"""The logout endpoint: with the ID token as a hint straight back, without it after a question.

https://openid.net/specs/openid-connect-rpinitiated-1_0.html
"""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.sandbox.keycloak import realm, redirects, sessions, tokens, users, words
from apps.sandbox.keycloak.login import COOKIE
from apps.sandbox.keycloak.screens import PageError, page, show

Row = dict[str, Any]


@page
def logout(request: HttpRequest) -> HttpResponse:
    """GET or POST /protocol/openid-connect/logout."""
    params: Row = {**request.GET.dict(), **request.POST.dict()}
    said = _hint(params)
    client = realm.client(said["azp"] if said else params.get("client_id", ""))
    target = _target(params, client)
    session = sessions.find_by_cookie(request.COOKIES.get(COOKIE, ""))
    words.speak(request, user=users.find(session["user"]) if session else None, asked=params.get("ui_locales", ""))
    if said is None:
        if session is None:
            return _out(request, target)
        return show(request, "logout", {"action": _confirm_url(target)})
    return _end(request, said["sid"], target)


def _hint(params: Row) -> Row | None:
    given = params.get("id_token_hint")
    if not given:
        return None
    said = tokens.read(given)
    if said is None or said.get("typ") != "ID":
        raise PageError("Invalid parameter: id_token_hint")
    if params.get("client_id") and params["client_id"] != said["azp"]:
        raise PageError("Invalid parameter: client_id")
    return said


def _target(params: Row, client: Row | None) -> str:
    """Where to go after the logout, checked against the client; empty: to our own page."""
    target = params.get("post_logout_redirect_uri", "")
    if not target:
        return ""
    if client is None:
        raise PageError("Missing parameters: id_token_hint")
    if not redirects.allowed_after_logout(client, target):
        raise PageError("Invalid redirect uri")
    return redirects.with_query(target, state=params.get("state", ""))


def _confirm_url(target: str) -> str:
    """The address of the confirmation; the checked target travels sealed, so that nobody can put in another."""
    where = f"{realm.url()}/protocol/openid-connect/logout/logout-confirm"
    sealed = tokens.seal(tokens.basics(typ="logout-confirm", lifespan=300, target=target))
    return redirects.with_query(where, session_code=sealed)


@page
def confirm(request: HttpRequest) -> HttpResponse:
    """POST /protocol/openid-connect/logout/logout-confirm: the person said yes."""
    said = tokens.unseal(request.GET.get("session_code", ""))
    if request.method != "POST" or said is None or said["typ"] != "logout-confirm":
        raise PageError("Logout failed")
    session = sessions.find_by_cookie(request.COOKIES.get(COOKIE, ""))
    return _end(request, session["id"] if session else "", said["target"])


def _end(request: HttpRequest, sid: str, target: str) -> HttpResponse:
    session = sessions.find(sid)
    if session is not None:
        sessions.end([session])
    return _out(request, target)


def _out(request: HttpRequest, target: str) -> HttpResponse:
    response = HttpResponseRedirect(target) if target else show(request, "message", {"title": "You are logged out"})
    response.delete_cookie(COOKIE, path=f"/keycloak/realms/{realm.name()}/", samesite="Lax")
    return response
