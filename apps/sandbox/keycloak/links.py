"""The pages behind the links in mails (set a password, verify an email address) and the page that asks for such a mail."""

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.sandbox.keycloak import actions, login, realm, redirects, tokens, users, words
from apps.sandbox.keycloak.screens import PageError, message, page, show

Row = dict[str, Any]

EXPIRED = "Action expired. Please continue with login now."


@page
def action_token(request: HttpRequest) -> HttpResponse:
    """/login-actions/action-token?key=…: first a page that says what the link is for, then, by its link, the action, once.

    Mail scanners that open every link stop at the first page. Links for a forgotten password have none (seen on 26.7.3).
    """
    key = request.GET.get("key", "")
    said = actions.read(key)
    user = users.find(said["sub"]) if said else None
    if said is None or user is None:
        raise PageError(EXPIRED)
    words.speak(request, user=user)
    here = redirects.with_query(
        f"{realm.url()}/login-actions/action-token",
        key=key,
        client_id=said["azp"],
        tab_id=request.GET.get("tab_id", "") or secrets.token_urlsafe(8),
    )
    if said["typ"] != "reset-credentials" and "tab_id" not in request.GET:
        return show(request, "confirm", {"onward": here, **_question(request, said)})
    if "UPDATE_PASSWORD" in said["rqac"]:
        error = login.new_password(request, user) if request.method == "POST" else ""
        if error or request.method != "POST":
            return login.password_page(request, user, action=here, error=error)
    return _done(request, said, user)


def _question(request: HttpRequest, said: Row) -> Row:
    """What the page in between says."""
    if said["typ"] == "verify-email":
        title, told = "Email address validation", f"Confirm validity of e-mail address {said['eml']}."
        return {"title": title, "message": told}
    title = message(request, "executeActionsTitle")
    names = actions.names_of(said["rqac"], words.texts(words.of_request(request)))
    return {"title": title, "message": f"{title}: {names}"}


def _done(request: HttpRequest, said: Row, user: Row) -> HttpResponse:
    """The link is used up, the mailbox proven; say so and lead back."""
    tokens.spend(said)
    actions.proven(user)
    user["requiredActions"] = [a for a in user["requiredActions"] if a not in said["rqac"]]
    client = realm.client(said["azp"])
    title, told = message(request, "accountUpdated"), message(request, "accountUpdatedMessage")
    if said["typ"] == "verify-email":
        title, told = "Email address verified", "Your email address has been verified."
    back = said["reduri"] or (redirects.home(client) if client else "")
    return show(request, "message", {"title": title, "message": told, "back": back})


@page
def reset_credentials(request: HttpRequest) -> HttpResponse:
    """GET and POST /login-actions/reset-credentials with `username`: a mail, and never a word on who exists."""
    current = login.login_of(request)
    action = login.link("reset-credentials", current)
    if request.method != "POST":
        return show(request, "reset", {"action": action})
    name = request.POST.get("username", "").strip()
    user = users.find_by("username", name) or users.find_by("email", name)
    if user is not None and user["enabled"] and user["email"]:
        actions.mail(
            user,
            kind="reset-credentials",
            wanted=["UPDATE_PASSWORD"],
            lifespan=realm.settings_of_realm()["actionTokenGeneratedByUserLifespan"],
            client_id=current["client"],
            redirect_uri="",
        )
    return show(
        request,
        "message",
        {"title": message(request, "emailForgotTitle"), "message": message(request, "emailSentMessage")},
    )
