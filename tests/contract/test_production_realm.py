"""What the realm of production answers on a real Keycloak: passwords, sessions, codes, clients (config/keycloak/realm.json)."""

import html
import re
import time
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from apps.identity import denied_passwords
from tests.contract.servers import REFUSED, Server
from tests.contract.test_second_factor import account, one_time_code
from tests.sandbox.keycloak_fixture import CALLBACK, PASSWORD, Browser, action, claims, query_of

pytestmark = pytest.mark.xdist_group("keycloak")
NOT_ALLOWED = "Invalid password: password is not allowed."
REAUTHENTICATE = "Please re-authenticate to continue"
CHANGES = ("UPDATE_PASSWORD", "UPDATE_EMAIL", "CONFIGURE_TOTP")


class Account:
    """Somebody logged in at Keycloak's own account console: their browser and what its API answers them."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.browser, self.url = server, Browser(), f"{server.issuer}/account"
        wish = {"client_id": "account-console", "redirect_uri": f"{self.url}/"}
        verifier, page = server.start_login(self.browser, **wish)
        location = server.fill_in(self.browser, page, name).headers["Location"]
        form = {"grant_type": "authorization_code", "code": query_of(location)["code"], "code_verifier": verifier}
        tokens = requests.post(f"{server.oidc}/token", data=form | wish, timeout=10).json()
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}", "Accept": "application/json"}

    def __call__(self, method: str, path: str, **rest: Any) -> requests.Response:
        return requests.request(method, f"{self.url}{path}", headers=self.headers, timeout=10, **rest)


def refresh(server: Server, tokens: dict[str, Any]) -> tuple[int, str]:
    answer = server.token("frontdesk-web", grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    return answer.status_code, str(answer.json().get("error_description", ""))


def userinfo(server: Server, tokens: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return requests.get(f"{server.oidc}/userinfo", headers=headers, timeout=10).status_code


def ask_for(server: Server, browser: Browser, change: str) -> requests.Response:
    """The page that somebody who is logged in gets on asking for a change of their account."""
    return server.follow(browser, server.start_login(browser, kc_action=change)[1])


def type_again(server: Server, browser: Browser, page: requests.Response) -> requests.Response:
    """The page after the password, which is asked for again."""
    assert 'name="password"' in page.text
    return server.follow(browser, browser("POST", action(page), data={"password": PASSWORD}))


def choose(server: Server, browser: Browser, page: requests.Response, password: str, **more: str) -> requests.Response:
    """Choose a new password on Keycloak's page; `more` are its other fields, such as the tick at the other sessions."""
    server.right.add(password)
    form = {"password-new": password, "password-confirm": password} | more
    return server.follow(browser, browser("POST", action(page), data=form))


def must_choose(server: Server) -> tuple[Browser, requests.Response, str]:
    """Somebody who has to choose a new password: their browser, the page for it, and their name."""
    user_id, name = account(server)
    given = {"type": "password", "value": "temporary battery", "temporary": True}
    assert server.call("PUT", f"/users/{user_id}/reset-password", json=given).status_code == 204
    browser = Browser()
    page = server.fill_in(browser, server.start_login(browser)[1], name, "temporary battery")
    return browser, server.follow(browser, page), name


def log_in_a_second_ago(server: Server, name: str) -> Browser:
    """A browser with a session. Keycloak counts whole seconds: within the first one a login is new."""
    browser = Browser()
    server.log_in(browser, name)
    time.sleep(1.1)
    return browser


def reset_link(server: Server, name: str) -> str:
    """The link that a forgotten password brings by email."""
    browser = Browser()
    _, page = server.start_login(browser)
    page = browser("GET", server.forgotten(page))
    server.follow(browser, browser("POST", action(page), data={"username": name}))
    return str(server.mail(f"{name}@")["links"][0])


# --- passwords ---------------------------------------------------------------------------------------------------------


def test_common_leaked_and_our_own_words_are_refused_as_passwords(production: Server) -> None:
    denied, user_id = denied_passwords.shipped(), account(production)[0]
    samples = [*denied[:5], denied[2_999].upper(), denied[9_999], denied[-1], "Frontdesk2026", "fr0n7d35k-2025!"]
    for password in samples:
        given = {"type": "password", "value": password, "temporary": False}
        answer = production.call("PUT", f"/users/{user_id}/reset-password", json=given)
        assert (answer.status_code, answer.json().get("error_description")) == (400, NOT_ALLOWED), password


