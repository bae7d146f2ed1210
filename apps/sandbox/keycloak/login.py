"""The pages a person meets at login: the authorization endpoint, the form, and what has to be done before going on.

A login in progress is a row under `logins`, found by `tab_id`; a finished one becomes a code for the client.
"""

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.sandbox import clock
from apps.sandbox.keycloak import actions, passwords, realm, redirects, second_factor, sessions, users, words
from apps.sandbox.keycloak.admin_users import set_password
from apps.sandbox.keycloak.answers import RefusedError
from apps.sandbox.keycloak.screens import PageError, message, page, show

Row = dict[str, Any]

COOKIE = "KEYCLOAK_IDENTITY"
PASSWORD, AUTHENTICATOR = "UPDATE_PASSWORD", "CONFIGURE_TOTP"
OFFERED = (PASSWORD, AUTHENTICATOR)  # changes that a person may ask for (application-initiated actions)
WRONG, LOCKED, DISABLED = "invalidUserMessage", "accountTemporarilyDisabledMessage", "accountDisabledMessage"


class RedirectError(Exception):
    """An OAuth error that goes back to the client by redirect."""

    def __init__(self, error: str, words: str = "") -> None:
        super().__init__(f"{error}: {words}")
        self.error = error
        self.words = words


@page
def auth(request: HttpRequest) -> HttpResponse:
    """GET or POST /protocol/openid-connect/auth: to the form, or straight back when already logged in."""
    params: Row = {**request.GET.dict(), **request.POST.dict()}
    words.speak(request, asked=params.get("ui_locales", ""))
    client = _client(params)
    try:
        _check_params(params, client)
        # Keycloak marks every answer given by single sign-on with acr 0, for the same client too.
        session = _usable_session(request, params)
        if session is not None:
            return _answer(_login(params), session, acr="0")
    except RedirectError as problem:
        return _back(params, error=problem.error, error_description=problem.words)
    login = _login(params)
    known = _own_session(request)
    login["known"] = users.every()[known["user"]]["username"] if known else ""
    return _form(request, login, hint=params.get("login_hint", ""))


def _client(params: Row) -> Row:
    client = realm.client(params.get("client_id", ""))
    if client is None:
        raise PageError("Client not found.")
    if not redirects.allowed(client, params.get("redirect_uri", "")):
        raise PageError("Invalid parameter: redirect_uri")
    if not client["enabled"] or not client["standardFlowEnabled"]:
        raise PageError("Client is not allowed to initiate browser login with given response_type.")
    return client


def _check_params(params: Row, client: Row) -> None:
    kind = params.get("response_type")
    if not kind:
        raise RedirectError("invalid_request", "Missing parameter: response_type")
    if kind != "code":
        raise RedirectError("unsupported_response_type")
    method = client["attributes"].get("pkce.code.challenge.method")
    if method and not params.get("code_challenge_method"):
        raise RedirectError("invalid_request", "Missing parameter: code_challenge_method")
    if method and params["code_challenge_method"] != method:
        raise RedirectError(
            "invalid_request", "Invalid parameter: code challenge method is not matching the configured one"
        )
    if method and not params.get("code_challenge"):
        raise RedirectError("invalid_request", "Missing parameter: code_challenge")


def _usable_session(request: HttpRequest, params: Row) -> Row | None:
    """The browser's session when it answers this params without a form; RedirectError when a form is not allowed."""
    session = _own_session(request)
    prompts = params.get("prompt", "").split()
    needed = ""
    asks = params.get("kc_action") in OFFERED  # its max_auth_age is 0: the password is asked for
    if session is None or asks or "login" in prompts or _too_old(session, params.get("max_age", "")):
        needed = "login_required"
    elif users.every()[session["user"]]["requiredActions"]:
        needed = "interaction_required"
    if needed and "none" in prompts:
        raise RedirectError(needed)
    return None if needed else session


def _own_session(request: HttpRequest) -> Row | None:
    """The session of the browser's cookie, as long as its user is not disabled."""
    session = sessions.find_by_cookie(request.COOKIES.get(COOKIE, ""))
    user = users.find(session["user"]) if session else None
    return session if user is not None and user["enabled"] else None


def _too_old(session: Row, max_age: str) -> bool:
    return max_age.isdecimal() and clock.now() - session["auth_time"] > int(max_age)


