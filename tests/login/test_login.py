"""Login through the Keycloak stand-in, over HTTP: who gets in, as whom, and to where."""

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.test import Client
from django.utils.html import escape

from apps.accounts.models import UserProfile
from apps.login.provider import local_path
from apps.login.session_store import row_key
from tests.login.conftest import LOGIN, PASSWORD, Person, local
from tests.sandbox.keycloak_fixture import Standin

EVIL = [
    "https://evil.example/",
    "http://evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://evil.example",
    "mailto:a@evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "/\r\nLocation: https://evil.example",
    "\t//evil.example",
    " //evil.example",
    "\x00//evil.example",
    "\x0b//evil.example",
    "/\x7f/evil.example",
    "http://localhost:8000@evil.example/",
    "http://localhost:8000.evil.example/",
    "http://evil.example\\@localhost:8000/",
    "http://evil.example#localhost:8000",
    "http://[::1]/",
    "http://[evil",
    "//[evil",
    "//evil.example/%2f..",
    "//evil%00.example",
    "//%65vil.example",
    "//google.com/%2e%2e",
    "//evil。example",
    "\uff0f\uff0fevil.example",
    "/\uff0fevil.example\\",
    "////",
    "//",
    "///",
    "http:",
    "https://",
    "://evil.example",
    ":evil.example",
    "?next=//evil.example",
    "#//evil.example",
    "evil.example",
    "dashboard",
    "..//evil.example",
    "./\\evil.example",
    "%2f%2fevil.example",
    "%5c%5cevil.example",
    "http://localhost:8000/dashboard/",
    "//localhost:8000/dashboard/",
    "blob:https://evil.example",
    "x" * 5000,
]


def test_a_subscriber_is_found_by_subject_and_lands_on_the_dashboard(person: Person, nora: UserProfile) -> None:
    answer = person.log_in("nora")
    assert (answer.status_code, answer["Location"]) == (302, "/dashboard/")
    assert person.user_id == str(nora.user_id)


def test_it_sends_pkce_state_a_nonce_and_the_exact_return_address(person: Person) -> None:
    first, second = (parse_qs(urlsplit(person.to_keycloak()).query) for _ in range(2))
    assert first["redirect_uri"] == ["http://localhost:8000/accounts/oidc/keycloak/login/callback/"]
    assert first["code_challenge_method"] == ["S256"]
    assert first["response_type"] == ["code"]
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]


def test_the_return_address_does_not_follow_the_host_header(person: Person) -> None:
    answer = person.here.get(LOGIN, headers={"host": "127.0.0.1"})
    assert parse_qs(urlsplit(answer["Location"]).query)["redirect_uri"][0].startswith("http://localhost:8000/")


def test_parameters_of_the_visitor_do_not_reach_keycloak(person: Person) -> None:
    query = "?scope=offline_access&process=connect&auth_params=" + quote("prompt=none&nonce=mine")
    sent = parse_qs(urlsplit(person.to_keycloak(LOGIN + query)).query)
    assert "prompt" not in sent
    assert sent["nonce"] != ["mine"]
    assert "offline_access" not in sent["scope"][0]


def test_names_are_taken_over_at_each_login_and_the_mail_address_is_not(
    person: Person, nora: UserProfile, keycloak: Standin
) -> None:
    person.log_in("nora")
    nora.refresh_from_db()
    assert (nora.user.first_name, nora.user.last_name) == ("Nora", "Nyberg")
    account = keycloak.user(str(nora.keycloak_id)) | {"firstName": "Eleonora"}
    assert keycloak.call("PUT", f"/users/{nora.keycloak_id}", json=account).status_code == 204
    Person(keycloak).log_in("nora")
    nora.user.refresh_from_db()
    assert (nora.user.first_name, nora.user.email, nora.email) == ("Eleonora", "", "nora@example.com")


def test_an_unknown_subject_is_nobody_and_may_sign_up(person: Person) -> None:
    answer = person.log_in("stranger.stan", f"{LOGIN}?next=/dashboard/")
    assert (answer.status_code, answer["Location"]) == (302, "/onboarding/account/")
    assert b"no plan yet" in person.here.get("/onboarding/account/").content
    assert not User.objects.exists()
    assert not SocialAccount.objects.exists()
    assert person.user_id is None