def test_people_read_on_the_page_that_a_password_is_not_allowed(production: Server) -> None:
    browser, page, _ = must_choose(production)
    page = choose(production, browser, page, "Qwerty123456")
    assert NOT_ALLOWED in html.unescape(page.text)
    assert choose(production, browser, page, "an unusual donkey").status_code == 302


@pytest.mark.parametrize("typed", ["{}", " {} ", "{} ", "lower", "cut"])
def test_a_password_is_taken_exactly(production: Server, typed: str) -> None:
    password = f"  Ünusual DONKEY {'x' * 60} "
    browser, page, name = must_choose(production)
    assert choose(production, browser, page, password).status_code == 302
    wrong = {"lower": password.lower(), "cut": password[:64]}.get(typed, typed.format(password.strip()))
    browser = Browser()
    _, page = production.start_login(browser)
    page = production.fill_in(browser, page, name, wrong)
    assert REFUSED in page.text
    assert production.fill_in(browser, page, name, password).status_code == 302


def test_fields_of_passwords_are_masked_and_open_to_password_managers(production: Server) -> None:
    _, update, _ = must_choose(production)
    _, login = production.start_login(Browser())
    fields = {"password": (login, "current-password")}
    fields |= dict.fromkeys(("password-new", "password-confirm"), (update, "new-password"))
    for field, (page, hint) in fields.items():
        (found,) = re.findall(rf'<input[^>]*name="{field}"[^>]*>', page.text)
        assert 'type="password"' in found
        assert f'autocomplete="{hint}"' in found
        assert "maxlength" not in found
        assert "readonly" not in found
    for page in (login, update):
        scripts = {urljoin(production.keycloak, one) for one in re.findall(r'"(/resources/[^"]+\.js)"', page.text)}
        texts = [page.text, *(requests.get(one, timeout=10).text for one in scripts)]
        assert len(texts) > 1
        assert not [text for text in texts if re.search(r"\b(on)?paste\b|clipboard", text)]


def test_a_new_password_takes_the_present_one_even_a_second_after_a_login(production: Server) -> None:
    _, name = account(production)
    browser = log_in_a_second_ago(production, name)
    page = ask_for(production, browser, "UPDATE_PASSWORD")
    assert REAUTHENTICATE in page.text
    assert "password-new" not in page.text
    wrong = browser("POST", action(page), data={"password": "a wrong donkey"})
    assert REFUSED in wrong.text
    page = type_again(production, browser, wrong)
    assert choose(production, browser, page, "an unusual donkey").status_code == 302
    production.log_in(Browser(), name, password="an unusual donkey")


# --- fresh logins and second factors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_login_hangs_on_is_changed_after_a_fresh_login(production: Server, change: str) -> None:
    fields = {"UPDATE_PASSWORD": "password-new", "UPDATE_EMAIL": "email", "CONFIGURE_TOTP": "totp"}
    browser = log_in_a_second_ago(production, account(production)[1])
    page = ask_for(production, browser, change)
    assert f'name="{fields[change]}"' not in page.text
    assert f'name="{fields[change]}"' in type_again(production, browser, page).text


def test_the_account_api_changes_no_email_address(production: Server) -> None:
    user_id, name = account(production)
    me = Account(production, name)
    said = me("GET", "/").json()
    answer = me("POST", "/", json=said | {"email": "thief@example.com"})
    assert (answer.status_code, answer.json()["errorMessage"]) == (400, "error-user-attribute-read-only")
    assert production.user(user_id)["email"] == f"{name}@example.com"
    assert me("POST", "/", json=said | {"firstName": "Ada"}).status_code == 204  # a name is no way in


def with_second_factor(server: Server) -> tuple[str, str, str]:
    """Somebody who has set up a second factor: id, name and its secret."""
    user_id, name = account(server, requiredActions=["CONFIGURE_TOTP"])
    browser = Browser()
    _, page = server.start_login(browser)
    page = server.follow(browser, server.fill_in(browser, page, name))
    secret = html.unescape(re.findall(r'name="totpSecret" value="([^"]+)"', page.text)[0])
    form = {"totpSecret": secret, "totp": one_time_code(secret), "userLabel": "phone"}
    assert server.follow(browser, browser("POST", action(page), data=form)).status_code == 302
    return user_id, name, secret


def factors(server: Server, user_id: str) -> list[str]:
    rows = server.call("GET", f"/users/{user_id}/credentials").json()
    return [row["userLabel"] for row in rows if row["type"] == "otp"]


