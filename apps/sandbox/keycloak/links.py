"""The pages behind the links in mails (set a password, verify an e-mail address) and the page that asks for such a mail."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.sandbox.keycloak import actions, login, people, realm, redirects, tokens
from apps.sandbox.keycloak.screens import PageError, page, show

Row = dict[str, Any]

EXPIRED = "Action expired. Please continue with login now."


@page
def action_token(request: HttpRequest) -> HttpResponse:
    """GET or POST /login-actions/action-token?key=…: shows what the link is for; POST does it, once."""
    key = request.GET.get("key", "")
    said = actions.read(key)
    user = people.find(said["sub"]) if said else None
    if said is None or user is None:
        raise PageError(EXPIRED)
    here = redirects.with_query(f"{realm.url()}/login-actions/action-token", key=key)
    if "UPDATE_PASSWORD" in said["rqac"]:
        error = login.new_password(request, user) if request.method == "POST" else ""
        if error or request.method != "POST":
            return login.password_page(request, user, action=here, error=error)
    elif request.method != "POST":
        return show(request, "confirm", {"action": here, "title": _question(said)})
    return _done(request, said, user)


def _question(said: Row) -> str:
    if said["typ"] == "verify-email":
        return f"Confirm validity of email address {said['eml']}."
    names = ", ".join(actions.TITLES.get(action, action) for action in said["rqac"])
    return f"Perform the following action(s): {names}"


def _done(request: HttpRequest, said: Row, user: Row) -> HttpResponse:
    """The link is used up, the mailbox proven; say so and lead back."""
    tokens.spend(said)
    actions.proven(user)
    user["requiredActions"] = [a for a in user["requiredActions"] if a not in said["rqac"]]
    client = realm.client(said["azp"])
    verified = said["typ"] == "verify-email"
    return show(
        request,
        "message",
        {
            "title": "Your email address has been verified." if verified else "Your account has been updated.",
            "back": said["reduri"] or (redirects.home(client) if client else ""),
        },
    )


@page
def reset_credentials(request: HttpRequest) -> HttpResponse:
    """GET and POST /login-actions/reset-credentials with `username`: a mail, and never a word on who exists."""
    current = login.login_of(request)
    action = login.link("reset-credentials", current)
    if request.method != "POST":
        return show(request, "reset", {"action": action})
    name = request.POST.get("username", "").strip()
    user = people.find_by("username", name) or people.find_by("email", name)
    if user is not None and user["enabled"] and user["email"]:
        actions.mail(
            user,
            kind="reset-credentials",
            wanted=["UPDATE_PASSWORD"],
            lifespan=realm.settings_of_realm()["actionTokenGeneratedByUserLifespan"],
            client_id=current["client"],
            redirect_uri="",
        )
    words = "You should receive an email shortly with further instructions."
    return show(request, "message", {"title": "Forgot Your Password?", "message": words})