@pytest.mark.parametrize(
    ("site", "user", "begins"),
    [
        ("cross-site", "", False),
        ("same-site", "", False),
        ("cross-site", "?1", True),  # a click on a link, as in a web mail
        ("none", "?1", True),
        ("same-origin", "", True),
        ("", "", True),  # a browser that does not tell
    ],
)
def test_another_site_alone_begins_no_login(
    site: str, user: str, begins: bool, person: Person, nora: UserProfile
) -> None:
    """ASVS 7.6.2: with single sign-on a session would begin unseen."""
    headers = {name: said for name, said in (("Sec-Fetch-Site", site), ("Sec-Fetch-User", user)) if said}
    address = f"{LOGIN}?next=/dashboard/&as=fresh"
    answer = person.here.get(address, headers=headers)
    assert answer.status_code == (302 if begins else 200)
    if not begins:
        assert not person.here.cookies
        assert f'href="{escape(address)}"' in answer.content.decode()
        assert person.here.head(address, headers=headers).status_code == 200
        assert person.log_in("nora", address)["Location"] == "/dashboard/"


def test_an_unknown_subject_can_log_out_at_keycloak(person: Person) -> None:
    person.log_in("stranger.stan")
    assert person.here.post("/logout/")["Location"] == "/"
    assert person.there("GET", person.to_keycloak()).status_code == 200  # the form: Keycloak knows nobody


def test_the_same_mail_address_and_name_do_not_open_a_subscribers_account(person: Person, keycloak: Standin) -> None:
    theirs = UserProfile.objects.create(
        user=User.objects.create(username="stranger.stan", email="stranger.stan@example.com"),
        email="stranger.stan@example.com",
        created_at="2026-01-01T00:00:00Z",
    )
    assert person.log_in("stranger.stan")["Location"] == "/onboarding/account/"
    assert person.user_id is None
    assert not SocialAccount.objects.filter(user=theirs.user).exists()


def test_the_session_id_changes_at_login(person: Person, nora: UserProfile) -> None:
    back = person.at_keycloak(person.to_keycloak(), "nora")
    planted = person.here.session.session_key
    person.here.get(local(back))
    assert person.here.session.session_key != planted
    thief = Client()
    thief.cookies["frontdesk-sid"] = str(planted)
    assert thief.session.get("_auth_user_id") is None


def test_no_token_reaches_the_browser_and_only_the_id_token_is_kept(person: Person, nora: UserProfile) -> None:
    answer = person.log_in("nora")
    assert "eyJ" not in str(answer.headers) + str(answer.cookies)
    assert [key for key, value in person.here.session.items() if "eyJ" in str(value)] == ["oidc_id_token"]
    kept = SocialAccount.objects.get(uid=nora.keycloak_id).extra_data
    assert set(kept["id_token"]) == {"sub", "preferred_username", "email", "given_name", "family_name"}


def test_a_login_answer_works_once_and_only_in_the_browser_that_asked(
    person: Person, keycloak: Standin, nora: UserProfile
) -> None:
    back = local(person.at_keycloak(person.to_keycloak(), "nora"))
    assert Client().get(back).status_code == 401
    assert person.here.get(back).status_code == 302
    assert person.here.get(back).status_code == 401


def test_an_answer_that_names_another_issuer_is_refused(person: Person, nora: UserProfile) -> None:
    back = local(person.at_keycloak(person.to_keycloak(), "nora"))
    base, _, query = back.partition("?")
    query = "&".join(part for part in query.split("&") if not part.startswith("iss="))
    answer = person.here.get(f"{base}?{query}&iss=https://evil.example")
    assert answer.status_code == 401
    assert person.user_id is None


@pytest.mark.parametrize(
    "query", ["", "?code=x", "?code=x&state=y", "?error=server_error&state=%00", "?state=" + "x" * 4000]
)
def test_a_made_up_return_gets_a_page_and_not_an_error(query: str, person: Person) -> None:
    answer = person.here.get(f"{LOGIN}callback/{query}")
    assert answer.status_code == 401
    assert b"That login did not work" in answer.content


def test_a_cancelled_login_says_so(person: Person) -> None:
    state = parse_qs(urlsplit(person.to_keycloak()).query)["state"][0]
    answer = person.here.get(f"{LOGIN}callback/?error=access_denied&state={state}")
    assert b"Login cancelled" in answer.content