def test_a_fresh_login_takes_the_second_factor_too(production: Server) -> None:
    _, name, secret = with_second_factor(production)
    browser = Browser()
    page = production.follow(browser, production.fill_in(browser, production.start_login(browser)[1], name))
    page = production.follow(browser, browser("POST", action(page), data={"otp": one_time_code(secret, later=1)}))
    assert page.status_code == 302
    time.sleep(1.1)
    page = type_again(production, browser, ask_for(production, browser, "UPDATE_PASSWORD"))
    assert 'name="otp"' in page.text
    assert "password-new" not in page.text


def test_a_mailbox_alone_does_not_get_around_a_second_factor(production: Server) -> None:
    user_id, name, secret = with_second_factor(production)
    browser, link = Browser(), reset_link(production, name)
    page = production.follow(browser, browser("GET", link))
    assert 'name="otp"' in page.text
    assert "password-new" not in page.text
    page = production.follow(browser, browser("POST", action(page), data={"otp": "000000"}))
    assert "Invalid authenticator code." in page.text
    assert factors(production, user_id) == ["phone"]
    page = browser("POST", action(page), data={"otp": one_time_code(secret, later=1)})  # the owner
    answer = choose(production, browser, production.follow(browser, page), "an unusual donkey")
    assert REFUSED not in answer.text
    assert factors(production, user_id) == ["phone"]
    page = production.fill_in(browser, production.start_login(browser)[1], name, "an unusual donkey")
    assert 'name="otp"' in production.follow(browser, page).text


def test_the_link_of_our_own_password_email_leaves_the_second_factor_as_it_is(production: Server) -> None:
    """What the dashboard and staff have Keycloak send (apps/identity/passwords.py)."""
    user_id, name, _ = with_second_factor(production)
    answer = production.call("PUT", f"/users/{user_id}/execute-actions-email", json=["UPDATE_PASSWORD"])
    assert answer.status_code == 204, answer.text
    browser = Browser()
    page = production.follow(browser, browser("GET", production.mail(f"{name}@")["links"][0]))
    page = production.follow(browser, browser("GET", production.onward(page)))
    choose(production, browser, page, "an unusual donkey")
    assert factors(production, user_id) == ["phone"]
    page = production.fill_in(browser, production.start_login(browser)[1], name, "an unusual donkey")
    assert 'name="otp"' in production.follow(browser, page).text


def test_a_mailbox_is_enough_for_those_without_a_second_factor(production: Server) -> None:
    name = account(production)[1]
    browser = Browser()
    page = production.follow(browser, browser("GET", reset_link(production, name)))
    assert 'name="otp"' not in page.text
    choose(production, browser, page, "an unusual donkey")
    production.log_in(Browser(), name, password="an unusual donkey")


def test_keycloaks_own_flow_gives_a_thief_of_the_mailbox_a_second_factor(production: Server) -> None:
    """Why ours replaces it: this is what an operator's realm does until then."""
    realm = production.call("GET", "").json()
    production.call("PUT", "", json=realm | {"resetCredentialsFlow": "reset credentials"})
    try:
        user_id, name, _ = with_second_factor(production)
        browser = Browser()
        page = production.follow(browser, browser("GET", reset_link(production, name)))
        page = choose(production, browser, page, "an unusual donkey")
        secret = html.unescape(re.findall(r'name="totpSecret" value="([^"]+)"', page.text)[0])
        form = {"totpSecret": secret, "totp": one_time_code(secret), "userLabel": "thief"}
        production.follow(browser, browser("POST", action(page), data=form))
        assert factors(production, user_id) == ["phone", "thief"]
    finally:
        production.call("PUT", "", json=realm)


# --- sessions, codes and clients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ticked", [True, False])
def test_a_new_password_ends_the_other_sessions_if_people_wish(production: Server, ticked: bool) -> None:
    _, name = account(production)
    elsewhere = production.log_in(Browser(), name)
    browser = log_in_a_second_ago(production, name)
    page = type_again(production, browser, ask_for(production, browser, "UPDATE_PASSWORD"))
    assert 'type="checkbox"' in re.findall(r'<input[^>]*name="logout-sessions"[^>]*>', page.text)[0]
    wish = {"logout-sessions": "on"} if ticked else {}
    assert choose(production, browser, page, "an unusual donkey", **wish).status_code == 302
    assert refresh(production, elsewhere) == ((400, "Session not active") if ticked else (200, ""))