def _login(params: Row) -> Row:
    """A new login in progress; outdated ones are forgotten on the way."""
    logins, codes, now = realm.state()["logins"], realm.state()["codes"], clock.now()
    for kept in (logins, codes):
        for key in [key for key, row in kept.items() if row["until"] <= now]:
            del kept[key]
    login = {
        "tab_id": secrets.token_urlsafe(12),
        "until": now + realm.settings_of_realm()["accessCodeLifespanLogin"],
        "client": params["client_id"],
        "redirect_uri": params["redirect_uri"],
        "state": params.get("state", ""),
        "nonce": params.get("nonce", ""),
        "scope": params.get("scope", ""),
        "challenge": params.get("code_challenge", ""),
        "ui_locales": params.get("ui_locales", ""),
        # What the person asked to change (`kc_action`), and what became of it.
        "action": params.get("kc_action", "") if params.get("kc_action") in OFFERED else "",
        "outcome": "",
        "user": "",
        "factor": False,  # the code of the second factor was right
        # A user who has a session and logs in again may only log in as themselves.
        "known": "",
    }
    logins[login["tab_id"]] = login
    return login


def _back(params: Row, **values: str) -> HttpResponse:
    where = redirects.with_query(params["redirect_uri"], **values, state=params.get("state", ""), iss=realm.url())
    return HttpResponseRedirect(where)


def _answer(login: Row, session: Row, *, acr: str) -> HttpResponse:
    """The redirect that gives the client its code."""
    realm.state()["logins"].pop(login["tab_id"], None)
    sessions.enter(session, login["client"], acr=acr)
    code = f"{secrets.token_urlsafe(24)}.{session['id']}"
    realm.state()["codes"][code] = login | {
        "until": clock.now() + realm.settings_of_realm()["accessCodeLifespan"],
        "session": session["id"],
        "scope": _scope(login),
    }
    told = {"kc_action_status": login["outcome"], "kc_action": login["action"]} if login.get("outcome") else {}
    response = _back(login, session_state=session["id"], code=code, **told)
    response.set_cookie(
        COOKIE, session["cookie"], path=f"/keycloak/realms/{realm.name()}/", httponly=True, samesite="Lax"
    )
    return response


def _scope(login: Row) -> str:
    """What was asked for and is known, with the client's default scopes that show."""
    client = realm.client(login["client"]) or {}
    defaults = [name for name in ("email", "profile") if name in client["defaultClientScopes"]]
    known = {"openid", *client.get("optionalClientScopes", [])}
    asked = [name for name in login["scope"].split() if name in known]
    return " ".join(dict.fromkeys([*asked, *defaults]))


def _form(request: HttpRequest, login: Row, *, hint: str = "", error: str = "") -> HttpResponse:
    return show(
        request,
        "login",
        {"action": link("authenticate", login), "reset": link("reset-credentials", login)}
        | {"hint": login["known"] or hint, "known": login["known"], "error": error and message(request, error)},
    )


def link(step: str, login: Row) -> str:
    """The address of a step of a login in progress."""
    where = f"{realm.url()}/login-actions/{step}"
    return redirects.with_query(where, client_id=login["client"], tab_id=login["tab_id"])


def login_of(request: HttpRequest) -> Row:
    """The login in progress a request belongs to. Raises PageError when it is over."""
    login: Row | None = realm.state()["logins"].get(request.GET.get("tab_id", ""))
    if login is None or login["until"] <= clock.now():
        raise PageError("Your login attempt timed out. Login will start from the beginning.")
    words.speak(request, user=users.find(login["user"]), asked=login["ui_locales"])
    return login


@page
def authenticate(request: HttpRequest) -> HttpResponse:
    """POST /login-actions/authenticate with `username` (or email) and `password`; GET shows the form again."""
    login = login_of(request)
    if request.method != "POST":
        return _form(request, login)
    name = login["known"] or request.POST.get("username", "").strip()
    user = users.find_by("username", name) or users.find_by("email", name)
    complaint = _complaint(user, request.POST.get("password", ""))
    if user is None or complaint:
        return _form(request, login, hint=name, error=complaint or WRONG)
    login["user"] = user["id"]
    words.speak(request, user=user, asked=login["ui_locales"])
    return go_on(request, login, user)


def _complaint(user: Row | None, password: str) -> str:
    """Why this password does not let this person in; empty when it does. Counts failures, as brute-force protection."""
    if user is None or not user["passwords"]:
        return WRONG
    failures = user["failures"]
    if failures["until"] > clock.now():
        return LOCKED
    if not passwords.matches(password, user["passwords"][-1]):
        _count_failure(failures)
        return WRONG
    failures["count"] = 0
    return "" if user["enabled"] else DISABLED