def test_a_wrong_code_gets_a_page(person: Person) -> None:
    state = parse_qs(urlsplit(person.to_keycloak()).query)["state"][0]
    assert person.here.get(f"{LOGIN}callback/?code=wrong&state={state}").status_code == 401


def test_a_keycloak_that_is_away_gets_a_page(person: Person, nora: UserProfile, settings: Any) -> None:
    back = local(person.at_keycloak(person.to_keycloak(), "nora"))
    settings.KEYCLOAK_ISSUER = "http://127.0.0.1:9/realms/frontdesk"
    answer = person.here.get(back.split("&iss=")[0])
    assert answer.status_code in {401, 503}
    assert person.user_id is None


def test_new_keys_at_keycloak_are_fetched_when_an_unknown_id_comes(
    person: Person, nora: UserProfile, keycloak: Standin
) -> None:
    assert person.log_in("nora").status_code == 302
    keycloak.control("keycloak/keys")
    assert Person(keycloak).log_in("nora")["Location"] == "/dashboard/"


@pytest.mark.parametrize("state", ["on_hold", "suspended", "canceled", "expired"])
def test_an_account_that_may_not_be_used_gets_its_sentence_instead_of_a_session(
    state: str, person: Person, nora: UserProfile
) -> None:
    UserProfile.objects.filter(pk=nora.pk).update(access_state=state, access_reason={"code": "refunded"})
    answer = person.log_in("nora")
    assert answer.status_code == 403
    assert b"Your payment was refunded" in answer.content
    assert person.user_id is None


def test_a_user_switched_off_here_does_not_get_in(person: Person, nora: UserProfile) -> None:
    User.objects.filter(pk=nora.user_id).update(is_active=False)
    assert person.log_in("nora").status_code == 403
    assert person.user_id is None


def test_it_goes_back_to_the_page_that_was_asked_for(person: Person, nora: UserProfile) -> None:
    answer = person.log_in("nora", f"{LOGIN}?next=/dashboard/%3Fa%3D1")
    assert answer["Location"] == "/dashboard/?a=1"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example"])
def test_it_never_leaves_the_site_after_login(target: str, person: Person, nora: UserProfile) -> None:
    answer = person.log_in("nora", f"{LOGIN}?next={quote(target)}")
    assert answer["Location"] == "/dashboard/"


@pytest.mark.parametrize("target", EVIL)
def test_no_address_of_somebody_else_counts_as_a_page_of_ours(target: str) -> None:
    assert local_path(target) == ""


def test_there_are_enough_addresses_tried() -> None:
    assert len(set(EVIL)) >= 60


@pytest.mark.parametrize("target", ["/", "/dashboard/", "/admin/x/?q=1&b=2#c", "/dashboard/?next=//evil.example"])
def test_pages_of_ours_are_taken(target: str) -> None:
    assert local_path(target) == target


@pytest.mark.parametrize(
    "path",
    [
        "signup/",
        "email/",
        "confirm-email/",
        "password/change/",
        "password/set/",
        "password/reset/",
        "inactive/",
        "logout/",
        "reauthenticate/",
        "3rdparty/",
        "3rdparty/signup/",
        "3rdparty/login/error/",
        "social/connections/",
        "sessions/",
        "oidc/other/login/",
        "oidc/keycloak/login/token/",
        "",
    ],
)
def test_allauths_own_pages_are_not_there(path: str, db: None, client: Client) -> None:
    assert client.get(f"/accounts/{path}").status_code == 404
    assert client.post(f"/accounts/{path}").status_code == 404


def test_allauths_login_page_leads_to_the_one_way_in(client: Client) -> None:
    assert client.get("/accounts/login/?next=/admin/")["Location"] == f"{LOGIN}?next=%2Fadmin%2F"
    assert client.get("/accounts/login/?next=//evil.example")["Location"] == LOGIN


def test_there_is_no_login_by_password(client: Client, db: None) -> None:
    User.objects.create_user("local", password=PASSWORD)
    assert not client.login(username="local", password=PASSWORD)


def test_the_session_is_on_the_list_with_keycloaks_id(person: Person, nora: UserProfile) -> None:
    person.log_in("nora")
    listed = UserSession.objects.get(user=nora.user)
    assert listed.session_key == row_key(person.here.session.session_key or "")
    assert listed.data["sid"]