def test_people_see_and_end_their_sessions_and_with_them_the_tokens(production: Server) -> None:
    _, name = account(production)
    tokens, me = production.log_in(Browser(), name), Account(production, name)
    sid = claims(tokens["id_token"])["sid"]
    shown = {row["id"]: [one["clientId"] for one in row["clients"]] for row in me("GET", "/sessions").json()}
    assert shown[sid] == ["frontdesk-web"]
    stranger = Account(production, account(production)[1])
    stranger("DELETE", f"/sessions/{sid}")
    assert refresh(production, tokens)[0] == 200
    assert me("DELETE", f"/sessions/{sid}").status_code == 204
    assert refresh(production, tokens) == (400, "Session not active")
    assert userinfo(production, tokens) == 401


def test_a_code_used_twice_is_refused_and_what_it_gave_is_void(production: Server) -> None:
    browser = Browser()
    verifier, page = production.start_login(browser)
    location = production.fill_in(browser, page, account(production)[1]).headers["Location"]

    def use() -> requests.Response:
        return production.exchange(location, verifier, client="frontdesk-web", redirect_uri=CALLBACK)

    tokens = use().json()
    assert userinfo(production, tokens) == 200
    again = use()
    assert (again.status_code, again.json()["error_description"]) == (400, "Code not valid")
    assert refresh(production, tokens)[0] == 400
    assert userinfo(production, tokens) == 401


@pytest.mark.parametrize(
    ("kind", "wish"),
    [("openid-connect", {"redirect_uris": ["https://thief.example/"]}), ("default", {"clientId": "thief"})],
)
def test_nobody_registers_a_client(production: Server, kind: str, wish: dict[str, Any]) -> None:
    before = {row["clientId"] for row in production.call("GET", "/clients").json()}
    answer = requests.post(f"{production.issuer}/clients-registrations/{kind}", json=wish, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert {row["clientId"] for row in production.call("GET", "/clients").json()} == before


def test_our_clients_get_the_scopes_they_need_and_no_other(production: Server) -> None:
    given = {}
    for row in production.call("GET", "/clients").json():
        if row["clientId"].startswith("frontdesk-"):
            given[row["clientId"]] = (set(row["defaultClientScopes"]), row["optionalClientScopes"])
    assert given == {
        "frontdesk-web": ({"basic", "acr", "profile", "email"}, []),
        "frontdesk-sync": ({"basic", "roles"}, []),
        "frontdesk-doctor": ({"basic", "roles"}, []),
    }
    name = account(production)[1]
    for scope in ("openid offline_access", "openid roles", "openid address", "openid phone"):
        answer = production.start_login(Browser(), scope=scope)[1]
        assert query_of(answer.headers["Location"])["error"] == "invalid_scope", scope
    said = claims(production.log_in(Browser(), name)["access_token"])
    assert set(said["scope"].split()) == {"openid", "profile", "email"}
    assert not {"realm_access", "resource_access", "aud"} & said.keys()


@pytest.mark.parametrize(
    "kind", ["token", "id_token", "id_token token", "code token", "code id_token", "code id_token token"]
)
def test_our_client_is_given_a_code_and_nothing_else(production: Server, kind: str) -> None:
    answer = production.start_login(Browser(), response_type=kind)[1]
    assert (answer.status_code, query_of(answer.headers["Location"].replace("#", "?"))["error"]) == (
        302,
        "unauthorized_client",
    )


def test_an_answer_that_is_to_hold_nothing_holds_nothing(production: Server) -> None:
    browser = Browser()
    _, page = production.start_login(browser, response_type="none")
    location = production.fill_in(browser, page, account(production)[1]).headers["Location"]
    assert not {"code", "access_token", "id_token"} & query_of(location.replace("#", "?")).keys()


def test_logging_out_at_keycloak_is_confirmed_unless_we_name_the_session(production: Server) -> None:
    user_id, name = account(production)
    browser = Browser()
    tokens = production.log_in(browser, name)
    for query in ({}, {"client_id": "frontdesk-web"}):
        page = browser("GET", f"{production.oidc}/logout", params=query)
        assert "Do you want to log out?" in page.text
    stranger = production.log_in(Browser(), account(production)[1])["id_token"]
    browser("GET", f"{production.oidc}/logout", params={"id_token_hint": stranger})
    browser("GET", f"{production.oidc}/logout", params={"id_token_hint": "x.y.z"})
    assert len(production.sessions(user_id)) == 1
    assert browser("GET", f"{production.oidc}/logout", params={"id_token_hint": tokens["id_token"]}).status_code == 200
    assert production.sessions(user_id) == []