def _count_failure(failures: Row) -> None:
    rules = realm.settings_of_realm()
    failures["count"] += 1
    rounds = failures["count"] // rules["failureFactor"]
    if rounds and failures["count"] % rules["failureFactor"] == 0:
        wait = min(rounds * rules["waitIncrementSeconds"], rules["maxFailureWaitSeconds"])
        failures["until"] = clock.now() + wait


def go_on(request: HttpRequest, login: Row, user: Row) -> HttpResponse:
    """After the password: the required actions, one after the other, then the session and the code."""
    if not user["emailVerified"] and user["email"] and realm.settings_of_realm()["verifyEmail"]:
        lifespan = realm.settings_of_realm()["actionTokenGeneratedByUserLifespan"]
        actions.mail(user, kind="verify-email", wanted=["VERIFY_EMAIL"], lifespan=lifespan)
        told = "You need to verify your email address to activate your account. An email with instructions to verify your email address has been sent to your address."
        return show(request, "message", {"title": "Email verification", "message": told})
    if user.get("otp") and not login["factor"]:
        return second_factor.ask_page(request, action=link("one-time-code", login))
    if PASSWORD in user["requiredActions"] or (login["action"] and not login["outcome"]):
        return _action_page(request, login, user)
    user["requiredActions"] = []
    session = _own_session(request)
    if session is None:
        session = sessions.start(user)
    elif session["user"] != user["id"]:
        other = users.every()[session["user"]]["username"]
        raise PageError(
            f"You are already authenticated as different user '{other}' in this session. Please sign out first."
        )
    session["auth_time"] = clock.now()
    return _answer(login, session, acr="1")


def _action_page(request: HttpRequest, login: Row, user: Row, *, error: str = "") -> HttpResponse:
    """The page of what has to be done, or was asked for."""
    action = link("required-action", login)
    if PASSWORD not in user["requiredActions"] and login["action"] == AUTHENTICATOR:
        return second_factor.set_up_page(request, action=action, secret=request.POST.get("totpSecret", ""), error=error)
    can_cancel = PASSWORD not in user["requiredActions"]
    return password_page(request, user, action=action, error=error, can_cancel=can_cancel)


@page
def one_time_code(request: HttpRequest) -> HttpResponse:
    """POST /login-actions/one-time-code with `otp`: the second factor, after the password."""
    login = login_of(request)
    user = users.find(login["user"])
    if user is None or not user["enabled"]:
        raise PageError(message(request, DISABLED))
    login["factor"] = second_factor.is_right(user.get("otp", ""), request.POST.get("otp", ""))
    if not login["factor"]:
        return second_factor.ask_page(request, action=link("one-time-code", login), error=second_factor.WRONG)
    return go_on(request, login, user)


def password_page(
    request: HttpRequest, user: Row, *, action: str, error: str = "", can_cancel: bool = False
) -> HttpResponse:
    """The page with the two fields for a new password, `password-new` and `password-confirm`."""
    shown = {"action": action, "error": error, "username": user["username"], "can_cancel": can_cancel}
    return show(request, "password", shown)


def new_password(request: HttpRequest, user: Row) -> str:
    """Set the password two fields agree on; returns what is wrong with it, empty when it was set."""
    first = request.POST.get("password-new", "")
    if not first:
        return "Please specify password."
    if first != request.POST.get("password-confirm", ""):
        return "Passwords don't match."
    try:
        set_password(user, {"value": first})
    except RefusedError as refusal:
        return str(refusal.body["error_description"])
    return ""


@page
def required_action(request: HttpRequest) -> HttpResponse:
    """POST /login-actions/required-action: what the login waits for, done or (`cancel-aia`) not."""
    login = login_of(request)
    user = users.find(login["user"])
    if user is None or not user["enabled"]:
        raise PageError(message(request, DISABLED))
    must = PASSWORD in user["requiredActions"]
    if request.method != "POST":
        return _action_page(request, login, user)
    if not must and "cancel-aia" in request.POST:
        login["outcome"] = "cancelled"
    elif must or login["action"]:
        changes_password = must or login["action"] == PASSWORD
        error = new_password(request, user) if changes_password else second_factor.set_up(request, user)
        if error:
            return _action_page(request, login, user, error=error)
        login["factor"] = True  # it was set up a moment ago
        if not must or login["action"] == PASSWORD:
            login["outcome"] = "success"
    return go_on(request, login, user)
